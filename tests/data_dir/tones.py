"""Releases of tones: quick to make, and their audio is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

HEADER = ("client_id", "path", "sentence_id", "sentence", "locale")
MakeRelease = Callable[..., Path]


def write_tone(path: Path, *, seconds: float = 0.6, rate_hz: int = 32_000, channels: int = 1) -> None:
    """Write a 440-Hz tone; the second channel, if any, is silent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)
    samples = np.zeros((len(tone), channels), dtype=np.float32)
    samples[:, 0] = tone
    soundfile.write(path, samples, rate_hz, format="MP3" if path.suffix == ".mp3" else None)
