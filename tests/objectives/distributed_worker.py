"""Several processes that train on slices of the same batches; run by test_distributed.py.

Usage: distributed_worker.py FOLDER WORLDS..., for example ``distributed_worker.py /tmp/x 1 2 4``. A program of its
own, so that the processes can be forked from one that has just imported torch (which takes seconds) and done nothing
else.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from asr_dro.objectives import build_objective
from asr_dro.objectives.group_objective import GroupObjective

NAMES = ["fin", "kat", "tur"]
BATCHES = 40
OBJECTIVES: list[tuple[str, dict[str, Any]]] = [
    ("ctc_dro", {}),
    ("ctc_dro", {"reduction": "mean", "loss_reduction": "sum"}),
    ("group_dro", {}),
]


def batch(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs ``(B, 4)``, offsets of the losses ``(B,)`` (some make them NaN), groups ``(B,)``; B from 1 to 6."""
    generator = torch.Generator().manual_seed(number)
    size = 1 + number % 6
    offsets = torch.rand(size, generator=generator)
    if number % 7 == 3:
        offsets[0] = math.nan
    groups = torch.randint(3, (size,), generator=generator) if number % 5 == 0 else torch.full((size,), number % 3)
    return torch.randn(size, 4, generator=generator), offsets, groups


def train(name: str, options: dict[str, Any], rank: int, world: int) -> dict[str, Any]:
    """Train as a distributed wrapper does: each rank its slice, gradients averaged, losses weighted by their size."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    objective = build_objective(name, NAMES, step_size=0.05, **options)
    assert isinstance(objective, GroupObjective)
    for number in range(BATCHES):
        inputs, offsets, groups = (part[rank::world] for part in batch(number))
        losses = layer(inputs).squeeze(1).square() + offsets
        loss = objective(losses, groups, visit_fraction=0.5 + number % 2 / 2)
        weight = objective.batch_weight(losses).double()
        total = weight.clone()
        if world > 1:
            distributed.all_reduce(total)
        # Averaging over the ranks divides by their number; a sum needs it back once more.
        scale = weight * world / total.clamp(min=1) if objective.config.loss_reduction == "mean" else world
        layer.zero_grad()
        (loss * scale).backward()
        for parameter in layer.parameters():
            assert parameter.grad is not None
            if world > 1:
                distributed.all_reduce(parameter.grad)
            parameter.data -= 0.02 / world * parameter.grad  # torch.optim would be a slow import
    state = {f"objective.{key}": value for key, value in objective.state_dict().items()}
    return {**state, **layer.state_dict(), "records": objective.drain_records()}


def run_rank(folder: Path, rank: int, world: int) -> None:
    """Train each objective as one of ``world`` processes and save what it ends with."""
    if world > 1:
        meeting = (folder / f"meeting_{world}").as_uri()
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    torch.save(
        [train(name, options, rank, world) for name, options in OBJECTIVES], folder / f"result_{world}_{rank}.pt"
    )
    if world > 1:
        distributed.destroy_process_group()


def main() -> None:
    """Start all processes and end with status 1 if one fails."""
    folder, worlds = Path(sys.argv[1]), [int(argument) for argument in sys.argv[2:]]
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=run_rank, args=(folder, rank, world)) for world in worlds for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))


if __name__ == "__main__":
    main()
