"""Whisper's decoder: transformers' loss and transformers' search, batches that change nothing, what does not fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin, WhisperFeatureExtractor
from transformers.modeling_outputs import BaseModelOutput

from asr_dro.data.tokens import build_token_list
from asr_dro.data.whisper_tokens import whisper_token_list
from asr_dro.decoders.whisper import WhisperDecoder
from asr_dro.encoders.whisper import WhisperEncoder
from asr_dro.errors import UserError
from tests.encoders.whisper_models import (
    END,
    LETTERS,
    START,
    TOKENS,
    WINDOW_FRAMES,
    read_whisper,
    waveforms,
    write_whisper,
)

TEXTS = ("fab", "k", "", "abcdefghijklmnopqrst")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


def build(folder: Path, tokens: Sequence[str] = TOKENS, **options: Any) -> WhisperDecoder:
    decoder = WhisperDecoder(len(tokens), 16, checkpoint=str(folder), **options)
    decoder.use_tokens(tokens)
    decoder.train(False)
    return decoder


def labels_of(*texts: str) -> tuple[Tensor, Tensor]:
    """Return labels (B, L), padded as ESPnet pads, and their numbers (B,)."""
    prompt = [22, 26, 28]  # [fin], <|transcribe|>, <|notimestamps|>
    rows = [torch.tensor([*prompt, *(LETTERS.index(letter) for letter in text), END]) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, True, -1), torch.tensor([len(row) for row in rows])


def encoded(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return frames (B, T, 16) with garbage as padding, and lengths (B,)."""
    frames = torch.randn(len(lengths), max(lengths), 16, generator=torch.Generator().manual_seed(seed))
    return frames, torch.tensor(lengths)


def transformers_loss(folder: Path, frames: Tensor, labels: Tensor) -> Tensor:
    loss: Tensor = read_whisper(folder)(encoder_outputs=(frames,), labels=labels.masked_fill(labels < 0, -100)).loss
    return loss


@torch.no_grad()
def test_loss_of_an_utterance_is_that_of_transformers(folder: Path) -> None:
    labels, lengths = labels_of(*TEXTS)
    frames, sizes = encoded(50, 31, 7, 1)
    mean = build(folder, loss={"reduction": "mean"}).utterance_losses(frames, sizes, labels, lengths)[0]
    total = build(folder).utterance_losses(frames, sizes, labels, lengths)[0]
    for row, length in enumerate(lengths):
        expected = transformers_loss(folder, frames[row : row + 1, : sizes[row]], labels[row : row + 1, :length])
        assert mean[row].item() == pytest.approx(expected.item(), rel=1e-5)
        assert total[row].item() == pytest.approx(expected.item() * length.item(), rel=1e-5)


@torch.no_grad()
def test_loss_of_a_batch_is_the_mean_over_its_labels(folder: Path) -> None:
    labels, lengths = labels_of(*TEXTS)
    frames, sizes = encoded(50, 50, 50, 50)
    losses, unfit = build(folder).utterance_losses(frames, sizes, labels, lengths)
    expected = transformers_loss(folder, frames, labels)
    assert (losses.sum() / lengths.sum()).item() == pytest.approx(expected.item(), rel=1e-5)
    assert not unfit.any()


@torch.no_grad()
def test_loss_from_audio_on_is_that_of_transformers(folder: Path) -> None:
    """Both halves of one checkpoint, in full windows as in pretraining, against transformers' from its features on."""
    speech, sizes = waveforms(12_000)
    labels, lengths = labels_of(TEXTS[0])
    encoder = WhisperEncoder(checkpoint=str(folder), full_window=True)
    encoder.train(False)
    frames, frame_lengths, _ = encoder(speech, sizes)
    losses, _ = build(folder, loss={"reduction": "mean"}).utterance_losses(frames, frame_lengths, labels, lengths)
    extractor: Any = WhisperFeatureExtractor(chunk_length=1)  # type: ignore[no-untyped-call]
    features = extractor(speech[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    assert losses.item() == pytest.approx(read_whisper(folder)(features, labels=labels).loss.item(), rel=1e-4)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_label_smoothing_spreads_a_share_over_all_tokens_in_training(folder: Path, reduction: str) -> None:
    labels, lengths = labels_of(*TEXTS)
    frames, sizes = encoded(50, 31, 7, 1)
    decoder = build(folder, loss={"reduction": reduction, "label_smoothing": 0.2})
    plain = build(folder, loss={"reduction": reduction})
    batch = (frames, sizes, labels, lengths)
    assert torch.equal(decoder.utterance_losses(*batch)[0], plain.utterance_losses(*batch)[0])
    inputs = torch.cat([torch.full((4, 1), decoder.start), labels[:, :-1]], dim=1).clamp(min=0)
    log_p = plain(frames, sizes, inputs, lengths)[0].double().log_softmax(dim=-1)
    smoothed = decoder.train().utterance_losses(*batch)[0]
    for row, length in enumerate(lengths.tolist()):
        own = log_p[row, :length]
        target = torch.full_like(own, 0.2 / own.size(1))
        target[torch.arange(length), labels[row, :length]] += 0.8
        expected = -(target * own).sum() / (length if reduction == "mean" else 1)
        assert smoothed[row].item() == pytest.approx(expected.item(), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padding_changes_no_loss(folder: Path, attention: str) -> None:
    decoder = build(folder, attention=attention)
    labels, lengths = labels_of(*TEXTS)
    frames, sizes = encoded(50, 31, 7, 1)
    together, _ = decoder.utterance_losses(frames, sizes, labels, lengths)
    for row in range(len(lengths)):
        own = frames[row : row + 1, : sizes[row]], sizes[row : row + 1]
        alone, _ = decoder.utterance_losses(*own, labels[row : row + 1, : lengths[row]], lengths[row : row + 1])
        assert together[row].item() == pytest.approx(alone.item(), rel=1e-5)


def test_what_does_not_fit_is_left_out(folder: Path) -> None:
    decoder = build(folder)
    most = decoder.most_labels
    texts = ["a" * (most - 4), "a" * (most - 3), "a"]  # with tag, two marks and the end: as many as fit, one more
    labels, lengths = labels_of(*texts)
    assert lengths.tolist()[:2] == [most, most + 1]
    frames, sizes = encoded(WINDOW_FRAMES, 10, WINDOW_FRAMES + 1)
    losses, unfit = decoder.train().utterance_losses(frames, sizes, labels, lengths)
    assert unfit.tolist() == [False, True, True]
    assert losses[1:].tolist() == [0.0, 0.0]
    torch.autograd.backward(losses.sum())
    gradient = decoder.model.embed_tokens.weight.grad
    assert gradient is not None and torch.isfinite(gradient).all()
    decoder.zero_grad()
    alone = decoder.utterance_losses(frames[:1, :WINDOW_FRAMES], sizes[:1], labels[:1], lengths[:1])[0]
    torch.autograd.backward(alone.sum())
    assert decoder.model.embed_tokens.weight.grad is not None
    torch.testing.assert_close(decoder.model.embed_tokens.weight.grad, gradient)


def generated(model: Any, frames: Tensor, most_labels: int) -> list[int]:
    """Search with transformers' own generate, after the language that its own scores name."""
    tags = torch.tensor([22, 24])
    with torch.no_grad():
        scores = model(encoder_outputs=(frames,), decoder_input_ids=torch.tensor([[START]])).logits[0, 0]
    language = int(tags[scores[tags].argmax()])
    settings: dict[str, Any] = {
        "max_length": most_labels,
        "do_sample": False,
        **dict.fromkeys(("eos_token_id", "pad_token_id", "bos_token_id"), END),
        "decoder_start_token_id": START,
        "suppress_tokens": list(range(END + 1, len(TOKENS))),
    }
    model.generation_config = GenerationConfig(**settings)  # type: ignore[no-untyped-call]
    # Not Whisper's own generate, which is about long audio and time stamps.
    output: Any = GenerationMixin.generate(
        model,
        decoder_input_ids=torch.tensor([[START, language, 26, 28]]),
        encoder_outputs=BaseModelOutput(last_hidden_state=frames),  # type: ignore[arg-type]
    )
    written: list[int] = output[0, 1:].tolist()
    return written[: written.index(END)] if END in written else written


def test_search_is_that_of_transformers(folder: Path) -> None:
    decoder, model = build(folder), read_whisper(folder)
    frames, sizes = encoded(*([WINDOW_FRAMES] * 8))
    found = decoder.greedy(frames, sizes)
    for row, hypothesis in enumerate(found):
        expected = generated(model, frames[row : row + 1], decoder.most_labels)
        # generate counts <|startoftranscript|> among its positions
        assert hypothesis[: decoder.most_labels - 1] == expected
    lengths = {len(hypothesis) for hypothesis in found}
    assert len(lengths) > 3, "hypotheses of one length alone would not show when the search stops"
    assert {hypothesis[0] for hypothesis in found} == {22, 24}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_search_in_a_batch_equals_one_by_one(folder: Path, attention: str) -> None:
    decoder = build(folder, attention=attention)
    lengths = [1, 50, 3, 44, 17, 26, 50, 9, 120, 51]
    frames, sizes = encoded(*lengths)
    together = decoder.greedy(frames, sizes)
    alone = [
        decoder.greedy(frames[row : row + 1, :length], sizes[row : row + 1])[0] for row, length in enumerate(lengths)
    ]
    assert together == alone
    assert len({len(hypothesis) for hypothesis in together}) > 3


def test_a_hypothesis_begins_with_language_and_marks_and_goes_on_with_text(folder: Path) -> None:
    decoder = build(folder)
    frames, sizes = encoded(50, 13)
    for hypothesis in decoder.greedy(frames, sizes):
        names = [TOKENS[label] for label in hypothesis]
        assert names[0] in ("[fin]", "[kat]")
        assert names[1:3] == ["<|transcribe|>", "<|notimestamps|>"]
        assert set(names[3:]) <= set(LETTERS)
    without_tags = [{"[fin]": "<|fi|>", "[kat]": "<|ka|>"}.get(token, token) for token in TOKENS]
    assert TOKENS[build(folder, without_tags).greedy(frames, sizes)[0][0]] == "<|transcribe|>"


def test_the_length_of_a_hypothesis_is_bounded_by_that_of_the_audio(folder: Path) -> None:
    decoder = build(folder)
    with torch.no_grad():
        decoder.model.embed_tokens.weight[decoder.end] = 0.0
        decoder.model.embed_tokens.weight[7] = 9.0 * decoder.model.layer_norm.bias  # written for ever
    frames, sizes = encoded(50, 10, 1)
    lengths = [len(hypothesis) for hypothesis in decoder.greedy(frames, sizes)]
    assert lengths == [decoder.most_labels, 14, 5], "a language, two marks, the end, and a label per frame"


def test_longer_audio_is_recognised_in_windows(folder: Path) -> None:
    decoder = build(folder)
    frames, sizes = encoded(101)  # three windows of 34
    pieces = [decoder.greedy(cut, torch.tensor([cut.size(1)]))[0] for cut in torch.split(frames, 34, dim=1)]
    assert len(pieces) == 3
    assert decoder.greedy(frames, sizes) == [[*pieces[0], *pieces[1][3:], *pieces[2][3:]]]


def test_languages_that_whisper_lacks_begin_as_the_mean_of_its_languages(folder: Path) -> None:
    weight = build(folder, [*TOKENS, "[abk]", "[xho]"]).model.embed_tokens.weight
    pretrained = read_whisper(folder).model.decoder.embed_tokens.weight
    assert torch.equal(weight[: len(TOKENS)], pretrained)
    for row in (-2, -1):
        torch.testing.assert_close(weight[row], pretrained[22:25].mean(dim=0))  # [fin], <|sv|>, [kat]
    assert len(weight) == len(TOKENS) + 2


@pytest.mark.parametrize(("kind", "own_tokens", "new"), [("whisper", 51_865, 2), ("whisper_v3", 51_866, 1)])
def test_published_vocabularies(tmp_path: Path, kind: str, own_tokens: int, new: int) -> None:
    folder = write_whisper(tmp_path, vocab_size=own_tokens, encoder_layers=1, decoder_layers=1)
    tokens = whisper_token_list(kind, ("fin", "yue", "abk"))
    decoder = build(folder, tokens)
    assert (decoder.own_tokens, len(decoder.model.embed_tokens.weight) - own_tokens) == (own_tokens, new)
    languages = decoder.model.embed_tokens.weight[50_259 : tokens.index("<|translate|>")]
    torch.testing.assert_close(decoder.model.embed_tokens.weight[-1], languages.mean(dim=0))
    other = whisper_token_list({"whisper": "whisper_v3", "whisper_v3": "whisper"}[kind], ("fin",))
    with pytest.raises(UserError, match=rf"has {own_tokens} tokens, tokens\.txt \d+ of Whisper's; tokens\.type is"):
        build(folder, other)


def test_vocabularies_of_ctc_are_refused(folder: Path) -> None:
    decoder = WhisperDecoder(7, 16, checkpoint=str(folder))
    with pytest.raises(UserError, match="needs Whisper's own tokens: --data-conf whisper"):
        decoder.use_tokens(build_token_list("ab", ["fin"]))


@pytest.mark.parametrize(
    ("width", "options", "message"),
    [
        (8, {}, "the encoder puts out 8 values a frame, the decoder takes 16"),
        (16, {"loss": {"smoothing": 1}}, "loss.smoothing is not a key; allowed: reduction, label_smoothing"),
        (
            16,
            {"loss": {"reduction": "max", "label_smoothing": 1}},
            "loss.reduction is 'max'; allowed: sum, mean\nloss.label",
        ),
        (16, {"dropout": {"output": 0.1}}, "dropout.output is not a key; allowed: hidden, attention, activation"),
        (16, {"checkpoint": None}, "whisper needs a checkpoint"),
        (16, {"checkpoint": "/nowhere/at/all"}, "decoder_conf: checkpoint '/nowhere/at/all' does not exist"),
    ],
)
def test_wrong_options_are_named(folder: Path, width: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        WhisperDecoder(len(TOKENS), width, **{"checkpoint": str(folder), **options})


def test_layers_computed_again_give_the_same_gradients(folder: Path) -> None:
    labels, lengths = labels_of(*TEXTS)
    frames, sizes = encoded(50, 31, 7, 1)
    gradients = []
    for again in (False, True):
        decoder = build(folder, gradient_checkpointing=again).train()
        torch.autograd.backward(decoder.utterance_losses(frames, sizes, labels, lengths)[0].sum())
        gradients.append({name: p.grad for name, p in decoder.named_parameters()})
    for name, expected in gradients[0].items():
        assert expected is not None, f"{name} has no gradient"
        torch.testing.assert_close(gradients[1][name], expected)


def test_both_halves_learn_to_write_what_they_hear(folder: Path) -> None:
    """Training and search see the same shifts and marks: three noises become three texts in two languages."""
    torch.manual_seed(0)
    encoder = WhisperEncoder(checkpoint=str(folder))
    decoder = build(folder).train()
    speech, sizes = waveforms(16_000, 12_000, 7_000)
    speech[1] = torch.sin(torch.arange(16_000) / 3.0)
    labels, lengths = labels_of("fab", "kk", "lab")
    labels[1, 0] = 24  # [kat]
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    for _ in range(120):
        frames, frame_lengths, _ = encoder(speech, sizes)
        loss = decoder.utterance_losses(frames, frame_lengths, labels, lengths)[0].mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    encoder.train(False)
    decoder.train(False)
    frames, frame_lengths, _ = encoder(speech, sizes)
    expected = [row[: length - 1].tolist() for row, length in zip(labels, lengths, strict=True)]
    assert decoder.greedy(frames, frame_lengths) == expected
