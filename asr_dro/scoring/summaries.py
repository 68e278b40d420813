"""One number per language -> the numbers that compare languages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

DDOF = 1  # the standard deviation divides by n - 1
N_WORST = 15  # languages of ``worst15``, a figure of the ML-SUPERB challenge of 2025


def summarise_values(
    values: Mapping[str, float | None], *, key: str, worst: Callable[..., str] = max
) -> dict[str, Any]:
    """Compare languages (or groups) by one number each.

    Args:
        values: The number of each language, ``None`` where it has none; such a language takes no part.
        key: ``"language"`` or ``"group"``: names the keys ``worst_<key>``, ``best_<key>`` and ``by_<key>``.
        worst: ``max`` for error rates, ``min`` for accuracies; the first name in alphabetical order wins a tie.

    Returns:
        ``mean``, ``sd`` (over languages, n - 1; ``None`` for fewer than two), ``worst``, ``worst_<key>``, ``best``,
        ``best_<key>``, ``range`` (distance of best and worst), ``worst15`` (mean of the 15 worst, of all if there are
        fewer), ``n_worst15`` (how many those are), ``by_<key>``.
    """
    known = {name: value for name, value in sorted(values.items()) if value is not None}
    best = min if worst is max else max
    worst_name = worst(known, key=known.__getitem__) if known else None
    best_name = best(known, key=known.__getitem__) if known else None
    return {
        "mean": mean(known.values()),
        "sd": deviation(known.values()),
        "worst": _of(known, worst_name),
        f"worst_{key}": worst_name,
        "best": _of(known, best_name),
        f"best_{key}": best_name,
        "range": max(known.values()) - min(known.values()) if known else None,
        "worst15": mean(sorted(known.values(), reverse=worst is max)[:N_WORST]),
        "n_worst15": min(len(known), N_WORST),
        f"by_{key}": dict(sorted(values.items())),
    }


def macro_over_corpora(rates: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    """Compare languages by the mean over their corpora, each corpus counting once.

    Args:
        rates: Error rate by language and corpus, None where there is none.

    Returns:
        What :func:`summarise_values` gives for languages, then what :func:`compare_corpora` gives.
    """
    means = {
        language: mean(rate for rate in by_corpus.values() if rate is not None) for language, by_corpus in rates.items()
    }
    return {**summarise_values(means, key="language"), **compare_corpora(rates)}


def compare_corpora(rates: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    """Compare the corpora of each language with each other.

    Args:
        rates: Error rate by language and corpus, None where there is none.

    Returns:
        ``largest_gap`` (the largest distance of two corpora of one language), ``largest_gap_language`` and
        ``by_language_and_corpus``.
    """
    known = {
        language: [rate for rate in by_corpus.values() if rate is not None] for language, by_corpus in rates.items()
    }
    gaps = {language: max(values) - min(values) for language, values in sorted(known.items()) if values}
    widest = max(gaps, key=gaps.__getitem__) if gaps else None
    return {
        "largest_gap": _of(gaps, widest),
        "largest_gap_language": widest,
        "by_language_and_corpus": {language: dict(sorted(rates[language].items())) for language in sorted(rates)},
    }


def mean(values: Iterable[float]) -> float | None:
    """Average numbers; the order makes no difference, not even to the last bit. None if there are none."""
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None


def deviation(values: Iterable[float]) -> float | None:
    """Return the standard deviation (n - 1), None of fewer than two."""
    listed = list(values)
    return statistics.stdev(listed) if len(listed) > DDOF else None


def _of(values: Mapping[str, float], name: str | None) -> float | None:
    return None if name is None else values[name]
