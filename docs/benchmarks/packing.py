#!/usr/bin/env python3
"""How long it takes to pack a million utterances of 143 groups, and how good the batches are.

    python3 docs/benchmarks/packing.py                         # writes docs/benchmarks/packing.json, its last result
    python3 docs/benchmarks/packing.py --utterances 20000 --out /tmp/packing.json

The data are drawn at random: group sizes fall as 1 / rank (the largest has 200 times the smallest), durations are
log-normal around 4.5 s, between 1 and 20 s. Times are CPU seconds of one process, preparation and one epoch together.
For comparison, one group is also packed first-fit-decreasing, as the released code of CTC-DRO does (quadratic).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from asr_dro.batching import Batch, BatchingConfig, EpochBatches, padding_share  # noqa: E402
from asr_dro.errors import run_main  # noqa: E402
from asr_dro.fileio import write_json  # noqa: E402
from asr_dro.training.environment import describe_environment  # noqa: E402

logger = logging.getLogger("packing")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_FIT_UTTERANCES = 4000
CASES: list[tuple[str, dict[str, Any]]] = [
    ("mixed", {"kind": "mixed"}),
    ("mixed, temperature 2", {"kind": "mixed", "temperature": 2.0}),
    ("group, uniform", {"kind": "group", "batches_per_update": "groups"}),
    ("group, proportional", {"kind": "group", "schedule": "proportional"}),
    ("group, proportional, overshoot", {"kind": "group", "schedule": "proportional", "overshoot": True}),
    ("group, proportional, padded", {"kind": "group", "schedule": "proportional", "count_padding": True}),
    ("group, interleaved, temperature 2", {"kind": "group", "schedule": "interleaved", "temperature": 2.0}),
]


def draw_data(utterances: int, groups: int) -> tuple[Floats, Ints]:
    """Return durations in seconds and group indices, ``(N,)`` each; every group has an utterance."""
    rng = np.random.default_rng(0)
    sizes = 1 / np.arange(1, groups + 1)
    indices = rng.choice(groups, utterances, p=sizes / sizes.sum())
    indices[:groups] = np.arange(groups)
    return rng.lognormal(np.log(4.5), 0.45, utterances).clip(1, 20), indices


def quality(batches: list[Batch], durations_s: Floats, target_s: float) -> dict[str, float]:
    """Return what the batches are worth: number, filling relative to the target, padding."""
    filled = np.array([durations_s[batch.indices].sum() for batch in batches]) / target_s
    return {
        "batches": len(batches),
        "fill_mean": round(float(filled.mean()), 3),
        "fill_min": round(float(filled.min()), 3),
        "padding_share": round(padding_share(batches, durations_s), 4),
    }


def measure(
    durations_s: Floats, groups: Ints, n_groups: int, *, target_s: float, options: dict[str, Any]
) -> dict[str, Any]:
    """Pack one epoch and return its CPU seconds and quality."""
    started = time.process_time()
    config = BatchingConfig(seconds_per_batch=target_s, **options)
    batches = EpochBatches(durations_s, groups, n_groups, config=config, seed=1).batches(epoch=0)
    seconds = time.process_time() - started
    return {"target_s": target_s, "cpu_s": round(seconds, 2), **quality(batches, durations_s, target_s)}


def first_fit_decreasing(durations_s: Floats, target_s: float) -> list[Batch]:
    """Return the batches of the released code: each utterance, longest first, in the first batch that has room."""
    contents: list[list[int]] = []
    room_s: list[float] = []
    for position in np.argsort(-durations_s).tolist():
        seconds = float(durations_s[position])
        place = next((i for i, left in enumerate(room_s) if seconds <= left), None)
        if place is None:
            contents.append([position])
            room_s.append(target_s - seconds)
        else:
            contents[place].append(position)
            room_s[place] -= seconds
    return [Batch(np.array(positions), 1.0, 0) for positions in contents]


def compare(durations_s: Floats, target_s: float) -> list[dict[str, Any]]:
    """Pack one group first-fit-decreasing and our way."""
    one_group = np.zeros(len(durations_s), dtype=np.int64)
    started = time.process_time()
    batches = first_fit_decreasing(durations_s, target_s)
    seconds = round(time.process_time() - started, 2)
    rows = [
        {
            "case": "first-fit decreasing",
            "target_s": target_s,
            "cpu_s": seconds,
            **quality(batches, durations_s, target_s),
        }
    ]
    for name, options in (("ours", {}), ("ours, overshoot", {"overshoot": True})):
        conf = {"kind": "group", "schedule": "proportional", "batches_per_update": 1, **options}
        rows.append({"case": name, **measure(durations_s, one_group, 1, target_s=target_s, options=conf)})
    return rows


def main() -> None:
    """Measure all cases, log a table and write the result."""
    parser = argparse.ArgumentParser(description="Measure the packing of batches.")
    parser.add_argument("--utterances", type=int, default=1_000_000, help="utterances to pack (%(default)s)")
    parser.add_argument("--groups", type=int, default=143, help="groups (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "packing.json", help="where the result goes")
    arguments = parser.parse_args()
    durations_s, groups = draw_data(arguments.utterances, arguments.groups)
    rows = []
    for target_s in (20.0, 50.0):
        for name, options in CASES:
            row = measure(durations_s, groups, arguments.groups, target_s=target_s, options=options)
            rows.append({"case": name, **row})
    one_group = durations_s[:FIRST_FIT_UTTERANCES]
    compared = [row for target_s in (20.0, 50.0) for row in compare(one_group, target_s)]
    for row in rows + compared:
        logger.info("%-34s %s", row["case"], "  ".join(f"{key} {value}" for key, value in row.items() if key != "case"))
    environment = describe_environment(HERE.parents[1])
    logger.info("on %s", environment["host"])
    data = {"utterances": arguments.utterances, "groups": arguments.groups, "hours": round(durations_s.sum() / 3600)}
    write_json(
        arguments.out,
        {
            "what": "CPU seconds to pack one epoch",
            "command": "python3 docs/benchmarks/packing.py",
            "created": environment["created"],
            "commit": environment["commit"],
            "host": environment["host"],
            "data": data,
            "results": rows,
            "one_group_of_4000": compared,
        },
    )
    logger.info("wrote %s", arguments.out)


if __name__ == "__main__":
    run_main(main)
