"""What batching needs to know of a prepared set, read without opening any audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_dro.batching import Batch, BatchingConfig, EpochBatches
from asr_dro.data.data_dir import SAMPLE_RATE_HZ, read_two_columns
from asr_dro.data.lengths import read_groups
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

    utt_ids: tuple[str, ...]
    durations_s: NDArray[np.float64]
    groups: NDArray[np.int64]
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
        try:
            samples = read_two_columns(folder / "utt2num_samples")
            groups = read_two_columns(folder / "group_ids")
            names = read_groups(data_set / "groups.txt")
        except FileNotFoundError as error:
            raise UserError(f"{error.filename} is missing; run stage 3 (lengths and groups) first") from error
        if samples.keys() != groups.keys():
            raise UserError(f"{folder}: utt2num_samples and group_ids hold different utterances; run stage 3 again")
        return cls(
            utt_ids=tuple(samples),
            durations_s=np.array([int(n) for n in samples.values()], dtype=np.float64) / SAMPLE_RATE_HZ,
            groups=np.array([int(groups[utt_id]) for utt_id in samples], dtype=np.int64),
            group_names=tuple(names),
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
