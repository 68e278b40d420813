"""Batches of all groups, sorted by length: the ordinary way, with the same audio per batch as the group-pure ones."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from asr_dro.batching.packing import BatchLimits, batch_count, pack
from asr_dro.batching.schedule import generator, temperature_shares, visits_before, whole_visits
from asr_dro.batching.utterances import MIXED, Batch, Floats, Ints, Utterances


class MixedBatches:
    """The batches of one epoch after the other.

    With a temperature other than 1 each group is an endless stream of its utterances, shuffled anew on each pass, of
    which an epoch takes the piece that is its share; so a large group is used up evenly over the epochs. A batch may
    then be a little longer than the limit, for the number of batches is the same in all epochs.

    Args:
        data: Durations and groups.
        limits: What fits in a batch.
        batches_per_update: The number of batches is a multiple of it.
        temperature: See ``temperature_shares``.
        seed: Seed of the run.
    """

    def __init__(
        self, data: Utterances, limits: BatchLimits, *, batches_per_update: int, temperature: float, seed: int
    ) -> None:
        self.data = data
        self.limits = limits
        self.batches_per_update = batches_per_update
        self.temperature = temperature
        self.seed = seed

    @cached_property
    def batches_per_epoch(self) -> int:
        """Number of batches: rounded up to whole updates, over which the audio is spread evenly."""
        utterances = self._utterances(epoch=0, seed=0)
        count = batch_count(self.data.durations_s[utterances], self.limits)
        return math.ceil(count / self.batches_per_update) * self.batches_per_update

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of an epoch in random order."""
        utterances = self._utterances(epoch, self.seed)
        count = min(self.batches_per_epoch, len(utterances))
        packed = pack(self.data.durations_s[utterances], count, self.limits, generator(self.seed, epoch))
        # Fewer utterances than batches: the batches of one utterance each are repeated.
        return [Batch(utterances[packed[i % count]], 1.0, MIXED) for i in range(self.batches_per_epoch)]

    @cached_property
    def _rates(self) -> Floats:
        """Utterances of each group per epoch, ``(G,)``, maybe fractions; their sum is a whole number."""
        present = self.data.seconds > 0
        rates = np.zeros(self.data.n_groups)
        shares = temperature_shares(self.data.seconds[present], self.temperature)
        utterances = np.array([len(members) for members in self.data.members])[present]
        rates[present] = shares * self.data.seconds.sum() / (self.data.seconds[present] / utterances)
        total = rates.sum()
        return np.asarray(rates * (max(1, round(total)) / total))

    def _utterances(self, epoch: int, seed: int) -> Ints:
        """Return the utterances of an epoch, some of them repeatedly if the temperature is not 1."""
        if self.temperature == 1:
            return np.arange(len(self.data.durations_s))
        begin, length = visits_before(self._rates, epoch), whole_visits(self._rates, epoch)
        pieces = [self._piece(g, int(begin[g]), int(length[g]), seed=seed) for g in range(self.data.n_groups)]
        return np.concatenate(pieces)

    def _piece(self, group: int, begin: int, length: int, *, seed: int) -> Ints:
        """Return ``length`` utterances of a group's stream from position ``begin`` on."""
        members = self.data.members[group]
        parts = [members[:0]]
        position = begin
        while position < begin + length:
            cycle, first = divmod(position, len(members))
            last = min(len(members), first + begin + length - position)
            whole = last - first == len(members)  # then its order does not matter
            shuffled = members if whole else generator(seed, cycle, group).permutation(members)
            parts.append(shuffled[first:last])
            position += last - first
        return np.concatenate(parts)
