"""One epoch of training: forward, backward, and the optimiser step that gathers several batches.

Shapes: ``B`` utterances, ``G`` groups.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.objectives.feasibility import usable_utterances
from asr_dro.training.batches import LoadedBatches
from asr_dro.training.processes import rank_and_world, share_of_loss
from asr_dro.training.state import TrainingState

_T = TypeVar("_T")


@dataclass(frozen=True)
class EpochOptions:
    """What an epoch needs beside the training's state.

    Attributes:
        network: The model as it is called: bare, or wrapped for several processes.
        device: Where the model is.
        batches_per_update: Batches whose gradients one optimiser step gathers.
        grad_clip: Largest norm of the gradient of one optimiser step.
        main_process: Whether this process shows progress.
    """

    network: nn.Module
    device: torch.device
    batches_per_update: int
    grad_clip: float
    main_process: bool

    def without_exchange(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which gradients stay in this process."""
        if isinstance(self.network, DistributedDataParallel):
            context: contextlib.AbstractContextManager[None] = self.network.no_sync()
            return context
        return contextlib.nullcontext()


class EpochTotals:
    """Sums of one epoch, on the model's device so that no step waits for them.

    Args:
        groups: Number of groups ``G``.
        device: Where the model is.
    """

    def __init__(self, groups: int, device: torch.device) -> None:
        self.losses = torch.zeros(groups, dtype=torch.float64, device=device)  # (G,)
        self.counts = torch.zeros(groups, dtype=torch.int64, device=device)  # (G,)
        self.left_out = torch.zeros((), dtype=torch.int64, device=device)
        self.samples = 0
        self.padded_samples = 0
        self.unreadable = 0
        self.waited_s = 0.0  # for the next batch
        self.seconds = 0.0  # of the processes that ended before this one resumed
        self.start = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """Return the sums as a checkpoint holds them."""
        tensors = {"losses": self.losses, "counts": self.counts, "left_out": self.left_out}
        names = ("samples", "padded_samples", "unreadable", "waited_s")
        numbers = {name: getattr(self, name) for name in names}
        return {**tensors, **numbers, "seconds": self.seconds + time.perf_counter() - self.start}

    def load(self, state: dict[str, Any]) -> None:
        """Take over the sums of a checkpoint."""
        for name, old in list(vars(self).items()):
            if name not in state:
                continue
            value = state[name]
            setattr(self, name, value.to(old.device) if isinstance(value, Tensor) else value)

    def add(self, losses: Tensor, infeasible: Tensor, batch: dict[str, Any]) -> None:
        """Add a batch: losses (B,), infeasible utterances (B,) and the batch itself."""
        groups = batch["group"][: len(losses), 0]
        usable = usable_utterances(losses, infeasible)
        self.unreadable += batch["n_unreadable"]
        self.losses.index_add_(0, groups, torch.where(usable, losses, 0.0).double())
        self.counts.index_add_(0, groups, usable.long())
        self.left_out += (~usable).sum()
        if not batch["empty"]:
            self.samples += batch["samples"]
            self.padded_samples += batch["speech"].numel()

    def waiting_for(self, batches: Iterable[_T]) -> Iterator[_T]:
        """Yield the batches and add up how long each lets the training wait."""
        before = time.perf_counter()
        for batch in batches:
            self.waited_s += time.perf_counter() - before
            yield batch
            before = time.perf_counter()

    def summary(self, group_names: Sequence[str]) -> dict[str, Any]:
        """Return the entries of train.jsonl that come from training, over all processes."""
        seconds = self.seconds + time.perf_counter() - self.start
        own = [self.samples, self.padded_samples, self.unreadable, self.waited_s]
        numbers = torch.tensor(own, dtype=torch.float64, device=self.losses.device)
        _, world = rank_and_world()
        sums = [self.losses.clone(), self.counts.clone(), self.left_out.clone(), numbers]  # a checkpoint may follow
        if world > 1:
            for tensor in sums:
                distributed.all_reduce(tensor)
        losses, counts = sums[0].tolist(), sums[1].tolist()
        samples, padded_samples, unreadable, waited_s = numbers.tolist()
        by_group = {
            name: loss / count if count else None for name, loss, count in zip(group_names, losses, counts, strict=True)
        }
        return {
            "seconds": seconds,
            "audio_s_per_s": samples / SAMPLE_RATE_HZ / seconds,
            "padding": 1 - samples / padded_samples,
            "data_wait_share": waited_s / world / seconds,
            "infeasible_utterances": int(sums[2]) - int(unreadable),
            "unreadable_utterances": int(unreadable),
            "train": {"loss": sum(losses) / max(1, sum(counts)), "loss_by_group": by_group},
        }


def train_epoch(
    state: TrainingState, batches: LoadedBatches, options: EpochOptions, *, after_update: Callable[[], bool]
) -> dict[str, Any] | None:
    """Train on the batches of an epoch, or on what is left of it.

    Args:
        state: The training; its model, optimiser, schedule and counters move on.
        batches: The batches to come; with those done, a multiple of ``batches_per_update``.
        options: See ``EpochOptions``.
        after_update: Called between updates, where the state can be saved; true interrupts the epoch there.

    Returns:
        None if interrupted. Otherwise entries of train.jsonl: speed, padding, losses in total and by group (raw, not
        weighted by the objective). The epoch is the caller's to end (``state.batches``): dev is still to be measured.
    """
    model, skipped_before = state.model, state.skipped_updates
    state.optimizer.zero_grad(set_to_none=True)
    totals = EpochTotals(len(model.group_names), options.device)
    if state.partial is not None:
        totals.load(state.partial)
        skipped_before = state.partial["skipped_before"]
    done = state.batches
    progress = tqdm(
        totals.waiting_for(batches),
        desc=f"epoch {state.epoch + 1}",
        initial=done,
        total=done + len(batches),
        unit="batch",
        disable=None if options.main_process else True,
    )
    for number, (_, batch) in enumerate(progress, start=done + 1):
        completes = number % options.batches_per_update == 0
        # Several processes exchange gradients once per update, not once per batch.
        with contextlib.nullcontext() if completes else options.without_exchange():
            losses, infeasible, moved = forward_backward(state, batch, options)
        totals.add(losses, infeasible, moved)
        if completes:
            update(state, options.grad_clip)
            state.batches, state.partial = number, {**totals.state(), "skipped_before": skipped_before}
            if after_update() and number < done + len(batches):
                return None
    return {**totals.summary(model.group_names), "nonfinite_steps": state.skipped_updates - skipped_before}


def forward_backward(
    state: TrainingState, batch: dict[str, Any], options: EpochOptions
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Add the gradients of one batch; return its raw losses (B,), infeasible utterances (B,), and the moved batch."""
    batch["samples"] = int(batch["speech_lengths"].sum())  # counted before the batch leaves the CPU
    moved = {
        key: value.to(options.device, non_blocking=True) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }
    loss, stats, weight = options.network(**moved)
    loss = share_of_loss(loss, weight, loss_reduction=state.model.objective.config.loss_reduction)
    loss = loss / options.batches_per_update
    loss = state.scaler.scale(loss) if state.scaler is not None else loss
    loss.backward()  # type: ignore[no-untyped-call]
    return stats["losses"], stats["infeasible"], moved


def update(state: TrainingState, grad_clip: float) -> None:
    """Do one optimiser step; a gradient that is not finite leaves weights, moments and schedule as they were."""
    if state.scaler is not None:
        state.scaler.unscale_(state.optimizer)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), grad_clip)
    if torch.isfinite(norm):
        if state.scaler is not None:
            state.scaler.step(state.optimizer)
        else:
            state.optimizer.step()
        if state.scheduler is not None:
            state.scheduler.step()
        state.updates += 1
    else:
        state.skipped_updates += 1
    if state.scaler is not None:
        state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
