"""Whisper's decoder with a short vocabulary, and what it is tried on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_dro.decoders.whisper import WhisperDecoder
from tests.encoders.whisper_models import END, LETTERS, TOKENS


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
