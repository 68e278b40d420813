"""Axes of the report's charts: from values to places, with round numbers to write beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOG_RATIO = 20.0  # above this ratio of the largest to the smallest value a scale may turn logarithmic
MAX_LOG_RATIO = 1e6
MAX_LOG_TICKS = 8  # more than these, and only the powers of ten are written
SMALLEST = 1e-30  # smaller values count as 0


@dataclass(frozen=True, slots=True)
class Scale:
    """Map from values to 0..1 with the ticks to write beside the axis."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def position(self, value: float) -> float:
        """Place a value on the axis, 0 at the low end; values outside are moved to the nearer end."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_scale(values: Sequence[float], n_intervals: int = 4) -> Scale:
    """Make a scale from 0 to a round number at or above the largest value.

    Args:
        values: Non-negative values; none at all gives 0..1.
        n_intervals: Most intervals between ticks.
    """
    top = max(values, default=0.0)
    top = top if top > SMALLEST else 1.0
    step = nice_step(top / n_intervals)
    n_ticks = math.ceil(top / step - 1e-9)
    return Scale(0.0, n_ticks * step, tuple(index * step for index in range(n_ticks + 1)))


def log_scale(values: Sequence[float], *, least_ratio: float = LOG_RATIO) -> Scale:
    """Make a logarithmic scale between numbers 1, 2 or 5 times a power of ten; linear if the values are close.

    What lies more than `MAX_LOG_RATIO` below the largest value is drawn at the lower edge.

    Args:
        values: Non-negative values.
        least_ratio: The largest value is at least this many times the smallest, or the scale is linear; more than 1.
    """
    floor = max(values, default=0.0) / MAX_LOG_RATIO
    positive = [max(value, floor) for value in values if value > 0]
    if floor * MAX_LOG_RATIO <= SMALLEST or max(positive) / min(positive) < least_ratio:
        return linear_scale(values)
    decades = range(math.floor(math.log10(min(positive))) - 1, math.ceil(math.log10(max(positive))) + 1)
    candidates = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    low = max(value for value in candidates if value <= min(positive))
    high = min(value for value in candidates if value >= max(positive))
    ticks = [value for value in candidates if low <= value <= high]
    if len(ticks) > MAX_LOG_TICKS:
        ticks = [value for value in ticks if math.isclose(math.log10(value) % 1, 0, abs_tol=1e-9)]
    return Scale(low, high, tuple(ticks), is_log=True)


def nice_step(step: float) -> float:
    """Round up to 1, 2, 2.5 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))
