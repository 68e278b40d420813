"""Checkpoints: written whole or not at all, the last one to resume from and the N best to average."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_dro.errors import UserError
from asr_dro.experiment import MODEL, SELECTION
from asr_dro.fileio import atomic_open, write_json

logger = logging.getLogger(__name__)

OBJECTIVE_PREFIX = "objective."


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a full disk or a kill leaves the previous one readable.

    Raises:
        OSError: If it cannot be written.
    """
    with atomic_open(path, "wb") as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's word for a disk that takes no more
            free_gb = shutil.disk_usage(path.parent).free / 1e9
            raise OSError(f"{path} cannot be written ({error}); {free_gb:.1f} GB are free there") from error


def room_needed(model: torch.nn.Module, *, average_best: int) -> float:
    """Estimate the bytes that a training's checkpoints take at most, beside none.

    At the worst moment there are: the last checkpoint and its successor (weights and two moments of each parameter that
    learns), the best epochs and a new one, and the final model.
    """
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    moments = sum(2 * p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return float(2 * (weights + moments) + (average_best + 2) * weights)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running any code that it may hold.

    Raises:
        UserError: If the file is not a checkpoint of ours.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path} cannot be read as a checkpoint ({error}); remove it to start afresh") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__}, not a checkpoint; remove it to start afresh")
    return state


def measure(history: Sequence[Mapping[str, Any]], select_by: str) -> str:
    """Return the measure that ranks epochs: where dev has no text (task ``lid``), wrong languages in place of CER."""
    if select_by in ("mean_cer", "worst_cer") and all(record["dev"]["cer"]["mean"] is None for record in history):
        return select_by.replace("cer", "lid_error")
    return select_by


def rank_epochs(history: Sequence[Mapping[str, Any]], select_by: str) -> list[tuple[float, int]]:
    """Order epochs from best to worst.

    Args:
        history: Records of train.jsonl.
        select_by: ``mean_cer``, ``worst_cer``, ``mean_loss`` or ``worst_loss``, all measured on dev; or what
            :func:`measure` makes of it.

    Returns:
        Pairs (value, epoch); an epoch without a finite value comes last, and of equal ones the later comes first.
    """
    ranked = []
    for record in history:
        dev = record["dev"]
        values = {
            "mean_cer": dev["cer"]["mean"],
            "worst_cer": dev["cer"]["worst"],
            "mean_lid_error": dev.get("lid_error", {}).get("mean"),
            "worst_lid_error": dev.get("lid_error", {}).get("worst"),
            "mean_loss": dev["loss"],
            "worst_loss": max((x for x in dev["loss_by_group"].values() if x is not None), default=None),
        }
        value = values[measure(history, select_by)]
        ranked.append((float("inf") if value is None else float(value), int(record["epoch"])))
    return sorted(ranked, key=lambda pair: (pair[0], -pair[1]))


def keep_best(folder: Path, history: Sequence[Mapping[str, Any]], *, select_by: str, count: int) -> list[int]:
    """Remove the weights of all epochs but the ``count`` best; return the epochs kept, best first."""
    best = [epoch for _, epoch in rank_epochs(history, select_by)[:count]]
    names = {epoch_name(epoch) for epoch in best}
    for path in folder.glob("epoch*.pt"):
        if path.name not in names:
            path.unlink()
    return best


def epoch_name(epoch: int) -> str:
    """Return the file name of an epoch's weights."""
    return f"epoch{epoch:04d}.pt"


def average(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average weights; integers and the objective's state are taken from the first (best) one.

    Args:
        states: State dictionaries with equal keys, best first.
    """
    averaged = dict(states[0])
    for key, first in states[0].items():
        if first.is_floating_point() and not key.startswith(OBJECTIVE_PREFIX) and len(states) > 1:
            total = torch.stack([state[key].double() for state in states]).mean(dim=0)
            averaged[key] = total.to(first.dtype)
    return averaged


def write_final_model(folder: Path, history: Sequence[Mapping[str, Any]], *, select_by: str, count: int) -> Path:
    """Average the best epochs into ``model.pt``, the weights that decoding uses, and say which and why.

    Returns:
        The path of the model, whose existence marks a finished training.
    """
    select_by = measure(history, select_by)
    ranked = rank_epochs(history, select_by)[:count]
    states = [load(folder / epoch_name(epoch)) for _, epoch in ranked]
    chosen = [{"epoch": epoch, select_by: value} for value, epoch in ranked]
    weights = folder / f"{MODEL}.new"
    save(weights, average(states))
    digest = hashlib.sha256()
    with open(weights, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    write_json(folder / SELECTION, {"select_by": select_by, "averaged": chosen, "sha256": digest.hexdigest()})
    os.replace(weights, folder / MODEL)
    logger.info("averaged epochs %s (best %s on dev)", ", ".join(str(epoch) for _, epoch in ranked), select_by)
    return folder / MODEL
