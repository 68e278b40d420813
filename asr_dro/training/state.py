"""What a training is at one moment, and its way to disk and back."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler

from asr_dro.errors import UserError
from asr_dro.experiment import EPOCHS, GROUP_UPDATES
from asr_dro.fileio import atomic_open, json_lines, read_json_lines
from asr_dro.objectives.group_objective import GroupObjective
from asr_dro.training import checkpoints
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.processes import gather, random_state, rank_and_world, set_random_state

logger = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Everything that a checkpoint holds.

    Attributes:
        model: The bare model (not its distributed wrapper).
        optimizer: The optimiser.
        scheduler: Schedule stepped after every update, or None.
        scaler: Loss scaler of mixed precision, or None.
        epoch: Epochs finished.
        updates: Optimiser updates done.
        skipped_updates: Updates left out because the gradient was not finite.
        history: Records of train.jsonl, one per finished epoch.
        batches: Batches done in the epoch after ``epoch``, all of them while dev is measured; 0 between epochs.
        partial: Sums over those batches (``EpochTotals``), None between epochs.
    """

    model: GroupRobustASRModel
    optimizer: torch.optim.Optimizer
    scheduler: Any
    scaler: GradScaler | None
    epoch: int = 0
    updates: int = 0
    skipped_updates: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    batches: int = 0
    partial: dict[str, Any] | None = None

    def snapshot(self) -> dict[str, Any]:
        """Return the content of a checkpoint; with several processes, all must call it."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler is not None else None,
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
            "epoch": self.epoch,
            "updates": self.updates,
            "skipped_updates": self.skipped_updates,
            "history": self.history,
            "batches": self.batches,
            "of_processes": gather({"partial": self.partial, "random": random_state()}),
        }

    def load(self, path: Path) -> None:
        """Take over the state of a checkpoint.

        Raises:
            UserError: If it belongs to another network or other groups; the message names the difference.
        """
        saved = checkpoints.load(path)
        try:
            self.model.load_state_dict(saved["model"], strict=True)
        except RuntimeError as error:
            raise UserError(f"{path} belongs to another network: {error}") from error
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.scheduler is not None and saved["scheduler"] is not None:
            self.scheduler.load_state_dict(saved["scheduler"])
        if self.scaler is not None and saved["scaler"] is not None:
            self.scaler.load_state_dict(saved["scaler"])
        self.epoch = saved["epoch"]
        self.updates = saved["updates"]
        self.skipped_updates = saved["skipped_updates"]
        self.history = saved["history"]
        self.batches = saved["batches"]
        rank, world = rank_and_world()
        if self.batches and len(saved["of_processes"]) != world:
            raise UserError(
                f"{path} was written in the middle of an epoch by {len(saved['of_processes'])} processes and cannot be "
                f"continued by {world}; use as many, or remove it and begin with the last whole epoch's weights"
            )
        if self.batches:
            self.partial = saved["of_processes"][rank]["partial"]
            set_random_state(saved["of_processes"][rank]["random"])
        logger.info("resuming %s after epoch %d, batch %d", path, self.epoch, self.batches)


class TrainingLog:
    """``train.jsonl`` and ``groups.jsonl``, kept in step with the checkpoint that a run resumes from.

    Args:
        folder: The experiment's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.epochs = folder / EPOCHS
        self.groups = folder / GROUP_UPDATES

    def rewind(self, state: TrainingState) -> None:
        """Drop what was logged after the checkpoint: a killed epoch is done again and logged again."""
        self.write_epochs(state)
        if self.groups.exists():
            objective = state.model.objective
            done = int(objective.updates) if isinstance(objective, GroupObjective) else 0
            kept = [record for record in read_json_lines(self.groups) if record["update"] <= done]
            with atomic_open(self.groups) as file:
                file.writelines(json_lines(kept))

    def write_epochs(self, state: TrainingState) -> None:
        """Write one line per finished epoch."""
        with atomic_open(self.epochs) as file:
            file.writelines(json_lines(state.history))

    def append_groups(self, records: list[dict[str, Any]]) -> None:
        """Append one line per update of the group weights."""
        if records:
            with open(self.groups, "a", encoding="utf-8") as file:
                file.writelines(json_lines(records))
