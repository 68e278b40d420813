"""Confidence intervals of scores.json, where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asr_dro.report.formats import number

Interval = tuple[float, float]
DEFAULT_LEVEL = 0.95


def interval_of(scores: Mapping[str, Any], *path: str) -> Interval | None:
    """Read one interval.

    Args:
        scores: What ``scores.json`` holds; older files have no intervals.
        *path: Keys below ``intervals``, such as ``"cer", "by_language", "fin"``.

    Returns:
        Lower and upper end, fractions; ``None`` if there is none.
    """
    value: Any = scores.get("intervals")
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None or low > high else (low, high)


def level_of(scores: Mapping[str, Any]) -> float:
    """Return the intervals' level, a fraction."""
    intervals = scores.get("intervals")
    return (number(intervals.get("level")) if isinstance(intervals, Mapping) else None) or DEFAULT_LEVEL


def unit_of(scores: Mapping[str, Any]) -> str:
    """Return what the intervals were drawn over, ``utterances`` or ``speakers``; empty if it is not one unit."""
    intervals = scores.get("intervals")
    unit = intervals.get("unit") if isinstance(intervals, Mapping) else None
    units = set(unit.values()) if isinstance(unit, Mapping) else {unit}
    only = units.pop() if len(units) == 1 else None
    return f"{only}s" if only in ("utterance", "speaker") else ""


def complement(interval: Interval | None) -> Interval | None:
    """Turn the interval of an accuracy into that of its errors."""
    return None if interval is None else (1 - interval[1], 1 - interval[0])
