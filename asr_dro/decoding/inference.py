"""A trained model at work: rebuilt once, then any batches of any split.

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

from asr_dro.batching import Batch
from asr_dro.data.audio_reading import UnreadableUtterances
from asr_dro.data.packed_columns import PackedStrings, read_strings
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.details import hypothesis_text, nbest_entry
from asr_dro.decoding.frame_times import samples_per_frame
from asr_dro.decoding.model_loading import load_model
from asr_dro.decoding.search import SearchSetup, build_search
from asr_dro.errors import UserError
from asr_dro.training.batches import DrawSampler, start_worker
from asr_dro.training.dataset import Example, SpeechDataset
from asr_dro.training.utterances import UtteranceTable


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

    def pin_memory(self) -> ReadBatch:
        """Move the samples to page-locked memory; the loader calls it where there is a GPU."""
        return self._replace(speech=self.speech.pin_memory(), lengths=self.lengths.pin_memory())


class Recognizer:
    """A model and its tokens.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        experiment: Folder of a finished training.
        config: Decoding configuration.
        device: ``cpu``, ``cuda:0``, ``cuda:1``, ...

    Raises:
        UserError: If there is no trained model or no such GPU, or the search does not go with the model.
    """

    def __init__(self, data_set: Path, experiment: Path, config: DecodeConfig, *, device: str = "cpu") -> None:
        self.data_set = data_set
        self.config = config
        self.device = torch.device(device)
        self.device_name = _device_name(self.device)
        self.model = load_model(experiment, self.device)
        self.step = samples_per_frame(self.model.lengths) if config.times else 0
        self.search = build_search(SearchSetup(config, self.model, data_set))
        self.token_list: list[str] = list(self.model.token_list)  # the model's own, whatever the set says by now

    def decode(self, split: str, batches: Sequence[Batch], *, readers: int = 0) -> Iterator[list[dict[str, Any]]]:
        """Yield what is recognised in each batch: a record for each utterance.

        A record has ``utt_id`` and ``text`` (language tag, if one was recognised, then the text; empty if the audio
        cannot be read), ``failure`` (why not), and ``nbest`` if the configuration asks for details.

        Args:
            split: ``dev`` or ``test``.
            batches: Of this split, by positions in its files.
            readers: Processes that read audio; 0: this one does.

        Raises:
            UserError: If more than a few utterances cannot be read.
        """
        table = UtteranceTable.read(self.data_set, split)
        dataset = SpeechDataset.read(self.data_set / split, table)
        languages = _languages(self.data_set / split, table)
        unreadable = UnreadableUtterances(split, consequence="its hypothesis is empty")
        unreadable.begin(len(dataset))
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=DrawSampler(batches),
            num_workers=readers,
            collate_fn=collate,
            worker_init_fn=start_worker,
            pin_memory=self.device.type == "cuda",
        )
        for batch, read in zip(batches, loader, strict=True):
            unreadable.add(read.failures)
            spoken = {table.utt_ids[position]: languages[position] for position in batch.indices.tolist()}
            failures = [{"utt_id": utt_id, "text": "", "failure": why} for utt_id, why in read.failures.items()]
            yield self._recognise(read, [spoken[utt_id] for utt_id in read.utt_ids]) + failures

    @torch.inference_mode()
    def _recognise(self, batch: ReadBatch, languages: Sequence[str]) -> list[dict[str, Any]]:
        if not batch.utt_ids:
            return []
        speech = batch.speech.to(self.device, non_blocking=True)
        found = self.search(speech, batch.lengths.to(self.device, non_blocking=True), languages)
        records = []
        for utt_id, hypotheses, samples in zip(batch.utt_ids, found, batch.lengths.tolist(), strict=True):
            record: dict[str, Any] = {"utt_id": utt_id, "text": hypothesis_text(hypotheses[0], self.token_list)}
            if self.config.keeps_details:
                record["nbest"] = [
                    nbest_entry(hypothesis, self.token_list, step=self.step, samples=samples)
                    for hypothesis in hypotheses
                ]
            records.append(record)
        return records


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


def _languages(folder: Path, table: UtteranceTable) -> PackedStrings:
    utt_ids, languages = read_strings(folder / "utt2lang")
    if not utt_ids.same_as(table.utt_ids):
        raise UserError(f"{folder}: utt2lang and utt2num_samples hold different utterances; run stage 3 again")
    return languages


def _device_name(device: torch.device) -> str:
    """Return the name of a device, for people."""
    if device.type == "cpu":
        return "cpu"
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise UserError(f"--ngpu {(device.index or 0) + 1}: this machine has {count or 'no'} GPUs that torch can use")
    return str(torch.cuda.get_device_name(device))
