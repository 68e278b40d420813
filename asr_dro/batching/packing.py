"""Pack utterances of similar length into batches of a target duration, in O(n log n).

The utterances are sorted by length, jittered a little so that the neighbours differ from epoch to epoch, and cut into
consecutive runs. Consecutive, because padding is then small; and the runs are evened out (smallest limit at which
they are as many), so that no small rest is left over that would count as a batch.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Lengths that differ by less count as equal when an epoch is shuffled; it costs about half of it in padding.
LENGTH_JITTER = 0.1
# Tried in turn until the utterances fit: a jittered order may need one batch more than the sorted one.
JITTERS = (LENGTH_JITTER, LENGTH_JITTER, LENGTH_JITTER, LENGTH_JITTER / 4, 0.0)
# One batch in 64 is kept as slack, so that a jittered order of many utterances nearly always fits.
SLACK = 64
# The limit that evens the batches out is searched to 1 %.
LIMIT_PRECISION = 0.01
# So many batches share what is left for the last one: none of them is then less than about 7/8 of the others.
TAIL = 8


@dataclass(frozen=True)
class BatchLimits:
    """What fits in a batch.

    Attributes:
        seconds: Audio in a batch.
        overshoot: Whether ``seconds`` is to be met on average instead of never exceeded.
        count_padding: Whether seconds are those of the longest utterance times the number of utterances.
        max_utterances: Largest number of utterances; None: no limit.
    """

    seconds: float
    overshoot: bool = False
    count_padding: bool = False
    max_utterances: int | None = None

    def ceiling_s(self, longest_s: float) -> float:
        """Return the seconds that no batch of two or more utterances exceeds, the longest having ``longest_s``.

        With ``overshoot`` that is what filling a batch until it reaches ``seconds`` could come to.
        """
        return self.seconds + longest_s if self.overshoot else self.seconds


class _Runs:
    """Utterances in a fixed order of falling (up to the jitter) duration, cut into consecutive runs."""

    def __init__(self, durations_s: Floats, limits: BatchLimits) -> None:
        self.durations_s = durations_s
        self.limits = limits
        self.ends_s = np.concatenate([[0.0], np.cumsum(durations_s)])
        # Longest from here on: with falling durations that of the utterance itself, up to the jitter.
        self.longest_s = np.maximum.accumulate(durations_s[::-1])[::-1]
        self.ceiling_s = limits.ceiling_s(float(self.longest_s[0]))

    def cuts(self, limit_s: float) -> list[int]:
        """Return the borders (first 0, last ``n``) of the runs that each hold as much as fits in ``limit_s``."""
        return _walk(self._following(limit_s))

    def even_cuts(self, count: int) -> list[int]:
        """Return the borders of exactly ``count`` runs of about equal size, the largest as small as can be."""
        high = min(self.ends_s[-1] / count + self.longest_s[0], self.ceiling_s)
        low = min(self.ends_s[-1] / count, high)
        while len(self.cuts(high)) - 1 > count:
            high *= 2
        while high - low > LIMIT_PRECISION * high:
            middle = (low + high) / 2
            if len(self.cuts(middle)) - 1 <= count:
                high = middle
            else:
                low = middle
        cuts = self._mixed_cuts(low, high, count)
        return self._split(self._even_tail(cuts, high), count)

    def _following(self, limit_s: float) -> list[int]:
        """Return, for a run that starts at an utterance, where the next one starts."""
        start = np.arange(len(self.durations_s))
        if self.limits.count_padding:
            stop = start + np.floor(np.minimum(limit_s / self.longest_s, len(start))).astype(np.int64)
        else:
            # The tolerance covers the rounding of the sums: a batch of exactly the limit fits.
            stop = np.searchsorted(self.ends_s, self.ends_s[:-1] + limit_s * (1 + 1e-12) + 1e-9, side="right") - 1
        if self.limits.max_utterances is not None:
            stop = np.minimum(stop, start + self.limits.max_utterances)
        following: list[int] = np.clip(stop, start + 1, len(start)).tolist()
        return following

    def _mixed_cuts(self, low: float, high: float, count: int) -> list[int]:
        """Return ``count`` runs (at times a few less): the first up to ``low`` long, the others up to ``high``."""
        loose = self._following(high)
        tight = _walk(self._following(low))
        most, too_many = 0, min(count, len(tight) - 1) + 1
        while too_many - most > 1:
            middle = (most + too_many) // 2
            if middle + len(_walk(loose, tight[middle])) - 1 <= count:
                most = middle
            else:
                too_many = middle
        return tight[:most] + _walk(loose, tight[most])

    def _even_tail(self, cuts: list[int], limit_s: float) -> list[int]:
        """Spread the last runs evenly, because the very last holds only what was left."""
        for runs in range(min(TAIL, len(cuts) - 1), 1, -1):
            first = cuts[-1 - runs]
            goals_s = np.linspace(self.ends_s[first], self.ends_s[-1], runs + 1)[1:-1]
            tail = [first, *np.searchsorted(self.ends_s, goals_s).tolist(), cuts[-1]]
            if all(start < stop and self._fits(start, stop, limit_s) for start, stop in itertools.pairwise(tail)):
                return cuts[: -1 - runs] + tail
        return cuts

    def _fits(self, start: int, stop: int, limit_s: float) -> bool:
        """Return whether a run of several utterances keeps the limits."""
        if self.limits.count_padding:
            seconds = (stop - start) * self.longest_s[start]
        else:
            seconds = self.ends_s[stop] - self.ends_s[start]
        most = self.limits.max_utterances
        return bool(seconds <= limit_s + 1e-9) and (most is None or stop - start <= most)

    def _split(self, cuts: list[int], count: int) -> list[int]:
        """Halve the largest runs until there are ``count``: utterances of equal length come in whole numbers only."""
        missing = count - (len(cuts) - 1)
        if missing <= 0:
            return cuts
        pairs = itertools.pairwise(cuts)
        heap = [(self.ends_s[start] - self.ends_s[stop], start, stop) for start, stop in pairs if stop - start > 1]
        heapq.heapify(heap)
        added = []
        for _ in range(missing):
            _, start, stop = heapq.heappop(heap)
            half_s = (self.ends_s[start] + self.ends_s[stop]) / 2
            middle = int(np.clip(np.searchsorted(self.ends_s, half_s), start + 1, stop - 1))
            added.append(middle)
            for first, last in ((start, middle), (middle, stop)):
                if last - first > 1:
                    heapq.heappush(heap, (self.ends_s[first] - self.ends_s[last], first, last))
        return sorted(cuts + added)


def _walk(following: list[int], start: int = 0) -> list[int]:
    """Return the borders of the runs from ``start`` to the end."""
    cuts = [start]
    while cuts[-1] < len(following):
        cuts.append(following[cuts[-1]])
    return cuts


def batch_count(durations_s: Floats, limits: BatchLimits) -> int:
    """Return how many batches the utterances make, at least 1.

    Args:
        durations_s: ``(n,)`` durations, ``n`` at least 1.
        limits: What fits in a batch.

    Returns:
        The number of batches; ``pack`` keeps the limits with that many.
    """
    runs = _Runs(np.sort(durations_s)[::-1], limits)
    count = len(runs.cuts(runs.ceiling_s)) - 1
    count += count // SLACK
    if limits.overshoot:
        count = max(count, round(float(runs.ends_s[-1]) / limits.seconds))
    return min(count, len(durations_s))


def pack(durations_s: Floats, count: int, limits: BatchLimits, rng: np.random.Generator) -> list[Ints]:
    """Pack utterances into ``count`` batches of similar duration, none of them empty.

    Args:
        durations_s: ``(n,)`` durations, ``n`` at least ``count``.
        count: Number of batches, at least ``batch_count(durations_s, limits)``; with fewer the ceiling is exceeded.
        limits: What fits in a batch.
        rng: Chooses among utterances of nearly equal length, and the order of the batches.

    Returns:
        The positions in ``durations_s``, ``count`` arrays that hold each position once.
    """
    if count == 1:
        return [np.argsort(-durations_s, kind="stable")]
    for jitter in JITTERS:
        order = np.argsort(-durations_s * (1 + jitter * rng.random(len(durations_s))), kind="stable")
        runs = _Runs(durations_s[order], limits)
        if len(runs.cuts(runs.ceiling_s)) - 1 <= count:
            break
    batches = [order[start:stop] for start, stop in itertools.pairwise(runs.even_cuts(count))]
    return [batches[position] for position in rng.permutation(count)]
