"""Rates of languages in corpora: the mean over a language's corpora, and how far apart these are."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from asr_dro.scoring.measures import ONLY_HIGHEST, ONLY_SINGLE, Measure
from asr_dro.scoring.resampled_rates import freedom_of_sum, rates_of, sums_by, variances
from asr_dro.scoring.resampling import Floats

Pairs = Sequence[tuple[str, str]]
MEANS, GAP, SINGLE = "means", "gap", "single"


@dataclass(frozen=True)
class CorpusRates:
    """Rates of P pairs of language and corpus.

    Attributes:
        pairs: Language and corpus, sorted.
        rates: ``(P, B)``.
        freedom: Degrees of freedom, ``(P,)``.
    """

    pairs: Pairs
    rates: Floats
    freedom: Floats

    @classmethod
    def from_sums(cls, labels: Pairs, sums: Sequence[Floats], freedom: Floats, pairs: Pairs) -> CorpusRates:
        """Divide sums of strata.

        Args:
            labels: Language and corpus of each of S strata.
            sums: Errors and reference length, ``(S, B)`` each.
            freedom: Degrees of freedom of each stratum, ``(S,)``.
            pairs: Those of the labels that have a rate, sorted.
        """
        errors, length, added = (sums_by(labels, held, pairs) for held in (*sums, freedom))
        return cls(pairs, rates_of(errors, length), added)

    def measures(self, *, pooled: Floats) -> dict[str, Measure]:
        """Return ``MEANS``, ``GAP`` and ``SINGLE``: means over corpora, their distances, and each corpus by itself.

        Args:
            pooled: The rate of all utterances, ``(B,)``.
        """
        names = [f"{language} {corpus}" for language, corpus in self.pairs]
        single = Measure(names, self.rates, self.freedom.tolist(), wanted=ONLY_SINGLE)
        return {MEANS: self.means(pooled=pooled), GAP: self.differences(), SINGLE: single}

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
        chosen = [np.array(found) for found in members]
        return [
            min(freedom_of_sum(self._variances[one], self.freedom[one]), float(self.freedom[one].sum()))
            for one in chosen
        ]

    @functools.cached_property
    def _variances(self) -> Floats:
        return variances(self.rates)


def pairs_with_rate(labels: Pairs, length: Floats) -> Pairs:
    """Return language and corpus, sorted, of those strata that hold something.

    Args:
        labels: Of each of S strata.
        length: Their reference length, ``(S, 1)``.
    """
    return sorted({label for label, held in zip(labels, length[:, 0], strict=True) if held > 0})


def nested(pairs: Pairs, values: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Return the values by language and corpus."""
    found: dict[str, dict[str, Any]] = {}
    for (language, corpus), value in zip(pairs, values, strict=True):
        found.setdefault(language, {})[corpus] = value
    return found


def layout_over_corpora(
    means: Mapping[str, Any], gap: Mapping[str, Any], by_pair: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Put numbers, or intervals of numbers, where ``scores.json`` has those of languages in corpora.

    Args:
        means: What was found of ``MEANS``; what is said of all utterances together is left out.
        gap: What was found of ``GAP``.
        by_pair: What was found of ``SINGLE``, by language and corpus.
    """
    numbers = {name: value for name, value in means.items() if name != "micro"}
    by_language = {name: by_pair[name] for name in means["by_language"]}
    return {**numbers, "largest_gap": gap["worst"], "by_language_and_corpus": by_language}
