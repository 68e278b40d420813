"""What a group-robust objective adds to a training step: ctc_dro against ctc, same network, same batches, in turn.

    python3 -O docs/benchmarks/objective_cost.py --data data/mini_mini6 --rounds 15

Each round takes one step (forward, backward, clipping, optimiser) with each objective on each of the batches, in an
order that changes from round to round; the figure is the ratio of CPU seconds, batch by batch, its median and
quartiles. Beside it stands the objective alone, on losses that are there already: microseconds, forward and backward.
"""

from __future__ import annotations

import argparse
import logging
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from asr_dro.config import compose_run
from asr_dro.errors import run_main
from asr_dro.fileio import write_json
from asr_dro.objectives import build_objective
from asr_dro.task import GroupRobustASRTask
from asr_dro.training.batches import BatchFactory
from asr_dro.training.epoch import EpochOptions, forward_backward, update
from asr_dro.training.run import espnet_arguments
from asr_dro.training.state import TrainingState

logger = logging.getLogger("asr_dro.benchmarks.objective_cost")

OBJECTIVES = ("ctc", "ctc_dro")
WARM_UP = 2


def make_step(data_set: Path, objective: str) -> tuple[Callable[[dict[str, Any]], None], list[dict[str, Any]]]:
    """Return a function that does one training step on a batch, and the batches (of one language each)."""
    from espnet2.train.distributed_utils import DistributedOption

    config = compose_run("separable_conv", "ctc_dro", seed=1, train_args="--batching.seconds_per_update 120")
    config |= {"objective": objective, "objective_conf": {}, "num_workers": 0}
    with tempfile.TemporaryDirectory() as folder:
        arguments = espnet_arguments(config, data_set, Path(folder), ngpu=0)
    torch.manual_seed(0)
    model = GroupRobustASRTask.build_model(arguments).train()
    factory = GroupRobustASRTask.build_iter_factory(arguments, DistributedOption(), "train")
    assert isinstance(factory, BatchFactory)
    batches = []
    for _, batch in factory.build_iter(1):
        batches.append(batch)
        if len(batches) == 2 * len(model.group_names):
            break
    state = TrainingState(model, torch.optim.AdamW(model.parameters(), lr=1e-4), None, None)
    device = torch.device("cpu")
    options = EpochOptions(model, device, batches_per_update=1, grad_clip=5.0, main_process=True)

    def step(batch: dict[str, Any]) -> None:
        forward_backward(state, batch, options)
        update(state, options.grad_clip)

    return step, batches


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds that a call takes in this process."""
    start = time.process_time()
    call()
    return time.process_time() - start


def paired_ratios(data_set: Path, rounds: int) -> tuple[list[float], float]:
    """Return the ratio ctc_dro / ctc for each pair of steps, and the median seconds of a ctc step."""
    made = {name: make_step(data_set, name) for name in OBJECTIVES}
    batches = made["ctc"][1]
    ratios, plain = [], []
    for number in range(rounds + WARM_UP):
        for position, batch in enumerate(batches):
            order = OBJECTIVES if (number + position) % 2 else OBJECTIVES[::-1]
            seconds = {name: cpu_seconds(partial(made[name][0], batch)) for name in order}
            if number >= WARM_UP:
                ratios.append(seconds["ctc_dro"] / seconds["ctc"])
                plain.append(seconds["ctc"])
    return ratios, statistics.median(plain)


def objective_alone(name: str, groups: int, utterances: int, calls: int = 2000) -> float:
    """Return microseconds of CPU for the objective's forward and backward on ready losses."""
    objective = build_objective(name, [f"g{index:03d}" for index in range(groups)]).train()
    losses = torch.rand(utterances, requires_grad=True)
    index = torch.zeros(utterances, dtype=torch.int64)

    def call() -> None:
        for number in range(calls):
            index.fill_(number % groups)
            objective(losses, index).backward()

    call()
    return 1e6 * cpu_seconds(call) / calls


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/mini_mini6"), help="prepared set (stages 1 to 3)")
    parser.add_argument("--rounds", type=int, default=15, help="counted rounds over the batches")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="file of the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ratios, step_s = paired_ratios(arguments.data, arguments.rounds)
    quartiles = statistics.quantiles(ratios, n=4)
    alone = {
        f"{name}, {groups} groups": round(objective_alone(name, groups, 16), 1)
        for name in OBJECTIVES
        for groups in (6, 143)
    }
    figures = {
        "step ctc_dro / ctc, CPU seconds": {"median": quartiles[1], "quartiles": [quartiles[0], quartiles[2]]},
        "pairs": len(ratios),
        "median CPU ms of a ctc step": 1e3 * step_s,
        "objective alone, microseconds a step": alone,
        "machine": {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1},
    }
    write_json(arguments.out, figures)
    logger.info("%s\n%s", arguments.out, figures)


if __name__ == "__main__":
    run_main(main)
