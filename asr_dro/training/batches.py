"""Batches for ESPnet's trainer: our plan of an epoch, loaded by worker processes in that very order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.train.collate_fn import CommonCollateFn
from torch.utils.data import DataLoader, Dataset

from asr_dro.batching import Batch, shard
from asr_dro.training.processes import rank_and_world

LABEL_PADDING = -1  # ESPnet's ignore_id

Plan = Callable[[int, int], Sequence[Batch]]


class LoadedBatches:
    """The batches of one epoch with their data, in the order of the plan, the length known beforehand.

    ESPnet's own sequence iterator shuffles batches after the sampler has ordered them, which undoes every schedule;
    here the order of the plan is the order of training.

    Args:
        loader: Yields utterance ids and tensors, one entry per batch.
        batches: The plan of the epoch, or of what is left of it, for all processes.
        rank: This process among several.
    """

    def __init__(self, loader: DataLoader[Any], batches: Sequence[Batch], rank: int = 0) -> None:
        self.loader = loader
        self.batches = batches
        self.rank = rank

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        for (utt_ids, tensors), batch in zip(self.loader, self.batches, strict=True):
            yield utt_ids, {**tensors, "visit_fraction": batch.visit_fraction, "empty": self.is_empty(batch)}

    def is_empty(self, batch: Batch) -> bool:
        """Tell whether this process's slice of a batch is empty; it then loads one utterance and does not count it."""
        return len(batch.indices) <= self.rank


class BatchFactory(AbsIterFactory):  # type: ignore[misc]  # ESPnet has no type information
    """Build the iterator of an epoch.

    Args:
        dataset: ESPnet's data set, indexed by utterance id.
        utt_ids: Utterance ids in the order of the plan's indices.
        plan: (epoch from 1, batches to leave out at its beginning) -> batches.
        sliced: Whether several processes share each batch; False: the plan is this process's own.
        num_workers: Loader processes; 0 loads in the training process.
        pin_memory: Whether batches go to page-locked memory (for a GPU).
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        utt_ids: Sequence[str],
        plan: Plan,
        *,
        sliced: bool,
        num_workers: int,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.utt_ids = np.array(utt_ids)
        self.plan = plan
        self.sliced = sliced
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.collate = CommonCollateFn(float_pad_value=0.0, int_pad_value=LABEL_PADDING)

    def build_iter(self, epoch: int, shuffle: bool | None = None, *, start: int = 0) -> LoadedBatches:
        """Return the batches of ``epoch`` from number ``start`` on; ``shuffle`` is ESPnet's and has no effect."""
        rank, world = rank_and_world() if self.sliced else (0, 1)
        batches = self.plan(epoch, start)
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            # Each process takes every world-th utterance of a batch; all see every batch, so that they stay in step.
            batch_sampler=[self._slice(batch, rank, world) for batch in batches],
            num_workers=self.num_workers,
            collate_fn=self.collate,
            pin_memory=self.pin_memory,
            worker_init_fn=_one_thread,
            # The loader draws a seed from the global generator; one of its own keeps the training's draws the same
            # whether an epoch runs through or is resumed.
            generator=torch.Generator().manual_seed(epoch),
        )
        return LoadedBatches(loader, batches, rank)

    def _slice(self, batch: Batch, rank: int, world: int) -> list[str]:
        mine = shard(batch, rank, world).indices
        ids: list[str] = self.utt_ids[mine if len(mine) else batch.indices[:1]].tolist()
        return ids


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
