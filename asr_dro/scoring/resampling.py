"""Bootstrap resamples of sums: strata, sampling units, and how often each unit is drawn.

A stratum is one language in one corpus (and one group, where groups cut through languages). Within each stratum as many
units (utterances, or speakers with all their utterances) are drawn with replacement as the stratum has. All that is
needed of a resample are sums over its units (errors, reference length), and these are products of two matrices: how
often each unit was drawn, and what it holds.

- **Small strata** (up to ``MOST_EXACT`` units) are drawn as they stand: n - 1 of n units with replacement, brought to
  the scale of n, so that the spread of the resamples is that of the sample and not (n - 1) / n of it (Rao and Wu 1988,
  "Resampling inference with complex survey data"). It matters where a language has five speakers.
- **Larger strata** draw each unit a Poisson(1) number of times and are brought to the scale of n (Hanley and MacGibbon
  2006, "Creating non-parametric bootstrap samples using Poisson frequencies"): the usual bootstrap, but that the number
  of draws varies by its square root, which rates do not feel.
- **One table of draws serves all strata**, each of which goes through its rows in a random order of its own. So a
  stratum's resamples are as random as if it had its own table, resamples of two strata are independent, and 143
  languages with 1,000 utterances cost 10 million draws in place of 1.4 billion.

Sums are sums of whole numbers, exact in any order, so they do not depend on the machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

from asr_dro.scoring.outcomes import Ints, Outcomes

Floats = NDArray[np.float64]

UNITS = ("auto", "utterance", "speaker")
FEW_UNITS = 10  # below this the spread between units is itself hardly known, and intervals tend to be too narrow
MOST_EXACT = 64
BLOCK = 1024  # units per row of the shared table
_BLOCKS_AT_ONCE = 32
_EXACT_IN_FLOAT32 = 2**24


LANGUAGE, CORPUS, GROUP = 0, 1, 2  # places in a stratum's key


@dataclass(frozen=True)
class Strata:
    """Sampling units, by stratum.

    Attributes:
        keys: Language, corpus and group of each of S strata, sorted.
        values: One array per stratum, ``(units, K)``: what is summed, in an order that depends on the values alone.
        units: Sampling unit of each language, ``"utterance"`` or ``"speaker"``.
        n_values: K.
    """

    keys: list[tuple[str, str, str]]
    values: list[Ints]
    units: dict[str, str]
    n_values: int

    def names(self, place: int = LANGUAGE) -> list[str]:
        """Return the languages, corpora or groups, sorted."""
        return sorted({key[place] for key in self.keys})

    def n_units(self) -> dict[str, int]:
        """Count the sampling units of each language."""
        n_units = dict.fromkeys(self.units, 0)
        for key, values in zip(self.keys, self.values, strict=True):
            n_units[key[LANGUAGE]] += len(values)
        return n_units

    def varying(self, place: int = LANGUAGE) -> set[str]:
        """Name the languages, corpora or groups with a stratum of two units or more; of others nothing can be said."""
        return {key[place] for key, values in zip(self.keys, self.values, strict=True) if len(values) > 1}

    def freedom(self, names: Sequence[str], place: int = LANGUAGE) -> list[float]:
        """Return degrees of freedom of languages, corpora or groups: units minus strata."""
        freedom = dict.fromkeys(names, 0.0)
        for key, own in zip(self.keys, self.freedom_of_strata().tolist(), strict=True):
            if key[place] in freedom:
                freedom[key[place]] += own
        return list(freedom.values())

    def freedom_of_strata(self) -> Floats:
        """Return the degrees of freedom of each stratum, ``(S,)``: units minus one."""
        return np.array([len(values) - 1 for values in self.values], dtype=float)

    def totals(self) -> Floats:
        """Sum up everything, ``(S, K, 1)``: what a resample would be that draws each unit once."""
        totals = np.zeros((len(self.values), self.n_values, 1))
        for total, values in zip(totals, self.values, strict=True):
            total[:, 0] = values.sum(axis=0)
        return totals

    def with_total(self, column: int) -> list[str]:
        """Name the languages whose values in a column are not all 0: where it is the denominator, they have a rate."""
        found = {key[LANGUAGE] for key, values in zip(self.keys, self.values, strict=True) if values[:, column].any()}
        return sorted(found)

    def describe(self, unit: str) -> dict[str, object]:
        """Say what was drawn, ready for JSON: the unit asked for, unit and number of units by language, who has few."""
        n_units = self.n_units()
        return {
            "requested": unit,
            "by_language": {name: {"unit": kind, "n": n_units[name]} for name, kind in self.units.items()},
            "few": [name for name, number in n_units.items() if number < FEW_UNITS],
        }


def make_strata(outcomes: Outcomes, values: Ints, unit: str = "auto") -> Strata:
    """Sort utterances into strata, and into speakers where speakers are drawn.

    Args:
        outcomes: Languages, corpora, groups and speakers of N utterances.
        values: ``(N, K)`` whole numbers that are to be summed.
        unit: One of ``UNITS``. ``auto`` draws speakers in each language that has at least two and more utterances than
            speakers; utterances of one speaker resemble each other, and drawing them singly makes intervals too narrow.

    Returns:
        The strata.
    """
    kinds = _units(outcomes, unit)
    keys = list(zip(outcomes.languages, outcomes.corpora, outcomes.groups, strict=True))
    strata = {key: number for number, key in enumerate(sorted(set(keys)))}
    speakers = {speaker: number for number, speaker in enumerate(dict.fromkeys(outcomes.speakers))}
    n_utterances = len(keys)
    stratum = np.fromiter(map(strata.__getitem__, keys), np.int64, n_utterances)
    speaker = np.fromiter(map(speakers.__getitem__, outcomes.speakers), np.int64, n_utterances)
    by_speaker = np.array([kinds[language] == "speaker" for language, _, _ in strata], dtype=bool)
    name = np.where(by_speaker[stratum], speaker, len(speakers) + np.arange(n_utterances))
    units, unit_of_utterance = np.unique(stratum * (len(speakers) + n_utterances) + name, return_inverse=True)
    stratum_of_unit = units // max(1, len(speakers) + n_utterances)
    columns = [np.bincount(unit_of_utterance, column, len(units)) for column in values.T]  # exact below 2^53
    sums = np.stack(columns, axis=1).astype(np.int64)
    order = np.lexsort((*sums.T, stratum_of_unit))
    bounds = np.searchsorted(stratum_of_unit[order], np.arange(1, len(strata)))
    parts = np.split(sums[order], bounds) if strata else []
    return Strata(list(strata), parts, kinds, values.shape[1])


class Resampler:
    """Draws resamples of strata and sums up what they hold.

    Args:
        resamples: B, how many.
        seed: Equal seeds give equal draws.
    """

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples, self._table = resamples, _Table(resamples, seed)
        self._seed = seed

    def sums(self, strata: Strata, columns: slice | Sequence[int] = slice(None)) -> Floats:
        """Draw resamples of every stratum; each call draws the same ones.

        Args:
            strata: S strata, their values not negative.
            columns: Which of the values to sum up, K of them.

        Returns:
            ``(S, K, B)``; each resample is on the scale of the stratum's own number of units. A stratum of one unit
            does not vary.
        """
        values = [held[:, columns] for held in strata.values]
        n_columns = len(range(*columns.indices(strata.n_values))) if isinstance(columns, slice) else len(columns)
        sums = np.zeros((len(values), n_columns, self.resamples))
        draws = np.zeros((len(values), 1, self.resamples))
        large: list[tuple[int, Ints]] = []
        by_size: dict[int, list[tuple[int, Ints]]] = defaultdict(list)
        for index, held in enumerate(values):
            if len(held) == 1:
                sums[index] = held.T
            elif len(held) <= MOST_EXACT:
                by_size[len(held)].append((index, held))
            else:
                large += [(index, held[start : start + BLOCK]) for start in range(0, len(held), BLOCK)]
        order = np.random.default_rng([self._seed, 1])
        for size, blocks in sorted(by_size.items()):
            counts = self._table.exact(size)
            for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
                _add_blocks(sums, draws, blocks[start : start + _BLOCKS_AT_ONCE], counts=counts, order=order)
        large.sort(key=lambda block: len(block[1]))  # stable: equal sizes stay in the order of strata
        counts = self._table.poisson(len(large[-1][1]) if large else 0)
        for start in range(0, len(large), _BLOCKS_AT_ONCE):
            _add_blocks(sums, draws, large[start : start + _BLOCKS_AT_ONCE], counts=counts, order=order)
        sizes = np.array([len(held) for held in values], dtype=float).reshape(-1, 1, 1)
        np.divide(sizes, draws, out=draws, where=draws > 0)
        draws[draws == 0] = 1  # a stratum of one unit
        sums *= draws
        return sums


class _Table:
    """How often each unit is drawn in each of B resamples.

    Args:
        resamples: B.
        seed: Seed of the draws.
    """

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples, self.seed = resamples, seed
        self._poisson: NDArray[np.float32] = np.empty((0, resamples), dtype=np.float32)

    def poisson(self, n_units: int) -> NDArray[np.float32]:
        """``(n_units or more, B)``: Poisson(1), its probabilities rounded to 1 / 65,536.

        Of few units and of many the first rows are the same.
        """
        if len(self._poisson) < n_units:
            cumulative = np.cumsum([exp(-1) / factorial(k) for k in range(12)])
            lookup = np.searchsorted(np.round(cumulative * 2**16), np.arange(2**16), side="right").astype(np.float32)
            rng = np.random.default_rng([self.seed, 0])
            self._poisson = lookup[rng.integers(0, 2**16, (n_units, self.resamples), dtype=np.uint16)]
        return self._poisson

    def exact(self, n_units: int) -> NDArray[np.float32]:
        """``(n_units, B)``: multinomial, ``n_units - 1`` draws with replacement."""
        rng = np.random.default_rng([self.seed, 2, n_units])
        counts = np.empty((self.resamples, n_units), dtype=np.float32)
        for start, stop in _chunks(self.resamples, 1 + 2**18 // n_units):  # what fits into a core's cache
            drawn = rng.integers(0, n_units, (stop - start, n_units - 1))
            drawn += n_units * np.arange(stop - start)[:, None]
            counts[start:stop] = np.bincount(drawn.ravel(), minlength=(stop - start) * n_units).reshape(-1, n_units)
        return counts.T


def _add_blocks(
    sums: Floats,
    draws: Floats,
    blocks: Sequence[tuple[int, Ints]],
    *,
    counts: NDArray[np.float32],
    order: np.random.Generator,
) -> None:
    """Add to ``sums`` ``(S, K, B)`` and ``draws`` ``(S, 1, B)`` what is drawn of some blocks of units."""
    n_units, n_values = max(len(values) for _, values in blocks), sums.shape[1]
    held = np.zeros((len(blocks), n_values + 1, n_units))
    for place, (_, values) in enumerate(blocks):
        held[place, :n_values, : len(values)] = values.T
        held[place, n_values, : len(values)] = 1
    used = counts[:n_units]
    is_exact = held.sum(axis=2).max() * used.max() < _EXACT_IN_FLOAT32
    kind = np.float32 if is_exact else np.float64
    flat = held.reshape(-1, n_units).astype(kind) @ used.astype(kind, copy=False)
    drawn = flat.reshape(len(blocks), n_values + 1, -1)
    for place, (index, _) in enumerate(blocks):
        shuffled = drawn[place].take(order.permutation(sums.shape[2]), axis=1)
        sums[index] += shuffled[:-1]
        draws[index] += shuffled[-1:]


def _units(outcomes: Outcomes, unit: str) -> dict[str, str]:
    """Choose the sampling unit of each language; sorted."""
    if unit != "auto":
        return dict.fromkeys(sorted(set(outcomes.languages)), unit)
    speakers: dict[str, set[str]] = defaultdict(set)
    n_utterances: dict[str, int] = defaultdict(int)
    for language, speaker in zip(outcomes.languages, outcomes.speakers, strict=True):
        speakers[language].add(speaker)
        n_utterances[language] += 1
    return {
        language: "speaker" if 2 <= len(speakers[language]) < n_utterances[language] else "utterance"
        for language in sorted(speakers)
    }


def _chunks(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut ``range(total)`` into pieces."""
    return ((start, min(start + size, total)) for start in range(0, total, size))
