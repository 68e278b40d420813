"""One process among several: who I am, and losses that add up to those of a single process.

Shapes: ``B`` utterances.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) outside of ``torch.distributed``."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def share_of_loss(loss: Tensor, weight: Tensor, *, loss_reduction: str) -> Tensor:
    """Scale a process's loss so that the mean of gradients over processes is the gradient of the whole batch's loss.

    ``DistributedDataParallel`` averages gradients over processes, whatever the number of utterances in each.

    Args:
        loss: Loss of this process's utterances, without dimensions.
        weight: Usable utterances of this process (``objective.batch_weight``).
        loss_reduction: ``mean`` or ``sum``, how the objective reduces.

    Returns:
        The scaled loss.
    """
    _, world = rank_and_world()
    if world == 1:
        return loss
    if loss_reduction == "sum":
        return loss * world
    total = weight.detach().clone()
    distributed.all_reduce(total)
    return loss * (weight * world / total.clamp(min=1))


def gather(value: Any) -> list[Any]:
    """Return the value of each process, in the order of ranks; all processes must call it."""
    _, world = rank_and_world()
    if world == 1:
        return [value]
    values: list[Any] = [None] * world
    distributed.all_gather_object(values, value)
    return values


def random_state() -> dict[str, Any]:
    """Return the states of all generators that training draws from, as tensors and numbers only."""
    states: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: dict[str, Any]) -> None:
    """Go on drawing where ``random_state`` was taken."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
