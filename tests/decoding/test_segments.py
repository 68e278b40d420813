from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asr_dro.decoding.segments import (
    FRAME,
    Cutting,
    LevelMeter,
    Span,
    find_segments,
    overlapping_windows,
    quietest_windows,
)

RATE_HZ = 16_000


def levels_of(samples: NDArray[Any]) -> NDArray[np.float32]:
    meter = LevelMeter()
    meter.add(samples.astype(np.float32))
    return meter.levels()


def noise(seconds: float, amplitude: float = 0.1, seed: int = 0) -> NDArray[np.float64]:
    return amplitude * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def test_levels_do_not_depend_on_blocks() -> None:
    samples = noise(1.2345).astype(np.float32)
    expected = [
        10 * np.log10((samples[i : i + FRAME].astype(float) ** 2).mean()) for i in range(0, len(samples), FRAME)
    ]
    for block in (1, 7, 160, 4_001, 100_000):
        meter = LevelMeter()
        for start in range(0, len(samples), block):
            meter.add(samples[start : start + block])
        assert meter.samples == len(samples)
        np.testing.assert_allclose(meter.levels(), expected, atol=1e-3)
    assert len(LevelMeter().levels()) == 0


def test_a_little_of_a_pause_stays_at_each_side() -> None:
    parts = [(2, 0.1), (0.5, 1e-4), (3, 0.1), (0.3, 1e-4), (1, 0.1), (5, 1e-3), (2, 0.1), (3, 0.0)]
    samples = np.concatenate([noise(seconds, amplitude) for seconds, amplitude in parts])
    found = find_segments(levels_of(samples), len(samples), pause_s=0.5)
    seconds = [(span.start / RATE_HZ, span.stop / RATE_HZ) for span in found]
    assert seconds == [(0, 2.15), (2.35, 6.95), (11.65, 13.95)], "0.3 s are no pause of their own"
    (joined,) = find_segments(levels_of(samples), len(samples), pause_s=6)
    assert joined == Span(0, len(samples))


def test_what_is_left_out_is_quiet_and_long() -> None:
    generator = np.random.default_rng(1)
    amplitudes = 10 ** generator.uniform(-2.5, -0.5, 200)
    durations_s = generator.uniform(0.2, 3, 200)
    samples = np.concatenate(
        [noise(s, a, seed=n) for n, (s, a) in enumerate(zip(durations_s, amplitudes, strict=True))]
    )
    levels = levels_of(samples)
    found = find_segments(levels, len(samples), pause_s=0.5)
    assert len(found) > 10
    starts, stops = [0, *(span.stop for span in found)], [*(span.start for span in found), len(samples)]
    assert all(start <= stop for start, stop in zip(starts, stops, strict=True)), "in order, without overlap"
    left_out = [
        levels[start // FRAME : stop // FRAME] for start, stop in zip(starts, stops, strict=True) if start < stop
    ]
    assert len(left_out) > 10
    assert max(map(max, left_out)) <= np.percentile(levels, 95) - 20


def test_noise_without_pauses_is_not_cut_and_silence_is_no_segment() -> None:
    loud = np.concatenate([noise(5), noise(1, 0.03), noise(5)])  # the quiet second is 10 dB below
    assert find_segments(levels_of(loud), len(loud), 0.5) == [Span(0, len(loud))]
    assert find_segments(levels_of(np.zeros(50_000)), 50_000, 0.5) == []
    assert find_segments(levels_of(np.zeros(0)), 0, 0.5) == []
    speech = np.concatenate([noise(2), np.zeros(8 * RATE_HZ)])
    assert find_segments(levels_of(speech), len(speech), 0.5) == [Span(0, 34_400)]


@pytest.mark.parametrize("step", [320, 480, 1])
def test_overlapping_windows_cover_a_part_of_any_length(step: int) -> None:
    generator = np.random.default_rng(step)
    for _ in range(100):
        cutting = Cutting(window_s=generator.uniform(1, 40), overlap_s=0.0)
        cutting = Cutting(cutting.window_s, generator.uniform(0, 0.5) * cutting.window_s)
        start = int(generator.integers(0, 1_000_000))
        length = int(10 ** generator.uniform(2, 8.3))  # up to three hours and a half
        span = Span(start, start + length)
        windows = overlapping_windows(span, cutting, step)
        assert windows[0].start == span.start and windows[-1].stop == span.stop
        assert max(window.stop - window.start for window in windows) <= cutting.window_s * RATE_HZ + 1
        assert all((window.start - span.start) % step == 0 for window in windows)
        overlap = round(cutting.overlap_s * RATE_HZ)
        for earlier, later in itertools.pairwise(windows):
            assert earlier.stop - later.start == overlap
            assert later.stop > earlier.stop


def test_without_times_a_part_is_cut_where_it_is_quietest() -> None:
    samples = np.concatenate([noise(14), noise(0.2, 0.04), noise(20), noise(0.3, 0.03), noise(18)])
    levels = levels_of(samples)
    windows = quietest_windows(Span(0, len(samples)), levels, Cutting(window_s=30))
    assert windows[0].start == 0 and windows[-1].stop == len(samples)
    assert all(earlier.stop == later.start for earlier, later in itertools.pairwise(windows))
    assert all(window.stop - window.start <= 30 * RATE_HZ for window in windows)
    cuts_s = [window.stop / RATE_HZ for window in windows[:-1]]
    assert len(cuts_s) == 2 and 14 <= cuts_s[0] <= 14.2 and 34.2 <= cuts_s[1] <= 34.5
