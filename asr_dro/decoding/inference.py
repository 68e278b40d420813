"""A trained model at work: rebuilt once, then whole splits in batches sorted by length.

Shapes: ``B`` utterances, ``N`` samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
import yaml
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from tqdm import tqdm

from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.tokens import decode
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL
from asr_dro.scoring.hypotheses import format_hypothesis
from asr_dro.task import GroupRobustASRTask, register
from asr_dro.training import checkpoints
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.utterances import UtteranceTable


def load_model(experiment: Path, device: torch.device) -> GroupRobustASRModel:
    """Rebuild a trained model and load its final weights, strictly.

    Args:
        experiment: Folder of a finished training.
        device: Where the model goes.
    """
    register()
    # ESPnet wrote the file with PyYAML; it is read back with the same dialect.
    arguments = yaml.safe_load((experiment / ESPNET_CONFIG).read_text(encoding="utf-8"))
    model: GroupRobustASRModel = GroupRobustASRTask.build_model(argparse.Namespace(**arguments))
    model.load_state_dict(checkpoints.load(experiment / CHECKPOINTS / MODEL), strict=True)
    model.to(device).eval()
    return model


class Recognizer:
    """A model and its tokens.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        experiment: Folder of a finished training.
        config: Decoding configuration.
        ngpu: 0 decodes on the CPU, anything above on one GPU.
    """

    def __init__(self, data_set: Path, experiment: Path, config: Mapping[str, Any], *, ngpu: int) -> None:
        self.data_set = data_set
        self.seconds_per_batch = float(config["seconds_per_batch"])
        self.device = torch.device("cuda" if ngpu else "cpu")
        self.model = load_model(experiment, self.device)
        self.token_list = self.model.token_list  # the model's own, whatever the prepared set says by now

    def decode_split(self, split: str, *, nj: int = 1) -> dict[str, str]:
        """Return the hypothesis of each utterance: language tag (if one was recognised), then the text.

        Args:
            split: ``dev`` or ``test``.
            nj: Processes that read audio.
        """
        hypotheses = {}
        for utt_ids, speech, lengths in self._batches(split, nj):
            found = self.model.greedy(speech.to(self.device), lengths.to(self.device))
            for utt_id, token_ids in zip(utt_ids, found, strict=True):
                hypotheses[utt_id] = format_hypothesis(*decode(token_ids, self.token_list))
        return hypotheses

    def _batches(self, split: str, nj: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Yield utterance ids, samples (B, N) and lengths (B,), with a progress bar."""
        table = UtteranceTable.read(self.data_set, split)
        wav = read_two_columns(self.data_set / split / "wav.scp")
        batches = [batch.indices for batch in table.evaluation_batches(self.seconds_per_batch)]
        items: list[list[tuple[str, str]]] = [
            [(table.utt_ids[i], wav[table.utt_ids[i]]) for i in indices] for indices in batches
        ]
        loader: DataLoader[Any] = DataLoader(
            items,  # type: ignore[arg-type]  # a list is a map-style data set
            batch_size=None,
            num_workers=max(0, nj - 1),
            collate_fn=read_batch,
        )
        with tqdm(total=len(table.utt_ids), unit="utt", desc=f"decode {split}", disable=None) as progress:
            for batch in loader:
                yield batch
                progress.update(len(batch[0]))


def read_batch(items: Sequence[tuple[str, str]]) -> tuple[list[str], Tensor, Tensor]:
    """Read (utterance id, audio file) pairs into ids, padded samples (B, N) and lengths (B,)."""
    samples = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for _, path in items]
    lengths = torch.tensor([len(s) for s in samples])
    return [utt_id for utt_id, _ in items], pad_sequence(samples, batch_first=True), lengths
