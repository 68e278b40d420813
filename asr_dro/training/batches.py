"""Batches for ESPnet's trainer: our plan of an epoch, loaded by worker processes in that very order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.train.collate_fn import CommonCollateFn
from torch.utils.data import DataLoader, Dataset

from asr_dro.batching import Batch

LABEL_PADDING = -1  # ESPnet's ignore_id

Plan = Callable[[int, int], Sequence[Batch]]


class LoadedBatches:
    """The batches of one epoch with their data, in the order of the plan, the length known beforehand.

    ESPnet's own sequence iterator shuffles batches after the sampler has ordered them, which undoes every schedule;
    here the order of the plan is the order of training.

    Args:
        loader: Yields utterance ids and tensors, one entry per batch.
        batches: The plan of the epoch, or of what is left of it.
    """

    def __init__(self, loader: DataLoader[Any], batches: Sequence[Batch]) -> None:
        self.loader = loader
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        for (utt_ids, tensors), batch in zip(self.loader, self.batches, strict=True):
            yield utt_ids, {**tensors, "visit_fraction": batch.visit_fraction}


class BatchFactory(AbsIterFactory):  # type: ignore[misc]  # ESPnet has no type information
    """Build the iterator of an epoch.

    Args:
        dataset: ESPnet's data set, indexed by utterance id.
        utt_ids: Utterance ids in the order of the plan's indices.
        plan: (epoch from 1, batches to leave out at its beginning) -> batches.
        num_workers: Loader processes; 0 loads in the training process.
        pin_memory: Whether batches go to page-locked memory (for a GPU).
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        utt_ids: Sequence[str],
        plan: Plan,
        *,
        num_workers: int,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.utt_ids = np.array(utt_ids)
        self.plan = plan
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.collate = CommonCollateFn(float_pad_value=0.0, int_pad_value=LABEL_PADDING)

    def build_iter(self, epoch: int, shuffle: bool | None = None, *, start: int = 0) -> LoadedBatches:
        """Return the batches of ``epoch`` from number ``start`` on; ``shuffle`` is ESPnet's and has no effect."""
        batches = self.plan(epoch, start)
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=[self.utt_ids[batch.indices].tolist() for batch in batches],
            num_workers=self.num_workers,
            collate_fn=self.collate,
            pin_memory=self.pin_memory,
            worker_init_fn=_one_thread,
            # The loader draws a seed from the global generator; one of its own keeps the training's draws the same
            # whether an epoch runs through or is resumed.
            generator=torch.Generator().manual_seed(epoch),
        )
        return LoadedBatches(loader, batches)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
