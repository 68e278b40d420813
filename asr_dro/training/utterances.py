"""What batching needs to know of a prepared set, read without opening any audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_dro.batching import Batch, BatchingConfig, EpochBatches
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.lengths import read_groups
from asr_dro.data.packed_columns import Ints, PackedStrings, read_integers
from asr_dro.errors import UserError


@dataclass(frozen=True)
class UtteranceTable:
    """Utterances of one split.

    Attributes:
        utt_ids: Utterance ids, in the order of the files.
        durations_s: Seconds of audio, one per utterance.
        groups: Index of the group in ``group_names``, one per utterance.
        group_names: All groups of the training data, sorted.
    """

    utt_ids: PackedStrings
    durations_s: NDArray[np.float64]
    groups: Ints
    group_names: tuple[str, ...]

    @classmethod
    def read(cls, data_set: Path, split: str) -> UtteranceTable:
        """Read what stage 3 wrote.

        Args:
            data_set: Prepared set, e.g. ``data/mini_mini6``.
            split: ``train``, ``dev`` or ``test``.

        Raises:
            UserError: If stage 3 has not run, or its files do not belong together.
        """
        folder = data_set / split
        utt_ids, samples = _read_column(folder / "utt2num_samples")
        others, groups = _read_column(folder / "group_ids")
        if not utt_ids.same_as(others):
            raise UserError(f"{folder}: utt2num_samples and group_ids hold different utterances; run stage 3 again")
        return cls(
            utt_ids=utt_ids,
            durations_s=samples / SAMPLE_RATE_HZ,
            groups=groups,
            group_names=tuple(read_groups(data_set / "groups.txt")),
        )

    def training_batches(self, batching: Mapping[str, Any], seed: int) -> EpochBatches:
        """Return the batches of a training, one epoch at a time.

        Args:
            batching: Options of ``BatchingConfig``.
            seed: Seed of the run.
        """
        config = BatchingConfig.from_mapping(batching)
        return EpochBatches(self.durations_s, self.groups, len(self.group_names), config=config, seed=seed)

    def evaluation_batches(self, seconds_per_batch: float) -> list[Batch]:
        """Return batches of similar lengths that hold each utterance once; ``seconds_per_batch`` counts padding."""
        config = BatchingConfig(seconds_per_batch=seconds_per_batch, batches_per_update=1, count_padding=True)
        return EpochBatches(self.durations_s, np.zeros_like(self.groups), 1, config=config, seed=0).batches(0)


def _read_column(path: Path) -> tuple[PackedStrings, Ints]:
    """Read one integer per utterance."""
    utt_ids, integers = read_integers(path)
    column = integers.single
    if column is None:
        raise UserError(f"{path} must hold one number per utterance; run stage 3 again")
    return utt_ids, column
