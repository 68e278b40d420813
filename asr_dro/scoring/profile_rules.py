"""What metric profiles have in common: sums over utterances, from which their scores and the resampled scores come.

A profile says what each utterance adds to some sums (errors, reference length), and how rates follow from these. The
sums over all utterances give the scores; the sums over each resample give the intervals, by the same rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_dro.scoring.material import Material
from asr_dro.scoring.measures import ALL, Measure, values_of_measure
from asr_dro.scoring.outcomes import Ints
from asr_dro.scoring.resampled_rates import rates_of, sums_by
from asr_dro.scoring.resampling import CORPUS, LANGUAGE, Floats


@dataclass(frozen=True)
class CellSums:
    """Sums over the utterances of cells: languages in corpora, and groups where these cut through languages.

    Attributes:
        keys: Language and corpus of each of S cells, and what else tells them apart; sorted.
        sums: K arrays ``(S, B)``, of B resamples, or, with B = 1, of all utterances.
        freedom: Units minus one of each cell, ``(S,)``; of all utterances it does not matter.
    """

    keys: Sequence[tuple[str, ...]]
    sums: Sequence[Floats]
    freedom: Floats

    @property
    def languages(self) -> list[str]:
        """The languages, sorted."""
        return sorted({key[LANGUAGE] for key in self.keys})

    def by_language(self, names: Sequence[str]) -> LanguageSums:
        """Add up the cells of each of G languages."""
        labels = [key[LANGUAGE] for key in self.keys]
        sums = [sums_by(labels, column, names) for column in self.sums]
        return LanguageSums(names, sums, sums_by(labels, self.freedom, names))

    def corpora(self) -> list[tuple[str, str]]:
        """Return language and corpus of each cell."""
        return [(key[LANGUAGE], key[CORPUS]) for key in self.keys]


@dataclass(frozen=True)
class LanguageSums:
    """Sums over the utterances of languages: their G names, K arrays ``(G, B)`` and ``(G,)`` degrees of freedom."""

    names: Sequence[str]
    sums: Sequence[Floats]
    freedom: Floats

    def part(self, names: Sequence[str]) -> LanguageSums:
        """Choose some of the languages."""
        if list(names) == list(self.names):
            return self
        rows = np.array([self.names.index(name) for name in names], dtype=np.int64)
        return LanguageSums(names, [column[rows] for column in self.sums], self.freedom[rows])

    def ratio(self, numerator: int, denominator: int, *, lowest_is_worst: bool = False, wanted: str = ALL) -> Measure:
        """Divide one sum by another, for each language and for all together."""
        over, under = self.sums[numerator], self.sums[denominator]
        pooled = rates_of(over.sum(axis=0), under.sum(axis=0))
        return Measure(
            self.names,
            rates_of(over, under),
            self.freedom.tolist(),
            pooled=pooled,
            lowest_is_worst=lowest_is_worst,
            wanted=wanted,
        )


class ProfileRule(ABC):
    """A profile of one scored split.

    Args:
        material: The scored split.
        values: ``(N, K)`` whole numbers that are not negative: what each utterance adds to the K sums.

    Attributes:
        metric: Which of ``METRICS`` its only measure is, if it is one of them: then the intervals are the same too.
    """

    metric: str | None = None

    def __init__(self, material: Material, values: Ints) -> None:
        self.material, self.values = material, values
        keys, cells = material.cells_of_utterances
        sums = [np.bincount(cells, column, len(keys)) for column in values.T]  # exact: whole numbers below 2^53
        columns = [column.astype(np.float64)[:, None] for column in sums]
        self.totals = CellSums(keys, columns, np.zeros(len(keys)))

    @abstractmethod
    def measures(self, cells: CellSums) -> dict[str, Measure]:
        """Compute the rates from sums, each measure under a name of its own."""

    @abstractmethod
    def layout(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Put numbers, or intervals of numbers, where ``scores.json`` has them.

        Args:
            found: By name of measure, what :func:`~asr_dro.scoring.measures.values_of_measure` or
                :func:`~asr_dro.scoring.measures.intervals_of_measure` gives.
        """

    def score(self) -> dict[str, Any]:
        """Return the scores as ``scores.json`` has them below the profile's name."""
        return self.layout({name: values_of_measure(one) for name, one in self.measures(self.totals).items()})
