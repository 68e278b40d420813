"""Whisper's search: transformers' own, in batches, bounded, over audio of any length; and after a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput

from asr_dro.encoders.whisper import WhisperEncoder
from tests.decoders.whisper_decoder import build, encoded, labels_of
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


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
