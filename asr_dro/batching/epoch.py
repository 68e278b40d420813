"""The batches of an epoch: packed and ordered anew from (seed, epoch).

Nothing is remembered between epochs, so training that stops in epoch 7 after 40 batches goes on with
``plan.batches(7, start=40)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from asr_dro.batching.config import BatchingConfig
from asr_dro.batching.group_pure import GroupPureBatches
from asr_dro.batching.mixed import MixedBatches
from asr_dro.batching.packing import BatchLimits
from asr_dro.batching.utterances import Batch, Utterances, padding_share

# The released code's target: the longest mean duration of a group, times its batch size 4.
UTTERANCES_PER_BATCH = 4


class EpochBatches:
    """All batches of a training run, one epoch at a time.

    Every epoch has the same number of batches, a multiple of ``batches_per_update``: numbers of batches are rounded
    up and the audio is spread evenly over them, so nothing is left over at the end of an epoch. With mixed batches,
    and with group-pure ones in ``proportional`` or ``interleaved`` order, at temperature 1, each utterance comes
    exactly once per epoch (data of fewer utterances than batches come more than once). With the ``uniform`` schedule
    or another temperature, an epoch has as many batches as make up the audio of the data, rounded to whole updates.

    Args:
        durations_s: ``(N,)`` durations.
        groups: ``(N,)`` group indices.
        n_groups: Number of groups.
        config: Options.
        seed: Seed of the run.

    Raises:
        UserError: No utterances, durations that are not positive, group indices out of range, or a group without data.

    >>> config = BatchingConfig(kind="group", seconds_per_batch=6.0, batches_per_update="groups")
    >>> plan = EpochBatches([1, 2, 3, 3, 2, 1], [0, 0, 0, 1, 1, 1], 2, config=config, seed=0)
    >>> [(batch.group, sorted(batch.indices.tolist()), batch.visit_fraction) for batch in plan.batches(epoch=0)]
    [(1, [3, 4, 5], 1.0), (0, [0, 1, 2], 1.0)]
    """

    def __init__(
        self, durations_s: ArrayLike, groups: ArrayLike, n_groups: int, *, config: BatchingConfig, seed: int
    ) -> None:
        self.data = Utterances(np.asarray(durations_s, dtype=np.float64), np.asarray(groups, dtype=np.int64), n_groups)
        self.data.check(needs_all_groups=config.kind == "group")
        self.config = config
        self.seconds_per_batch = config.target_seconds(self.data.n_groups) or default_seconds_per_batch(self.data)
        self.batches_per_update = config.updates_every(n_groups)
        limits = BatchLimits(self.seconds_per_batch, config.overshoot, config.count_padding, config.max_utterances)
        self._source: MixedBatches | GroupPureBatches
        if config.kind == "mixed":
            self._source = MixedBatches(
                self.data,
                limits,
                batches_per_update=self.batches_per_update,
                temperature=config.temperature,
                seed=seed,
            )
        else:
            self._source = GroupPureBatches(
                self.data,
                limits,
                batches_per_update=self.batches_per_update,
                schedule=config.order,
                temperature=config.temperature,
                seed=seed,
            )

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches, the same in every epoch."""
        return self._source.batches_per_epoch

    @property
    def updates_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch."""
        return self.batches_per_epoch // self.batches_per_update

    def batches(self, epoch: int, start: int = 0) -> list[Batch]:
        """Return the batches of an epoch in the order of training.

        Args:
            epoch: Number of the epoch, from 0.
            start: Batches to leave out at the beginning, to go on in the middle of an epoch.
        """
        return self._source.batches(epoch)[start:]

    def describe(self, epoch: int = 0) -> dict[str, float]:
        """Return what is worth logging of an epoch: numbers and seconds of batches and updates, and the padding."""
        batches = self.batches(epoch)
        seconds = float(sum(self.data.durations_s[batch.indices].sum() for batch in batches))
        return {
            "batches": len(batches),
            "updates": self.updates_per_epoch,
            "batches_per_update": self.batches_per_update,
            "target_seconds_per_batch": self.seconds_per_batch,
            "seconds_per_batch": seconds / len(batches),
            "seconds_per_update": seconds / self.updates_per_epoch,
            "seconds_per_epoch": seconds,
            "padding_share": padding_share(batches, self.data.durations_s),
        }


def default_seconds_per_batch(data: Utterances) -> float:
    """Return the target duration of the released code: four utterances of the group with the longest ones."""
    utterances = np.maximum(np.bincount(data.groups, minlength=data.n_groups), 1)
    return UTTERANCES_PER_BATCH * float((data.seconds / utterances).max())


def build_batches(
    durations_s: ArrayLike,
    groups: ArrayLike,
    n_groups: int,
    *,
    config: BatchingConfig,
    seed: int,
    epoch: int,
    start: int = 0,
) -> list[Batch]:
    """Return the batches of one epoch; ``EpochBatches`` saves the preparation when several are needed."""
    return EpochBatches(durations_s, groups, n_groups, config=config, seed=seed).batches(epoch, start)
