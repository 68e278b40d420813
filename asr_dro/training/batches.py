"""Batches for ESPnet's trainer: our plan of an epoch, loaded by worker processes in that very order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from torch.utils.data import DataLoader

from asr_dro.batching import Batch, shard
from asr_dro.data.audio_reading import UnreadableUtterances
from asr_dro.data.packed_columns import Ints
from asr_dro.training.dataset import Draw, SpeechDataset, collate_examples
from asr_dro.training.interruption import heed_parent_only, held_back
from asr_dro.training.processes import rank_and_world

Plan = Callable[[int], Sequence[Batch]]


class LoadedBatches:
    """The batches of one epoch with their data, in the order of the plan, the length known beforehand.

    ESPnet's own sequence iterator shuffles batches after the sampler has ordered them, which undoes every schedule;
    here the order of the plan is the order of training.

    Args:
        loader: Yields utterance ids, tensors and failures, one entry per batch.
        batches: The plan of the epoch, or of what is left of it, for all processes.
        unreadable: Told of utterances whose audio cannot be read.
        rank: This process among several.
    """

    def __init__(
        self, loader: DataLoader[Any], batches: Sequence[Batch], unreadable: UnreadableUtterances, rank: int = 0
    ) -> None:
        self.loader = loader
        self.batches = batches
        self.unreadable = unreadable
        self.rank = rank

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        with held_back():  # here its processes begin, and one that is just beginning would die of a signal
            loaded = iter(self.loader)
        for (utt_ids, tensors, failures), batch in zip(loaded, self.batches, strict=True):
            empty = self.is_empty(batch)
            if failures and not empty:
                self.unreadable.add(failures)
            numbers = {"visit_fraction": batch.visit_fraction, "n_unreadable": 0 if empty else len(failures)}
            yield utt_ids, {**tensors, **numbers, "empty": empty}

    def is_empty(self, batch: Batch) -> bool:
        """Tell whether this process's slice of a batch is empty; it then loads one utterance and does not count it."""
        return len(batch.indices) <= self.rank


class DrawSampler:
    """The utterances of an epoch, one list of draws per batch; made when asked for, as an epoch may have millions.

    Args:
        batches: The batches of the whole epoch.
        epoch: Epoch, from 1.
        start: Batches to leave out at the beginning.
        rank: This process among several, which takes every ``world``-th utterance of each batch.
        world: Number of processes.
    """

    def __init__(
        self, batches: Sequence[Batch], epoch: int = 1, *, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        sizes = [len(batch.indices) for batch in batches]
        occurrences = count_occurrences(np.concatenate([np.zeros(0, np.int64), *(batch.indices for batch in batches)]))
        begins = np.cumsum([0, *sizes])
        self.occurrences = [occurrences[begin : begin + size] for begin, size in zip(begins, sizes, strict=False)][
            start:
        ]
        self.batches = batches[start:]
        self.epoch, self.rank, self.world = epoch, rank, world

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Draw]]:
        for batch, occurrences in zip(self.batches, self.occurrences, strict=True):
            places = shard(batch._replace(indices=np.arange(len(batch.indices))), self.rank, self.world).indices
            places = places if len(places) else np.zeros(1, np.int64)  # stands in, see LoadedBatches.is_empty
            columns = batch.indices[places].tolist(), occurrences[places].tolist()
            yield [Draw(position, self.epoch, occurrence) for position, occurrence in zip(*columns, strict=True)]


def count_occurrences(values: Ints) -> Ints:
    """Return how often each value has come before, (N,) -> (N,).

    >>> count_occurrences(np.array([5, 3, 5, 5])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(values, kind="stable")
    begins = np.flatnonzero(np.diff(values[order], prepend=-1))  # of each value's run in sorted order
    runs = np.diff(begins, append=len(values))
    occurrences = np.empty_like(values)
    occurrences[order] = np.arange(len(values)) - np.repeat(begins, runs)
    return occurrences


class BatchFactory(AbsIterFactory):  # type: ignore[misc]  # ESPnet has no type information
    """Build the iterator of an epoch.

    Args:
        dataset: The utterances.
        plan: Epoch from 1 -> batches; their indices are positions in the data set.
        split: Name of the split, for messages.
        sliced: Whether several processes share each batch; False: the plan is this process's own.
        num_workers: Loader processes; 0 loads in the training process.
        pin_memory: Whether batches go to page-locked memory (for a GPU).
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        plan: Plan,
        *,
        split: str,
        sliced: bool,
        num_workers: int,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.plan = plan
        self.sliced = sliced
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.unreadable = UnreadableUtterances(split, consequence="left out of the loss")

    def build_iter(self, epoch: int, shuffle: bool | None = None, *, start: int = 0) -> LoadedBatches:
        """Return the batches of ``epoch`` from number ``start`` on; ``shuffle`` is ESPnet's and has no effect."""
        rank, world = rank_and_world() if self.sliced else (0, 1)
        batches = self.plan(epoch)
        self.unreadable.begin(sum(len(batch.indices) for batch in batches) // world, epoch=epoch)
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            # Each process takes every world-th utterance of a batch; all see every batch, so that they stay in step.
            batch_sampler=DrawSampler(batches, epoch, start=start, rank=rank, world=world),
            num_workers=self.num_workers,
            collate_fn=collate_examples,
            pin_memory=self.pin_memory,
            worker_init_fn=start_worker,
            # The loader draws a seed from the global generator; one of its own keeps the training's draws the same
            # whether an epoch runs through or is resumed.
            generator=torch.Generator().manual_seed(epoch),
        )
        return LoadedBatches(loader, batches[start:], self.unreadable, rank)


def start_worker(_worker: int) -> None:
    """Prepare a process that reads audio."""
    torch.set_num_threads(1)
    heed_parent_only()
    # The MP3 decoder writes to the terminal about damaged files; what matters of it is in the reason we log.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)
