"""One epoch of training: forward, backward, and the optimiser step that gathers several batches.

Shapes: ``B`` utterances, ``G`` groups.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from tqdm import tqdm

from asr_dro.objectives.feasibility import usable_utterances
from asr_dro.training.batches import LoadedBatches
from asr_dro.training.state import TrainingState

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class EpochOptions:
    """What an epoch needs beside the training's state.

    Attributes:
        network: The model as it is called: bare, or wrapped for several processes.
        device: Where the model is.
        batches_per_update: Batches whose gradients one optimiser step gathers.
        grad_clip: Largest norm of the gradient of one optimiser step.
        use_amp: Whether the forward pass runs in mixed precision.
        main_process: Whether this process shows progress.
    """

    network: nn.Module
    device: torch.device
    batches_per_update: int
    grad_clip: float
    use_amp: bool
    main_process: bool


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

    def add(self, losses: Tensor, infeasible: Tensor, batch: dict[str, Any]) -> None:
        """Add a batch: losses (B,), infeasible utterances (B,) and the batch itself."""
        groups = batch["group"][:, 0]
        usable = usable_utterances(losses, infeasible)
        self.losses.index_add_(0, groups, torch.where(usable, losses, 0.0).double())
        self.counts.index_add_(0, groups, usable.long())
        self.left_out += (~usable).sum()
        self.samples += batch["samples"]
        self.padded_samples += batch["speech"].numel()

    def summary(self, group_names: Sequence[str], seconds: float) -> dict[str, Any]:
        """Return the entries of train.jsonl that come from training, over all processes."""
        numbers = torch.tensor([self.samples, self.padded_samples], dtype=torch.float64, device=self.losses.device)
        if distributed.is_available() and distributed.is_initialized():
            for tensor in (self.losses, self.counts, self.left_out, numbers):
                distributed.all_reduce(tensor)
        samples, padded_samples = numbers.tolist()
        losses, counts = self.losses.tolist(), self.counts.tolist()
        by_group = {
            name: loss / count if count else None for name, loss, count in zip(group_names, losses, counts, strict=True)
        }
        return {
            "seconds": seconds,
            "audio_s_per_s": samples / SAMPLE_RATE / seconds,
            "padding": 1 - samples / padded_samples,
            "infeasible_utterances": int(self.left_out),
            "train": {"loss": sum(losses) / max(1, sum(counts)), "loss_by_group": by_group},
        }


def train_epoch(state: TrainingState, batches: LoadedBatches, options: EpochOptions) -> dict[str, Any]:
    """Train on every batch once.

    Args:
        state: The training; its model, optimiser, schedule and counters move on.
        batches: The epoch's batches, a multiple of ``batches_per_update`` of them.
        options: See ``EpochOptions``.

    Returns:
        Entries of train.jsonl: speed, padding, losses in total and by group (raw, not weighted by the objective).
    """
    model, skipped_before = state.model, state.skipped_updates
    options.network.train()
    state.optimizer.zero_grad(set_to_none=True)
    totals = EpochTotals(len(model.group_names), options.device)
    start = time.perf_counter()
    progress = tqdm(
        batches, desc=f"epoch {state.epoch + 1}", unit="batch", disable=None if options.main_process else True
    )
    for number, (_, batch) in enumerate(progress, start=1):
        batch["samples"] = int(batch["speech_lengths"].sum())  # counted before the batch leaves the CPU
        moved = {
            key: value.to(options.device, non_blocking=True) if isinstance(value, Tensor) else value
            for key, value in batch.items()
        }
        with torch.autocast(options.device.type, enabled=options.use_amp):
            loss, stats, _ = options.network(**moved)
        loss = loss / options.batches_per_update
        (state.scaler.scale(loss) if state.scaler is not None else loss).backward()
        totals.add(stats["losses"], stats["infeasible"], moved)
        if number % options.batches_per_update == 0:
            update(state, options.grad_clip)
    summary = totals.summary(model.group_names, time.perf_counter() - start)
    return {**summary, "nonfinite_steps": state.skipped_updates - skipped_before}


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
