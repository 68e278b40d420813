"""Noise for augmentation: the audio files of a folder, and excerpts of them.

Legend: ``T`` samples.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from asr_dro.data.audio import ClipError
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.errors import UserError

# Folders of noise hold lists and licences too, so that files are chosen by their endings.
SUFFIXES = (".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".sph", ".w64", ".wav")
_MOST_PROBLEMS_SHOWN = 5

Samples = NDArray[np.float32]


def find_noise(folder: Path) -> list[str]:
    """List the audio files below a folder, sorted.

    Raises:
        UserError: If there is no such folder, or no audio in it.
    """
    if not folder.is_dir():
        raise UserError(f"augmentation: noise.folder {folder} is no folder (seen from {Path.cwd()})")
    files = sorted(path for path in _walk(folder) if os.path.splitext(path)[1].lower() in SUFFIXES)
    if not files:
        raise UserError(f"augmentation: noise.folder {folder} holds no audio; endings: {' '.join(SUFFIXES)}")
    return files


def check_noise(files: Sequence[str]) -> None:
    """Open every file before a long run.

    Raises:
        UserError: If any is not audio; the message names the first ones.
    """
    problems = []
    for path in files:
        try:
            if soundfile.info(path).frames <= 0:
                problems.append(f"{path}: no samples")
        except (OSError, RuntimeError) as error:
            problems.append(f"{path}: {error}")
    if problems:
        shown = "\n  ".join(problems[:_MOST_PROBLEMS_SHOWN])
        more = f"\n  and {len(problems) - _MOST_PROBLEMS_SHOWN} more" if len(problems) > _MOST_PROBLEMS_SHOWN else ""
        raise UserError(
            f"augmentation: {len(problems)} of {len(files)} files of noise cannot be read:\n  {shown}{more}"
        )


def read_excerpt(path: str, length: int, place: float) -> Samples:
    """Read a part of a file as mono at ``SAMPLE_RATE_HZ``; a file that is too short is repeated.

    Args:
        path: Any format of libsndfile.
        length: Samples wanted, ``T``.
        place: Where the excerpt begins, from 0 (as early as possible) to below 1 (as late as possible).

    Returns:
        Samples, (T,).

    Raises:
        ClipError: If the file cannot be read.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, frames = file.samplerate, file.frames
            wanted = math.ceil(length * rate_hz / SAMPLE_RATE_HZ) + 1  # one more for the resampler's rounding
            late = frames - wanted
            if late > 0:
                file.seek(int(place * (late + 1)))
            samples = file.read(min(wanted, frames), dtype="float32", always_2d=True)  # (T, C)
    except (OSError, RuntimeError) as error:
        raise ClipError(f"cannot be decoded: {error}") from None
    mono: Samples = samples.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ and len(mono):
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if len(mono) == 0 or not np.isfinite(mono).all():
        raise ClipError("no samples" if len(mono) == 0 else "samples that are not numbers")
    if late < 0:
        mono = np.roll(mono, -int(place * len(mono)))
    return np.resize(mono, length)


def _walk(folder: Path) -> Iterator[str]:
    """Yield the files below a folder; links to folders are followed, each folder once."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        found = os.stat(parent)
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        yield from (os.path.join(parent, name) for name in files)
