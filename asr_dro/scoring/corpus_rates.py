"""Rates of languages in corpora: the mean over a language's corpora, and how far apart these are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from asr_dro.scoring.measures import ONLY_HIGHEST, Measure
from asr_dro.scoring.resampled_rates import freedom_of_sum, variances
from asr_dro.scoring.resampling import Floats


@dataclass(frozen=True)
class CorpusRates:
    """Rates of P pairs of language and corpus.

    Attributes:
        pairs: Language and corpus, sorted.
        rates: ``(P, B)``.
        freedom: Degrees of freedom, ``(P,)``.
    """

    pairs: Sequence[tuple[str, str]]
    rates: Floats
    freedom: Floats

    def means(self, *, pooled: Floats) -> Measure:
        """Average over the corpora of each language, each corpus counting once.

        Args:
            pooled: The rate of all utterances, ``(B,)``.
        """
        members = self._members()
        rates = [self.rates[found].mean(axis=0) for found in members.values()]
        stacked = np.stack(rates) if rates else np.empty((0, self.rates.shape[1]))
        return Measure(list(members), stacked, self._freedom(members.values()), pooled=pooled)

    def differences(self) -> Measure:
        """Subtract from each corpus each other one of the same language; the highest difference is the largest gap."""
        pairs = [pair for found in self._members().values() for pair in permutations(found, 2)]
        first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        names = [f"{self.pairs[one]} {self.pairs[other]}" for one, other in pairs]
        return Measure(names, self.rates[first] - self.rates[second], self._freedom(pairs), wanted=ONLY_HIGHEST)

    def languages_of_differences(self) -> list[str]:
        """Return the language of each difference."""
        return [language for language, found in self._members().items() for _ in permutations(found, 2)]

    def _members(self) -> dict[str, list[int]]:
        members: dict[str, list[int]] = {}
        for number, (language, _) in enumerate(self.pairs):
            members.setdefault(language, []).append(number)
        return members

    def _freedom(self, members: Collection[Sequence[int]]) -> list[float]:
        """Return the degrees of freedom of sums (or differences) of some of the rates."""
        spread = variances(self.rates)
        chosen = [np.array(found) for found in members]
        return [min(freedom_of_sum(spread[one], self.freedom[one]), float(self.freedom[one].sum())) for one in chosen]
