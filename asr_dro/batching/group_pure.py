"""Batches of one group each, for objectives that weight groups."""

from __future__ import annotations

import heapq
import math

import numpy as np

from asr_dro.batching.packing import BatchLimits, batch_count, pack
from asr_dro.batching.schedule import generator, order_visits, temperature_shares, visits_before, whole_visits
from asr_dro.batching.utterances import Batch, Floats, Ints, Utterances


class GroupPureBatches:
    """The batches of one epoch after the other.

    Each group goes round its own batches: when all of them have come, its utterances are packed anew. In
    ``proportional`` and ``interleaved`` order at temperature 1, one round is one epoch; otherwise a round is
    continued in the next epoch, so that no utterance of a large group waits longer than another.

    Args:
        data: Durations and groups; every group has utterances.
        limits: What fits in a batch.
        batches_per_update: The number of batches is a multiple of it.
        schedule: ``uniform``, ``proportional`` or ``interleaved``.
        temperature: See ``temperature_shares``.
        seed: Seed of the run.
    """

    def __init__(
        self,
        data: Utterances,
        limits: BatchLimits,
        *,
        batches_per_update: int,
        schedule: str,
        temperature: float,
        seed: int,
    ) -> None:
        self.data = data
        self.limits = limits
        self.batches_per_update = batches_per_update
        self.schedule = schedule
        self.temperature = temperature
        self.seed = seed
        counts = np.array([batch_count(data.durations_s[members], limits) for members in data.members])
        self.counts, self.rates = self._visits(counts)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches, of whole updates."""
        return round(float(self.rates.sum()))

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of an epoch in the order of the schedule."""
        visits = whole_visits(self.rates, epoch)
        order = order_visits(visits, self.schedule, generator(self.seed, epoch))
        begin = visits_before(self.rates, epoch)
        batches = [
            self._group_batches(group, int(begin[group]), int(visits[group])) for group in range(self.data.n_groups)
        ]
        following = [iter(of_group) for of_group in batches]
        return [next(following[group]) for group in order]

    def _visits(self, counts: Ints) -> tuple[Ints, Floats]:
        """Return the number of batches in each group's round, and its visits per epoch (maybe a fraction)."""
        whole_round = self.schedule != "uniform" and self.temperature == 1
        if whole_round:
            counts = self._fill_up(counts)
        mean_seconds = self.data.seconds / counts
        total_seconds = self.data.seconds.sum()
        rates: Floats
        if self.schedule == "uniform":
            rates = np.full(len(counts), total_seconds / mean_seconds.sum())
        elif whole_round:
            rates = counts.astype(np.float64)
        else:
            rates = total_seconds * temperature_shares(self.data.seconds, self.temperature) / mean_seconds
        updates = rates.sum() / self.batches_per_update
        whole = math.ceil(updates) if whole_round else max(1, round(updates))
        return counts, self._rescale(rates, whole * self.batches_per_update)

    @staticmethod
    def _rescale(rates: Floats, total: int) -> Floats:
        """Return the rates with the sum ``total``, which is left as it is where it is right already."""
        return rates if rates.sum() == total else rates * (total / rates.sum())

    def _fill_up(self, counts: Ints) -> Ints:
        """Split groups into more batches, those with the longest batches first, until they make whole updates."""
        utterances = np.array([len(members) for members in self.data.members])
        counts = counts.copy()
        heap = [(-self.data.seconds[g] / counts[g], g) for g in range(len(counts)) if counts[g] < utterances[g]]
        heapq.heapify(heap)
        while counts.sum() % self.batches_per_update and heap:
            _, group = heapq.heappop(heap)
            counts[group] += 1
            if counts[group] < utterances[group]:
                heapq.heappush(heap, (-self.data.seconds[group] / counts[group], group))
        return counts

    def _group_batches(self, group: int, begin: int, visits: int) -> list[Batch]:
        """Return a group's visits number ``begin`` to ``begin + visits - 1`` since the start of training."""
        count = int(self.counts[group])
        members = self.data.members[group]
        durations_s = self.data.durations_s[members]
        batches: list[Batch] = []
        for cycle in range(begin // count, -(-(begin + visits) // count)):
            packed = pack(durations_s, count, self.limits, generator(self.seed, cycle, group))
            first = max(begin - cycle * count, 0)
            last = min(begin + visits - cycle * count, count)
            batches += [
                Batch(members[indices], float(durations_s[indices].sum() / self.limits.seconds), group)
                for indices in packed[first:last]
            ]
        return batches
