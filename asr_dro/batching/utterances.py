"""What batches are made from (durations and groups) and what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr_dro.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIXED = -1


class Batch(NamedTuple):
    """One batch.

    Attributes:
        indices: Positions of the utterances, longest first (up to the shuffling of nearly equal lengths).
        visit_fraction: Seconds relative to the target for a batch of one group; 1 for a mixed batch.
        group: The group's index, or -1 for a mixed batch.
    """

    indices: Ints
    visit_fraction: float
    group: int


@dataclass(frozen=True, eq=False)
class Utterances:
    """Durations and groups of the training data.

    Attributes:
        durations_s: ``(N,)`` durations.
        groups: ``(N,)`` group indices.
        n_groups: Number of groups.
    """

    durations_s: Floats
    groups: Ints
    n_groups: int

    def check(self, *, needs_all_groups: bool) -> None:
        """Refuse data that no batches can be made from.

        Raises:
            UserError: No utterances, lists of different lengths, a duration that is not positive, a group index out of
                range, or (if all are needed) a group without utterances.
        """
        durations_s, groups = self.durations_s, self.groups
        if durations_s.ndim != 1 or durations_s.shape != groups.shape:
            raise UserError(f"durations {durations_s.shape} and groups {groups.shape} must be lists of equal length")
        if len(durations_s) == 0:
            raise UserError("there are no utterances to train on: check the lengths and groups of the training set")
        wrong = np.flatnonzero(~(np.isfinite(durations_s) & (durations_s > 0)))
        if len(wrong):
            first = f"utterance {wrong[0]} has {durations_s[wrong[0]]} s"
            raise UserError(f"durations must be finite and above 0; {len(wrong)} are not, and {first}")
        outside = np.flatnonzero((groups < 0) | (groups >= self.n_groups))
        if len(outside):
            first = f"utterance {outside[0]} has {groups[outside[0]]}"
            raise UserError(f"group indices go from 0 to {self.n_groups - 1}; {first}")
        missing = np.flatnonzero(np.bincount(self.groups, minlength=self.n_groups) == 0)
        if needs_all_groups and len(missing):
            raise UserError(
                f"groups without training utterances: {missing.tolist()} (positions in the list of groups). "
                "Remove them, or loosen the filter that removed their utterances."
            )

    @cached_property
    def seconds(self) -> Floats:
        """Audio of each group, ``(G,)``."""
        seconds: Floats = np.bincount(self.groups, self.durations_s, self.n_groups).astype(np.float64)
        return seconds

    @cached_property
    def members(self) -> list[Ints]:
        """The utterances of each group, ``G`` arrays."""
        order = np.argsort(self.groups, kind="stable")
        ends = np.cumsum(np.bincount(self.groups, minlength=self.n_groups))
        return np.split(order, ends[:-1])


def padding_share(batches: Sequence[Batch], durations_s: Floats) -> float:
    """Return the share of padding in the audio of padded batches, from 0 to below 1."""
    filled = [batch.indices for batch in batches if len(batch.indices)]
    if not filled:
        return 0.0
    sizes = np.array([len(indices) for indices in filled])
    in_order = durations_s[np.concatenate(filled)]
    longest = np.maximum.reduceat(in_order, np.cumsum(sizes) - sizes)
    return float(1 - in_order.sum() / (longest * sizes).sum())


def shard(batch: Batch, rank: int, world: int) -> Batch:
    """Return the slice of a batch for one of ``world`` processes; it may be empty.

    Every ``world``-th utterance, so that all processes get similar lengths.
    """
    return batch._replace(indices=batch.indices[rank::world])
