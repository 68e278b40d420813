"""A measure: a rate of each language (or group), in each resample or once, and what is said of all of them together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from asr_dro.scoring.extremes import Extremes
from asr_dro.scoring.resampled_rates import freedom_of_sum, over_languages, percentiles, variances
from asr_dro.scoring.resampling import Floats
from asr_dro.scoring.summaries import summarise_values
from asr_dro.scoring.summary_intervals import intervals_over_languages
from asr_dro.scoring.tallies import or_none

Interval = list[float]

OVER_LANGUAGES = ("mean", "sd", "worst", "best", "range", "worst15")
ALL, ONLY_POOLED, ONLY_HIGHEST, ONLY_SINGLE = "all", "pooled", "highest", "single"


@dataclass(frozen=True)
class Measure:
    """Rates in B resamples, or, with B = 1, the rates themselves.

    Attributes:
        names: G languages, groups or what else has a rate; sorted.
        rates: ``(G, B)``; ``nan`` where there is none.
        freedom: Degrees of freedom of each, units minus strata; below 1 nothing can be said of it.
        pooled: The rate of all utterances together, ``(B,)``; ``nan`` where there is none.
        lowest_is_worst: Whether the worst is the lowest, as for accuracies.
        wanted: Which numbers are of use: ``ALL``, ``ONLY_POOLED``, ``ONLY_SINGLE`` (the rates), or ``ONLY_HIGHEST``,
            the highest rate, which is not below 0.
        whole: The measure that this one is a part of; intervals of single rates are computed there, once.
        rows: Which of its rates these are.
        known_ends: What :meth:`ends` has computed, by level.
    """

    names: Sequence[str]
    rates: Floats
    freedom: Sequence[float]
    pooled: Floats = field(default_factory=lambda: np.full(1, np.nan))
    lowest_is_worst: bool = False
    wanted: str = ALL
    whole: Measure | None = None
    rows: Sequence[int] = ()
    known_ends: dict[float, list[Interval | None]] = field(default_factory=dict)

    def part(self, chosen: Sequence[bool]) -> Measure:
        """Choose some of the rates, without a pooled one."""
        rows = [row for row, is_chosen in enumerate(chosen) if is_chosen]
        return Measure(
            [self.names[row] for row in rows],
            self.rates[rows],
            [self.freedom[row] for row in rows],
            lowest_is_worst=self.lowest_is_worst,
            wanted=self.wanted,
            whole=self,
            rows=rows,
        )

    @functools.cached_property
    def variances(self) -> Floats:
        """The variance of each rate over the resamples, ``(G,)``."""
        return variances(self.rates) if self.whole is None else self.whole.variances[list(self.rows)]

    def ends(self, level: float) -> list[Interval | None]:
        """Return the interval of each rate."""
        if self.whole is not None:
            of_whole = self.whole.ends(level)
            return [of_whole[row] for row in self.rows]
        if level not in self.known_ends:
            self.known_ends[level] = percentiles(self.rates, level, self.freedom)
        return self.known_ends[level]


def values_of_measure(at_first: Measure) -> dict[str, Any]:
    """Give the numbers of a measure as they stand in scores.

    Args:
        at_first: With B = 1.

    Returns:
        What :func:`~asr_dro.scoring.summaries.summarise_values` gives for languages, ``mean``, ``sd`` and ``worst15``
        by the same function as in resamples; then ``micro``.
    """
    rates = at_first.rates[:, 0]
    values = {name: or_none(rate) for name, rate in zip(at_first.names, rates.tolist(), strict=True)}
    found = summarise_values(values, key="language", worst=min if at_first.lowest_is_worst else max)
    known = at_first.rates[~np.isnan(rates)]
    if len(known):
        over = over_languages(known, lowest_is_worst=at_first.lowest_is_worst)
        found |= {name: float(value[0]) for name, value in over.items()}
    return {**found, "micro": or_none(float(at_first.pooled[0]))}


def intervals_of_measure(drawn: Measure, at_first: Measure, level: float) -> dict[str, Any]:
    """Give the interval of each number of a measure.

    Args:
        drawn: The resampled rates.
        at_first: The rates, B = 1.
        level: Of the intervals.

    Returns:
        ``mean sd worst best range worst15 micro``, of those that are wanted, and, unless only ``micro`` is,
        ``by_language``. ``None`` where there is no rate or nothing varies.
    """
    found: dict[str, Any] = dict.fromkeys((*OVER_LANGUAGES, "micro"))
    if drawn.wanted != ONLY_POOLED:
        found["by_language"] = dict(zip(drawn.names, drawn.ends(level), strict=True))
    if drawn.wanted == ONLY_SINGLE:
        return found
    is_known = ~np.isnan(at_first.rates[:, 0])
    if not is_known.all():
        pooled = drawn.pooled
        drawn, at_first = drawn.part(is_known.tolist()), at_first.part(is_known.tolist())
        drawn = replace(drawn, pooled=pooled)
    if not any(freedom >= 1 for freedom in drawn.freedom):
        return found
    if drawn.wanted == ONLY_HIGHEST:
        extremes = Extremes(
            drawn.rates, at_first.rates, drawn.freedom, ends=drawn.ends(level), spread=drawn.variances, level=level
        )
        return {**found, "worst": [max(0.0, bound) for bound in extremes.highest()]}
    if drawn.wanted == ALL:
        found |= intervals_over_languages(
            drawn.rates,
            at_first.rates,
            drawn.freedom,
            ends=drawn.ends(level),
            spread=drawn.variances,
            lowest_is_worst=drawn.lowest_is_worst,
            level=level,
        )
    freedom_of_pooled = freedom_of_sum(drawn.variances, drawn.freedom)
    found["micro"] = percentiles(drawn.pooled[None], level, [freedom_of_pooled])[0]
    return found
