"""Whisper's decoder: transformers' loss, batches that change nothing, what does not fit, vocabularies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from asr_dro.data.tokens import build_token_list
from asr_dro.data.whisper_tokens import whisper_token_list
from asr_dro.decoders.whisper import WhisperDecoder
from asr_dro.encoders.whisper import WhisperEncoder
from asr_dro.errors import UserError
from tests.decoders.whisper_decoder import build, encoded, labels_of
from tests.encoders.whisper_models import TOKENS, WINDOW_FRAMES, read_whisper, waveforms, write_whisper

TEXTS = ("fab", "k", "", "abcdefghijklmnopqrst")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


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
        (16, {"checkpoint": None}, "decoder_conf needs a checkpoint"),
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
