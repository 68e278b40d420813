"""An epoch's numbers as TensorBoard scalars, for people who watch several runs at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.tensorboard import SummaryWriter

from asr_dro.objectives.group_objective import GroupObjective


def write_scalars(folder: Path, record: dict[str, Any], objective: nn.Module) -> None:
    """Append the scalars of one epoch.

    Args:
        folder: Folder of TensorBoard's files.
        record: The epoch's line of train.jsonl.
        objective: The objective; group weights are written if it has any.
    """
    dev = record["dev"]
    scalars = {"lr": record["lr"], "train/loss": record["train"]["loss"], "dev/loss": dev["loss"]}
    scalars |= {f"lr/{level}": rate for level, rate in record.get("lr_by_level", {}).items()}
    scalars |= {"dev/cer_mean": dev["cer"]["mean"], "dev/cer_worst": dev["cer"]["worst"]}
    scalars |= {"dev/lid_error_mean": dev["lid_error"]["mean"], "dev/lid_error_worst": dev["lid_error"]["worst"]}
    scalars |= {f"dev_cer/{language}": rate for language, rate in dev["cer"]["by_language"].items()}
    scalars |= {f"train_loss/{group}": loss for group, loss in record["train"]["loss_by_group"].items()}
    if isinstance(objective, GroupObjective):
        scalars |= {f"q/{group}": weight for group, weight in objective.group_weights().items()}
    with SummaryWriter(str(folder)) as writer:  # type: ignore[no-untyped-call]
        for name, value in scalars.items():
            if value is not None:
                writer.add_scalar(name, value, record["epoch"])
