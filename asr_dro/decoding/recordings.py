"""Recordings of any length as windows that a model can hear, with bounded memory.

A recording longer than a window is read twice: once for its levels, from which the cuts come, then window by window.

Legend: ``N`` samples.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr_dro.data.audio import ClipError, decode_blocks
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.decoding.segments import (
    Cutting,
    LevelMeter,
    Levels,
    Span,
    find_segments,
    overlapping_windows,
    quietest_windows,
)

Samples = NDArray[np.float32]


class Window(NamedTuple):
    """What the model hears at a time.

    Attributes:
        segment: Number of the segment in its recording; windows of one segment follow each other.
        span: Where it lies in the recording.
        samples: Its samples, (N,).
    """

    segment: int
    span: Span
    samples: Samples


class Plan(NamedTuple):
    """How a recording is cut.

    Attributes:
        samples: Its length.
        segments: Its segments in order, those that are silent left out.
        windows: Number of the segment and place of each window.
    """

    samples: int
    segments: list[Span]
    windows: list[tuple[int, Span]]


class Recording:
    """An audio file.

    Args:
        path: Any format of libsndfile, any rate and number of channels.
        cutting: How it is cut if it is longer than a window.
        step: Samples between frames of the model; 0: the model's outputs have no times, so windows do not overlap.
    """

    def __init__(self, path: Path, cutting: Cutting, step: int) -> None:
        self.path, self.cutting, self.step = path, cutting, step
        self.plan = Plan(0, [], [])

    def windows(self) -> Iterator[Window]:
        """Yield the windows in order; ``plan`` is there with the first, or with the end if there is none.

        Raises:
            ClipError: If the file cannot be read.
        """
        longest = round(self.cutting.window_s * SAMPLE_RATE_HZ)
        meter, kept = LevelMeter(), []
        for block in self._blocks():
            meter.add(block)
            kept.append(block)
            if meter.samples > longest:
                kept.clear()
        self.plan = self._plan(meter.samples, meter.levels())
        if meter.samples <= longest:
            if self.plan.windows:
                yield Window(0, Span(0, meter.samples), np.concatenate(kept))
            return
        yield from self._read_again()

    def _blocks(self) -> Iterator[Samples]:
        """Yield the samples block by block; whatever goes wrong in a library is an error of the file."""
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):  # opening a pipe would wait for ever
                raise ClipError("not a file")
            with open(self.path, "rb") as file:
                if not file.read(1):
                    raise ClipError("zero bytes")
                file.seek(0)
                yield from _translated(lambda: decode_blocks(file))
        except FileNotFoundError:
            raise ClipError("no such file") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise ClipError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None

    def _plan(self, samples: int, levels: Levels) -> Plan:
        """Decide on segments and windows."""
        whole = Span(0, samples)
        segments = find_segments(levels, samples, self.cutting.pause_s)
        if samples <= round(self.cutting.window_s * SAMPLE_RATE_HZ):
            segments = [whole] if segments else []
        windows = []
        for number, segment in enumerate(segments):
            if self.step:
                found = overlapping_windows(segment, self.cutting, self.step)
            else:
                found = quietest_windows(segment, levels, self.cutting)
            windows += [(number, window) for window in found]
        return Plan(samples, segments, windows)

    def _read_again(self) -> Iterator[Window]:
        """Yield the windows of the plan, holding no more samples than one of them needs, and a block."""
        blocks = self._blocks()
        held: Samples = np.zeros(0, dtype=np.float32)
        first = 0  # where the samples held lie in the recording
        for number, span in self.plan.windows:
            while first + len(held) < span.stop:
                block = next(blocks, None)
                if block is None:
                    raise ClipError("changed while it was read")
                surplus = min(max(0, span.start - first), len(held))
                held, first = np.concatenate([held[surplus:], block]), first + surplus
            yield Window(number, span, held[span.start - first : span.stop - first].copy())


def _translated(blocks: Callable[[], Iterator[Samples]]) -> Iterator[Samples]:
    """Turn what libraries raise on damaged files into an error of the file; one file must not end the others."""
    try:
        yield from blocks()
    except (ClipError, OSError, GeneratorExit):
        raise
    except Exception as error:
        raise ClipError(f"cannot be decoded: {error}") from error


def duration_by_header_s(path: Path) -> float:
    """Return what the header says about the length of a file, for showing progress; 0 if there is no telling."""
    try:
        if not path.is_file():
            return 0.0
        header = soundfile.info(str(path))
        return float(header.frames / header.samplerate)
    except (OSError, ValueError, ZeroDivisionError, soundfile.LibsndfileError):
        return 0.0
