"""What a submitted element costs beyond plain ``run.sh``: the same finished job, in turn by hand and through Slurm."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from asr_dro.cluster.jobs import Job
from tests.cluster.work import Work, wait_for

PAIRS = 5
STAGES = ("--stage=4", "--stop-stage=6")  # of a finished job: each looks and leaves, which makes a difference visible


def measure_overhead(work: Work, job: Job) -> dict[str, Any]:
    """Time pairs.

    Args:
        work: The folder in which the job has been done.
        job: The job.

    Returns:
        Medians: seconds of the clock from sbatch to the element's end, and from bash to run.sh's; CPU seconds of
        ``run_job`` and of run.sh; their differences pair by pair.
    """
    jobs = str(work.path / "exp" / "grids" / "mine" / "jobs.tsv")
    call = [sys.executable, "-m", "asr_dro.bin.run_job", "--jobs", jobs, "--index", str(job.index)]
    words = [*call, "--stage", "4", "--stop-stage", "6"]
    (work.path / "one.sh").write_text('#!/bin/bash\nexec "$@"\n')
    rows = []
    for _ in range(PAIRS):
        plain = timed(lambda: work.call("run.sh", *job.arguments, *STAGES))
        element = timed(lambda: run_here(work, words))
        submitted = timed(lambda: run_by_slurm(work, words))
        rows.append((plain, element, submitted))
    return {
        "pairs": PAIRS,
        "run_sh_wall_s": median([plain[0] for plain, _, _ in rows]),
        "submitted_minus_run_sh_wall_s": median([submitted[0] - plain[0] for plain, _, submitted in rows]),
        "run_sh_cpu_s": median([plain[1] for plain, _, _ in rows]),
        "element_minus_run_sh_cpu_s": median([element[1] - plain[1] for plain, element, _ in rows]),
        "load": round(os.getloadavg()[0], 1),
    }


def median(values: Sequence[float]) -> float:
    """Return the median in hundredths."""
    return round(statistics.median(values), 2)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of the clock and of the processor, of children too, that a call takes."""
    wall, before = time.monotonic(), os.times()
    call()
    after = os.times()
    used = [after[number] - before[number] for number in range(4)]
    return time.monotonic() - wall, sum(used)


def run_here(work: Work, words: Sequence[str]) -> None:
    """Run an element as a process."""
    subprocess.run(words, cwd=work.path, env=environment_of(work), check=True, capture_output=True)


def run_by_slurm(work: Work, words: Sequence[str]) -> None:
    """Submit an element and wait for its end."""
    more = {name: value for name, value in environment_of(work).items() if name in ("MANIFEST", "PYTHONPATH")}
    arguments = ["--parsable", f"--chdir={work.path}", "--output=/dev/null", str(work.path / "one.sh"), *words]
    number = work.cluster.call("sbatch", *arguments, more=more).strip()
    states = ["squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T"]
    wait_for(lambda: work.cluster.call(*states).strip() == "COMPLETED", "the element", 300)


def environment_of(work: Work) -> dict[str, str]:
    """Return the environment of the scripts in a folder."""
    return {**work.cluster.environment, "MANIFEST": str(work.path / "corpus" / "all.jsonl"), "PYTHONPATH": os.getcwd()}
