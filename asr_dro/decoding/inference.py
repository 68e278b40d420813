"""A trained model at work: rebuilt once, then whole splits in batches sorted by length.

Shapes: ``B`` utterances, ``N`` samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from tqdm import tqdm

from asr_dro.data.audio_reading import UnreadableUtterances
from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.tokens import decode
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.model_loading import load_model
from asr_dro.decoding.search import SearchSetup, build_search
from asr_dro.scoring.hypotheses import format_hypothesis
from asr_dro.training.batches import DrawSampler, start_worker
from asr_dro.training.dataset import Example, SpeechDataset
from asr_dro.training.utterances import UtteranceTable


class Decoded(NamedTuple):
    """A decoded split.

    Attributes:
        hypotheses: By utterance id; empty where the audio could not be read.
        unreadable: Why, for those.
    """

    hypotheses: dict[str, str]
    unreadable: dict[str, str]


class ReadBatch(NamedTuple):
    """Some utterances of a split.

    Attributes:
        utt_ids: Those that could be read, ``B``.
        speech: Their samples, (B, N), padded with zeros.
        lengths: Their numbers of samples, (B,).
        failures: Why others could not be read, by utterance id.
    """

    utt_ids: list[str]
    speech: Tensor
    lengths: Tensor
    failures: dict[str, str]


class Recognizer:
    """A model and its tokens.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        experiment: Folder of a finished training.
        config: Decoding configuration.
        ngpu: 0 decodes on the CPU, anything above on one GPU.
    """

    def __init__(self, data_set: Path, experiment: Path, config: DecodeConfig, *, ngpu: int) -> None:
        self.data_set = data_set
        self.config = config
        self.device = torch.device("cuda" if ngpu else "cpu")
        self.model = load_model(experiment, self.device)
        self.search = build_search(SearchSetup(config, self.model, data_set))
        self.token_list = self.model.token_list  # the model's own, whatever the prepared set says by now

    def decode_split(self, split: str, *, nj: int = 1) -> Decoded:
        """Return the hypothesis of each utterance: language tag (if one was recognised), then the text.

        Args:
            split: ``dev`` or ``test``.
            nj: Processes that read audio.

        Raises:
            UserError: If more than a few utterances cannot be read.
        """
        decoded = Decoded({}, {})
        unreadable = UnreadableUtterances(split, consequence="its hypothesis is empty")
        languages = read_two_columns(self.data_set / split / "utt2lang")
        for batch in self._batches(split, nj, unreadable):
            unreadable.add(batch.failures)
            decoded.unreadable.update(batch.failures)
            decoded.hypotheses.update(dict.fromkeys(batch.failures, ""))
            if not batch.utt_ids:
                continue
            spoken = [languages[utt_id] for utt_id in batch.utt_ids]
            found = self.search(batch.speech.to(self.device), batch.lengths.to(self.device), spoken)
            for utt_id, hypotheses in zip(batch.utt_ids, found, strict=True):
                language, text = decode(hypotheses[0].tokens, self.token_list)
                decoded.hypotheses[utt_id] = format_hypothesis(hypotheses[0].language or language, text)
        return decoded

    def _batches(self, split: str, nj: int, unreadable: UnreadableUtterances) -> Iterator[ReadBatch]:
        """Yield batches with a progress bar."""
        table = UtteranceTable.read(self.data_set, split)
        dataset = SpeechDataset.read(self.data_set / split, table)
        unreadable.begin(len(dataset))
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=DrawSampler(table.evaluation_batches(self.config.seconds_per_batch)),
            num_workers=max(0, nj - 1),
            collate_fn=collate,
            worker_init_fn=start_worker,
        )
        with tqdm(total=len(dataset), unit="utt", desc=f"decode {split}", disable=None) as progress:
            for batch in loader:
                yield batch
                progress.update(len(batch.utt_ids) + len(batch.failures))


def collate(examples: Sequence[Example]) -> ReadBatch:
    """Pad what could be read to a batch."""
    read = [example for example in examples if not example.failure]
    samples = [torch.from_numpy(example.arrays["speech"]) for example in read]
    return ReadBatch(
        [example.utt_id for example in read],
        pad_sequence(samples, batch_first=True) if samples else torch.zeros(0, 0),
        torch.tensor([len(s) for s in samples]),
        {example.utt_id: example.failure for example in examples if example.failure},
    )
