"""What a pretrained encoder costs: our routes to a wav2vec 2.0 network, s3prl's, and transformers' Trainer.

    python3 -O docs/benchmarks/pretrained_cost.py
    python3 -O docs/benchmarks/pretrained_cost.py --device cuda --layers 24 --width 1024 --precision bf16 --out gpu.json

All routes have the same random weights of the large architecture (layer norm, pre-norm; convolutions half as wide as
the layers, heads of 64, as in XLS-R) and the same batches: 4 x 8 s, and 12, 8, 5 and 2 s. Each round takes one training
step (forward, CTC loss, backward, clipping, optimiser) with each route on each batch, in an order drawn anew, then
decodes each batch greedily with each; the figures are ratios of CPU seconds (one thread; on a GPU: of elapsed seconds),
batch by batch and round by round, their medians and quartiles. Peak memory is that of a process of its own, less what
it has once everything is imported.

Routes of equal work: nothing is masked or left out, the convolutions are frozen, the optimiser is the route's own:
  xlsr                conf/model/xlsr.yaml through our model and training step, objective ctc
  xlsr_ctc_dro        the same with ctc_dro and six groups
  weighted_sum        conf/model/xlsr_s3prl_linear.yaml with our frontend weighted_sum
  s3prl               conf/model/xlsr_s3prl_linear.yaml
  trainer             Wav2Vec2ForCTC in transformers' Trainer: its training_step, clipping and default optimiser, fed
                      with normalised waveforms (the others normalise inside of the step)
Routes as their files in conf/model have them:
  xlsr_recipe         masks in time and channels, layer drop, convolutions frozen
  s3prl_recipe        xlsr_s3prl_linear: SpecAugment, everything is trained
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from asr_dro.errors import run_main
from asr_dro.fileio import write_json
from docs.benchmarks.pretrained_routes import (
    BATCHES_S,
    EQUAL,
    RECIPES,
    TRAINING_ONLY,
    Options,
    Route,
    build_route,
    make_checkpoint,
)

logger = logging.getLogger("asr_dro.benchmarks.pretrained_cost")

RATIOS = (  # how many times as fast the second is as the first
    *(("trainer", "xlsr"), ("trainer", "xlsr_ctc_dro"), ("trainer", "weighted_sum"), ("s3prl", "xlsr")),
    *(("s3prl", "weighted_sum"), ("s3prl_recipe", "xlsr_recipe")),
)
WORK = ("training", "decoding")
IMPORTED = ["asr_dro.task", "s3prl.nn", "s3prl.upstream.hf_wav2vec2.expert", "transformers.trainer"]


def seconds_of(call: Callable[[], object], device: str) -> float:
    """Return the CPU seconds of a call in this process; on a GPU the seconds until it is done."""
    if device == "cpu":
        start = time.process_time()
        call()
        return time.process_time() - start
    import torch

    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def measured(work: str, routes: list[str]) -> list[str]:
    """Return the routes whose training or decoding is measured."""
    return [name for name in routes if work == "training" or name not in TRAINING_ONLY]


def measure(routes: dict[str, Route], rounds: int, device: str) -> dict[tuple[str, str, str], list[float]]:
    """Return the seconds of each round by route, kind of work (``training``, ``decoding``) and batch."""
    order = random.Random(0)
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for route in routes.values():  # warm up
        route.step(next(iter(BATCHES_S)))
    for number in range(rounds):
        for work in WORK:
            for batch in BATCHES_S:
                names = measured(work, list(routes))
                for name in order.sample(names, len(names)):
                    call = routes[name].step if work == "training" else routes[name].decode
                    spent = seconds_of(partial(call, batch), device)
                    seconds.setdefault((name, work, batch), []).append(spent)
        logger.info("round %d of %d, load %.1f", number + 1, rounds, os.getloadavg()[0])
    return seconds


def quartiles(values: list[float]) -> dict[str, Any]:
    """Return the median and the quartiles, to four digits."""
    low, middle, high = (float(f"{value:.4g}") for value in statistics.quantiles(values, n=4))
    return {"median": middle, "quartiles": [low, high]}


def summarize(seconds: dict[tuple[str, str, str], list[float]], routes: list[str]) -> dict[str, Any]:
    """Return seconds, seconds of audio per second, and ratios, by kind of work."""
    result: dict[str, Any] = {}
    for work in WORK:
        speed, spent, ratios = {}, {}, {}
        names = measured(work, routes)
        for name in names:
            by_batch = {batch: seconds[name, work, batch] for batch in BATCHES_S}
            spent[name] = {batch: quartiles(values) for batch, values in by_batch.items()}
            speed[name] = {
                batch: quartiles([sum(BATCHES_S[batch]) / value for value in values])
                for batch, values in by_batch.items()
            }
        for first, second in RATIOS:
            if first in names and second in names:
                pairs = {
                    batch: [
                        a / b for a, b in zip(seconds[first, work, batch], seconds[second, work, batch], strict=True)
                    ]
                    for batch in BATCHES_S
                }
                pooled = quartiles([value for values in pairs.values() for value in values])
                pooled["by batch"] = {batch: quartiles(ratio) for batch, ratio in pairs.items()}
                ratios[f"{second}, times as fast as {first}"] = pooled
        result[work] = {"speed ratios": ratios, "audio s per s": speed, "seconds": spent}
    return result


def memory_mb(kind: str) -> float:
    """Return memory of this process in MB: ``VmRSS`` now, ``VmHWM`` at most since the last reset."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{kind}:"))


def peak_memory(route: str, options: Options) -> dict[str, int]:
    """Return the peak of memory in MB of training and of decoding; call it in a process of its own."""
    import torch

    if not set(IMPORTED) <= set(sys.modules):
        raise RuntimeError(f"not imported beforehand: {sorted(set(IMPORTED) - set(sys.modules))}")
    torch.set_num_threads(1)
    on_gpu = options.device != "cpu"
    imported = memory_mb("VmRSS")
    built = build_route(route, options)
    peaks = {}
    for work in ("decoding", "training"):  # the lesser first: what is freed may stay with the process
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM
        call = built.step if work == "training" else built.decode
        for batch in 2 * list(BATCHES_S):
            call(batch)
        peaks[work] = round(torch.cuda.max_memory_allocated() / 2**20 if on_gpu else memory_mb("VmHWM") - imported)
    return peaks


def all_peaks(routes: list[str], options: Options) -> dict[str, dict[str, int]]:
    """Return the peaks of memory of all routes, each measured in a fresh process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)  # imported once, in the process that those of the routes begin as
    peaks = {}
    for route in routes:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            peaks[route] = pool.submit(peak_memory, route, options).result()
    return peaks


def describe(arguments: argparse.Namespace, load: tuple[float, float]) -> dict[str, Any]:
    """Return where and with what the figures were taken."""
    from importlib import metadata

    import torch

    options = " ".join(f"--{key} {value}" for key, value in vars(arguments).items() if key not in ("out", "routes"))
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ":")
    return {
        "command": f"python3 -O docs/benchmarks/pretrained_cost.py {options} --routes {' '.join(arguments.routes)}",
        "machine": {
            "device": torch.cuda.get_device_name() if arguments.device != "cpu" else cpu.partition(":")[2].strip(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load average before and after": [round(value, 1) for value in load],
        },
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("torch", "transformers", "accelerate", "s3prl", "espnet")},
        },
    }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute (default: cpu)")
    parser.add_argument("--layers", type=int, default=12, help="layers of the network (default: 12; XLS-R has 24)")
    parser.add_argument("--width", type=int, default=256, help="its width, a multiple of 64 (default: 256; XLS-R 1024)")
    parser.add_argument("--tokens", type=int, default=500, help="size of the vocabulary (default: 500)")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="of the forward pass")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--routes", nargs="+", default=[*EQUAL, *RECIPES], choices=(*EQUAL, *RECIPES), help="which")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="file of the figures")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        shape = {name: getattr(arguments, name) for name in ("device", "layers", "width", "tokens", "precision")}
        options = Options(**shape, checkpoint=folder)
        make_checkpoint(options)
        peaks = all_peaks(arguments.routes, options)
        routes = {name: build_route(name, options) for name in arguments.routes}
        losses = {name: {batch: round(route.losses(batch), 3) for batch in BATCHES_S} for name, route in routes.items()}
        seconds = measure(routes, arguments.rounds, arguments.device)
    figures = {
        **describe(arguments, (load, os.getloadavg()[0])),
        "seconds are": "CPU seconds of the process" if arguments.device == "cpu" else "elapsed seconds",
        "batches, s of audio": BATCHES_S,
        "rounds": arguments.rounds,
        **summarize(seconds, list(routes)),
        "peak memory, MB": peaks,
        "CTC losses before training": losses,
    }
    write_json(arguments.out, figures)
    for work in WORK:
        logger.info("%s: %s", work, {pair: ratio["median"] for pair, ratio in figures[work]["speed ratios"].items()})
    logger.info("%s", arguments.out)


if __name__ == "__main__":
    run_main(main)
