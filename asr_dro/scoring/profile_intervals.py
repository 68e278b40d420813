"""Intervals of metric profiles, from the same resamples of the same units as those of the other numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_dro.scoring.measures import intervals_of_measure
from asr_dro.scoring.outcomes import Ints
from asr_dro.scoring.resampling import Floats, Resampler, Strata

if TYPE_CHECKING:
    from asr_dro.scoring.profile_rules import ProfileRule

Columns = dict[str, list[int]]


def with_profiles(counts: Ints, profiles: Mapping[str, ProfileRule]) -> tuple[Ints, Columns]:
    """Put what profiles sum up before other counts.

    Units are ordered by their counts, the last column first. So the columns of profiles only order units that are equal
    in all other counts, and whatever they are, the resamples of the other counts are the same.

    Args:
        counts: ``(N, K)``.
        profiles: Rules of the same N utterances.

    Returns:
        ``(N, L + K)``, and the columns of each profile. Equal columns are there once.
    """
    added: list[Ints] = []
    found: dict[str, list[tuple[bool, int]]] = {}  # whether a column is one of the counts, and its number
    for name, rule in profiles.items():
        found[name] = []
        for column in rule.values.T:
            place = _place(column, counts.T), _place(column, added)
            if place[0] is None and place[1] is None:
                added.append(column)
            found[name].append((place[0] is not None, next((n for n in place if n is not None), len(added) - 1)))
    columns = {name: [len(added) * is_count + n for is_count, n in places] for name, places in found.items()}
    return np.concatenate([*(one[:, None] for one in added), counts], axis=1), columns


def intervals_of_profile(rule: ProfileRule, draws: Draws, columns: Sequence[int], level: float) -> dict[str, Any]:
    """Return intervals in the places of a profile's numbers.

    Args:
        rule: The profile.
        draws: Resamples of units with its columns.
        columns: Which these are.
        level: Of the intervals.
    """
    from asr_dro.scoring.profile_rules import CellSums  # here: it needs the scores, whose intervals these are

    keys, freedom = draws.strata.keys, draws.strata.freedom_of_strata()
    drawn = rule.measures(CellSums(keys, draws.of(columns), freedom))
    at_first = rule.measures(CellSums(keys, [draws.totals[:, column] for column in columns], freedom))
    return rule.layout({name: intervals_of_measure(drawn[name], at_first[name], level) for name in drawn})


class Draws:
    """Resampled sums of strata. Columns that are wanted more than once are drawn once.

    Args:
        resampler: Draws the resamples.
        strata: The units.
        wanted: Columns that will be wanted again.

    Attributes:
        strata: The units.
        totals: What a resample would be that draws each unit once, ``(S, K, 1)``.
    """

    def __init__(self, resampler: Resampler, strata: Strata, wanted: Iterable[int]) -> None:
        self.strata, self.totals = strata, strata.totals()
        self._resampler, self._wanted = resampler, set(wanted)
        self._drawn: dict[int, Floats] = {}

    def of(self, columns: Sequence[int]) -> list[Floats]:
        """Return the sums of some columns, ``(S, B)`` each."""
        missing = sorted(set(columns).difference(self._drawn))
        drawn = dict(self._drawn)
        if missing:
            sums = self._resampler.sums(self.strata, missing)
            drawn |= {column: sums[:, place] for place, column in enumerate(missing)}
        self._drawn = {column: sums for column, sums in drawn.items() if column in self._wanted}
        return [drawn[column] for column in columns]


def _place(column: Ints, among: Ints | Sequence[Ints]) -> int | None:
    return next((number for number, other in enumerate(among) if np.array_equal(column, other)), None)
