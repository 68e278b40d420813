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
    return number(_mapping(scores.get("intervals")).get("level")) or DEFAULT_LEVEL


def about_intervals(scores: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Say what the intervals rest on.

    Args:
        scores: What ``scores.json`` holds.
        metric: ``"cer"`` or ``"lid_accuracy"``.

    Returns:
        ``unit``: ``"speakers"``, ``"utterances"``, ``"speakers or utterances"``, or empty if unknown; ``few``:
        languages with so few of them that the intervals are too narrow; ``worst_share``: how often each language was
        the worst in the resamples, a fraction, the most frequent first.
    """
    intervals = _mapping(scores.get("intervals"))
    unit = _mapping(intervals.get("unit"))
    kinds = {str(_mapping(of).get("unit")) for of in _mapping(unit.get("by_language")).values()}
    few = unit.get("few")
    shares = {
        code: value
        for code, share in _mapping(_mapping(intervals.get(metric)).get("worst_share")).items()
        if (value := number(share)) is not None
    }
    return {
        "unit": " or ".join(f"{kind}s" for kind in ("speaker", "utterance") if kind in kinds),
        "few": [str(code) for code in few] if isinstance(few, list) else [],
        "worst_share": sorted(shares.items(), key=lambda item: (-item[1], item[0])),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def complement(interval: Interval | None) -> Interval | None:
    """Turn the interval of an accuracy into that of its errors."""
    return None if interval is None else (1 - interval[1], 1 - interval[0])
