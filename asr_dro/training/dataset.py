"""The data set that loader processes read from: audio decoded on the fly, labels and groups in packed columns.

In place of ESPnet's, which keeps a dictionary of strings per file and reads audio at the rate it has. A file that
cannot be read does not end the training: noise stands in for it, and its utterance is left out of the loss, counted
and named.

Legend: ``B`` utterances, ``T`` samples, ``L`` labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from asr_dro.data.audio import ClipError
from asr_dro.data.audio_reading import SHORTEST_S, Samples, read_audio
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.packed_columns import PackedIntegers, PackedStrings, read_integers, read_strings
from asr_dro.errors import UserError
from asr_dro.training.augmenter import Augmenter
from asr_dro.training.utterances import UtteranceTable

LABEL_PADDING = -1  # ESPnet's ignore_id
UNREADABLE = "unreadable"
_STAND_IN_AMPLITUDE = 1e-3


class Draw(NamedTuple):
    """What a loader process is asked for.

    Attributes:
        position: Position of the utterance in its table.
        epoch: Epoch, from 1.
        occurrence: How often the utterance has come before in this epoch.
    """

    position: int
    epoch: int
    occurrence: int


class Example(NamedTuple):
    """One utterance as the collate function takes it.

    Attributes:
        utt_id: Its id.
        arrays: ``speech`` (T,) float32, ``text`` (L,) and ``group`` (1,) int64.
        failure: Why its audio could not be read, empty if it could.
    """

    utt_id: str
    arrays: dict[str, NDArray[Any]]
    failure: str


class SpeechDataset(Dataset[Example]):
    """Utterances of one split.

    Args:
        table: Ids, lengths and groups.
        paths: Audio files.
        labels: Token indices.
        augmenter: Changes the audio; None: no augmentation.
    """

    def __init__(
        self, table: UtteranceTable, paths: PackedStrings, labels: PackedIntegers, augmenter: Augmenter | None = None
    ) -> None:
        self.table, self.paths, self.labels, self.augmenter = table, paths, labels, augmenter

    @classmethod
    def read(cls, folder: Path, table: UtteranceTable, augmenter: Augmenter | None = None) -> SpeechDataset:
        """Read the columns of a split; opens no audio.

        Args:
            folder: Folder of the split.
            table: Its utterances.
            augmenter: Changes the audio.

        Raises:
            UserError: If a file is missing, or the files hold different utterances.
        """
        utt_ids, paths = read_strings(folder / "wav.scp")
        others, labels = read_integers(folder / "token_ids")
        for name, found in (("wav.scp", utt_ids), ("token_ids", others)):
            if not found.same_as(table.utt_ids):
                raise UserError(f"{folder}: {name} and utt2num_samples hold different utterances; run stage 3 again")
        return cls(table, paths, labels, augmenter)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> Example:
        utt_id = self.table.utt_ids[draw.position]
        samples = round(self.table.durations_s[draw.position] * SAMPLE_RATE_HZ)
        failure = ""
        try:
            speech = read_audio(self.paths[draw.position], samples)
            if self.augmenter is not None:
                speech = self.augmenter(speech, utt_id, epoch=draw.epoch, occurrence=draw.occurrence)
        except ClipError as error:
            failure = f"{self.paths[draw.position]}: {error}"
            speech = stand_in(samples)
        group = self.table.groups[draw.position : draw.position + 1]
        return Example(utt_id, {"speech": speech, "text": self.labels[draw.position], "group": group}, failure)


def stand_in(samples: int) -> Samples:
    """Return faint noise (T,) of a length that no front end stumbles over; silence would have no variance."""
    length = max(samples, round(SHORTEST_S * SAMPLE_RATE_HZ))
    noise = np.random.default_rng(0).standard_normal(length, dtype=np.float32)
    return noise * np.float32(_STAND_IN_AMPLITUDE)


def collate_examples(examples: Sequence[Example]) -> tuple[list[str], dict[str, Tensor], dict[str, str]]:
    """Pad examples to a batch, as ESPnet's ``CommonCollateFn`` does, whose import costs seconds of tokenisers.

    Returns:
        Utterance ids, padded tensors, and the failures by utterance id. The tensors are those of ESPnet (``speech``
        (B, T), ``speech_lengths`` (B,), ...) and ``unreadable`` (B,), true where noise stands in for the audio.
    """
    tensors: dict[str, Tensor] = {}
    for name in examples[0].arrays:
        rows = [torch.from_numpy(example.arrays[name]) for example in examples]
        padding = 0.0 if rows[0].is_floating_point() else LABEL_PADDING
        tensors[name] = pad_sequence(rows, batch_first=True, padding_value=padding)
        tensors[f"{name}_lengths"] = torch.tensor([len(row) for row in rows])
    tensors[UNREADABLE] = torch.tensor([bool(example.failure) for example in examples])
    failures = {example.utt_id: example.failure for example in examples if example.failure}
    return [example.utt_id for example in examples], tensors, failures
