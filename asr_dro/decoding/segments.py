"""Where long recordings are cut: in pauses, and in windows that overlap where there is none.

What is a pause is decided from the level of 10-ms frames, 360,000 numbers an hour, and with caution: only what is both
close to the noise of the recording and far below its loud parts, for half a second, is left out.

Legend: ``F`` frames of ``FRAME`` samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr_dro.data.data_dir import SAMPLE_RATE_HZ

FRAME = SAMPLE_RATE_HZ // 100
_LOWEST_DB = -120.0
_KEPT_S = 0.15  # of a pause, at each side of what is spoken
_ABOVE_FLOOR_DB = 6.0  # a pause is as quiet as the quietest tenth of a recording, or a little louder,
_BELOW_LOUD_DB = 20.0  # but at least this much below its loud parts: where noise is louder than that, there is no pause
_SILENT_DB = 40.0  # and anything this far below them is a pause, whatever the floor is
_ABSOLUTELY_SILENT_DB = -80.0  # what stage 1 refuses as silent is a pause in any recording
_SMOOTHED = 10  # frames over which the quietest place is looked for

Levels = NDArray[np.float32]


@dataclass(frozen=True)
class Cutting:
    """How recordings are cut.

    Args:
        window_s: What the model hears at a time, at most; a recording up to this length is heard whole.
        overlap_s: Common part of neighbouring windows where there is no pause to cut in.
        pause_s: The shortest pause to cut in.
    """

    window_s: float = 30.0
    overlap_s: float = 4.0
    pause_s: float = 0.5


class Span(NamedTuple):
    """A part of a recording, in samples."""

    start: int
    stop: int


class LevelMeter:
    """Measures the level of audio that comes in blocks of any length."""

    def __init__(self) -> None:
        self.samples = 0
        self._levels: list[Levels] = []
        self._rest: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def add(self, block: NDArray[np.float32]) -> None:
        """Measure the next samples."""
        self.samples += len(block)
        block = np.concatenate([self._rest, block])
        whole = len(block) // FRAME * FRAME
        self._levels.append(_levels(block[:whole].reshape(-1, FRAME)))
        self._rest = block[whole:]

    def levels(self) -> Levels:
        """Return the level of each frame in dBFS, (F,); the last frame may be shorter."""
        last = [_levels(self._rest[None])] if len(self._rest) else []
        return np.concatenate([*self._levels, *last]) if self._levels or last else np.zeros(0, dtype=np.float32)


def _levels(frames: NDArray[np.float32]) -> Levels:
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    levels: Levels = (10 * np.log10(np.maximum(power, 10 ** (_LOWEST_DB / 10)))).astype(np.float32)
    return levels


def find_segments(levels: Levels, samples: int, pause_s: float) -> list[Span]:
    """Cut a recording in its pauses.

    Args:
        levels: Level of each frame in dBFS, (F,).
        samples: Length of the recording.
        pause_s: The shortest pause to cut in. Of a pause 0.15 s stay at each side, whatever its length: models know
            little silence from training.

    Returns:
        What is between pauses, in order.
    """
    audible = levels[levels > _ABSOLUTELY_SILENT_DB]
    if not len(audible):
        return []
    floor, loud = np.percentile(audible, [10, 95])
    threshold = min(max(floor + _ABOVE_FLOOR_DB, loud - _SILENT_DB), loud - _BELOW_LOUD_DB)
    quiet = levels <= max(threshold, _ABSOLUTELY_SILENT_DB)
    least = math.ceil(pause_s * SAMPLE_RATE_HZ / FRAME)
    is_pause = np.zeros_like(quiet)
    for start, stop in _runs(quiet):
        is_pause[start:stop] = stop - start >= least
    kept = min(round(_KEPT_S * SAMPLE_RATE_HZ / FRAME), least // 2)
    spoken = ((max(0, start - kept), stop + kept) for start, stop in _runs(~is_pause))
    return [Span(start * FRAME, min(stop * FRAME, samples)) for start, stop in spoken]


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield where each run of true values begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def overlapping_windows(span: Span, cutting: Cutting, step: int) -> list[Span]:
    """Cut a part without pauses into windows of about equal length.

    Args:
        span: The part.
        cutting: Length and overlap of windows.
        step: Samples between neighbouring frames of the model; windows begin at multiples of it, so that the frames of
            neighbours are frames of the same samples.
    """
    longest, overlap = round(cutting.window_s * SAMPLE_RATE_HZ), round(cutting.overlap_s * SAMPLE_RATE_HZ)
    length = span.stop - span.start
    if length <= longest:
        return [span]
    count = math.ceil((length - overlap) / (longest - overlap - step))
    stride = -(-math.ceil((length - overlap) / count) // step) * step
    starts = range(span.start, span.stop - overlap, stride)
    return [Span(start, min(start + stride + overlap, span.stop)) for start in starts]


def quietest_windows(span: Span, levels: Levels, cutting: Cutting) -> list[Span]:
    """Cut a part without pauses where it is quietest, for models whose outputs have no times to join them by."""
    if span.stop - span.start <= round(cutting.window_s * SAMPLE_RATE_HZ):
        return [span]
    third = (span.stop - span.start) // 3
    first = (span.start + third) // FRAME
    middle = levels[first : (span.stop - third) // FRAME]
    smooth = np.convolve(middle, np.ones(_SMOOTHED), mode="valid")
    cut = (first + int(smooth.argmin()) + _SMOOTHED // 2) * FRAME
    halves = (Span(span.start, cut), Span(cut, span.stop))
    return [window for half in halves for window in quietest_windows(half, levels, cutting)]
