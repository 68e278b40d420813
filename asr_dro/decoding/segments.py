"""Where long recordings are cut: in pauses, and in windows that overlap where there is none.

Nothing is thrown away but digital silence and what is as good as that, so a cut in the wrong place costs context, never
text. Everything is decided from the level of 10-ms frames, 360,000 numbers an hour.

Legend: ``F`` frames of ``FRAME`` samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr_dro.data.data_dir import SAMPLE_RATE_HZ

FRAME = SAMPLE_RATE_HZ // 100
_LOWEST_DB = -120.0
_KEPT_PAUSE_S = 1.0  # of a longer pause this much stays at each side of it
_ABOVE_FLOOR_DB = 6.0  # a pause is as quiet as the quietest tenth of a recording, or a little louder,
_BELOW_LOUD_DB = 20.0  # but at least this much below its loud parts: where noise is louder than that, there is no pause
_SILENT_DB = 40.0  # and anything this far below them is a pause, whatever the floor is
_DROPPED_DB = 60.0  # what is this far below them all the time is dropped, and so is
_ABSOLUTELY_SILENT_DB = -80.0  # what stage 1 refuses as silent
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
        pause_s: The shortest pause to cut in; the cut is in its middle. Of a long pause a second stays at each side.

    Returns:
        Parts in order, without those that are silent.
    """
    if not len(levels):
        return []
    floor, loud = np.percentile(levels, [10, 95])
    threshold = min(max(floor + _ABOVE_FLOOR_DB, loud - _SILENT_DB), loud - _BELOW_LOUD_DB)
    cuts = [0, *(cut * FRAME for cut in _cuts(levels <= threshold, pause_s)), samples]
    silent = max(loud - _DROPPED_DB, _ABSOLUTELY_SILENT_DB)
    spans = (Span(start, stop) for start, stop in itertools.pairwise(cuts) if stop > start)
    return [span for span in spans if levels[span.start // FRAME : -(-span.stop // FRAME)].max() > silent]


def _cuts(quiet: NDArray[np.bool_], pause_s: float) -> Iterator[int]:
    """Yield the frames at which to cut."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    kept = round(_KEPT_PAUSE_S * SAMPLE_RATE_HZ / FRAME)
    for start, stop in edges.reshape(-1, 2).tolist():
        if (stop - start) * FRAME < pause_s * SAMPLE_RATE_HZ:
            continue
        if stop - start > 2 * kept:
            yield from (start + kept, stop - kept)
        elif start > 0 and stop < len(quiet):
            yield (start + stop) // 2


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
