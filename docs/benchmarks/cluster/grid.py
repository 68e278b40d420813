"""A grid of six jobs on a real Slurm: one is killed, two are preempted, one fails; the table comes out as undisturbed.

    python3 -m docs.benchmarks.cluster.grid

What is done to each job, in the middle of an epoch:

- ``kill``: ``kill -9`` of every process of the job, then ``scontrol requeue``;
- ``time limit``: its limit is lowered, so that Slurm sends the signal of ``sbatch --signal`` ahead of it;
- ``signal``: ``scancel --batch --signal=USR1``;
- ``pre-emption``: a job of a partition with a higher priority takes its node (``PreemptMode=REQUEUE``);
- ``failure``: it wants noise that is not there, until ``--retry-failed``.

The same six runs are made with plain ``run.sh`` beside it. Needs the programs of Slurm (tools/install_system.sh).
"""

from __future__ import annotations

import csv
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from asr_dro.cluster.element import read_state
from asr_dro.cluster.jobs import Job
from asr_dro.errors import UserError, run_main
from asr_dro.experiment import EPOCHS
from asr_dro.fileio import read_json_lines, write_json
from docs.benchmarks.cluster.overhead import measure_overhead
from tests.cluster.corpus import TINY
from tests.cluster.slurm import Slurm, running, why_not
from tests.cluster.work import Work, wait_for, weights

logger = logging.getLogger("asr_dro.benchmarks.cluster")

GRID = f"""
axes: {{lang_set: ["fin,kat"], objective: [ctc, ctc_dro, group_dro]}}
sweeps:
  ctc: {{max_epoch: [20, 150]}}
  ctc_dro: {{objective_conf.step_size: [1e-3, 1e-4]}}
  group_dro: {{augmentation.noise.folder: [noise, hum]}}
options: {{corpus: manifest, nj: 1, train_args: "{TINY} --max_epoch 30"}}
"""
SITE = "scheduler: slurm\nmax_running: 3\ntrain: {partition: low, cpus: 2, time: '20'}\n"
PARTITIONS = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "SlurmctldParameters=preempt_send_user_signal",
    "PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 MaxTime=INFINITE",
    "PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE",
)
NONE, TIME_LIMIT, KILL, SIGNAL, FAILURE, PREEMPTION = "none", "time limit", "kill", "signal", "failure", "pre-emption"
DISTURBANCES = (NONE, TIME_LIMIT, KILL, SIGNAL, FAILURE, PREEMPTION)  # by line of the list
FOLDER = Path(__file__).parent


class Disturber:
    """What happens to the elements of an array.

    Args:
        work: The folder in which the grid was submitted.
        array: Slurm's number of the array.
    """

    def __init__(self, work: Work, array: str) -> None:
        self.work, self.cluster, self.array = work, work.cluster, array
        self.list = work.path / "exp" / "grids" / "mine" / "jobs.tsv"

    def place(self, index: int) -> str:
        """Return an element as Slurm's programs take it."""
        return f"{self.array}_{index}"

    def disturb(self, index: int) -> None:
        """Do to an element that trains what its turn is."""
        state = read_state(self.list, index) or {}
        if DISTURBANCES[index] == KILL:
            kill_all(int(state["pid"]))
            wait_for(lambda: self._ask("%T", index) != "RUNNING", "the end of a killed job")
            self.cluster.call("scontrol", "requeue", self.place(index))
        elif DISTURBANCES[index] == TIME_LIMIT:
            self.cluster.call("scontrol", "update", f"JobId={self.place(index)}", "TimeLimit=2")
        elif DISTURBANCES[index] == SIGNAL:
            self.cluster.call("scancel", "--batch", "--signal=USR1", self.place(index))
        else:
            node = self._ask("%N", index)
            arguments = ["--partition=high", "--exclusive", f"--nodelist={node}", "--output=/dev/null", "--parsable"]
            self.cluster.call("sbatch", *arguments, "--wrap=sleep 3")

    def _ask(self, what: str, index: int) -> str:
        jobs = f"--jobs={self.place(index)}"
        return self.cluster.call("squeue", "--noheader", "--states=all", jobs, f"--format={what}").strip()

    def lengthen(self, index: int) -> bool:
        """Give an element that was stopped ahead of its limit a longer one: this proof wants one such stop."""
        if (read_state(self.list, index) or {}).get("state") != "interrupted" or self._ask("%T", index) != "PENDING":
            return False
        self.cluster.call("scontrol", "update", f"JobId={self.place(index)}", "TimeLimit=20")
        return True


def kill_all(pid: int) -> None:
    """End a process and all it has started, at once."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        with suppress(OSError):
            waiting += [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    for one in found:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def run_grid(work: Work) -> None:
    """Submit the grid, and disturb its elements one after the other as they train."""
    work.submit("--cluster", "mine")
    (array,) = work.numbers("mine.train")
    disturber, jobs = Disturber(work, array), work.jobs()
    waiting = [DISTURBANCES.index(what) for what in (TIME_LIMIT, KILL, SIGNAL, PREEMPTION)]
    short = [DISTURBANCES.index(TIME_LIMIT)]
    while waiting or short:
        short = [index for index in short if not disturber.lengthen(index)]
        for index in list(waiting):
            if epochs_of(work, jobs[index]) >= 2:
                logger.info("%s: %s", DISTURBANCES[index], jobs[index].tag)
                disturber.disturb(index)
                waiting.remove(index)
        time.sleep(0.05)
    work.wait_until_over()


def epochs_of(work: Work, job: Job) -> int:
    """Return how many epochs an element has trained."""
    path = work.path / "exp" / job.tag / EPOCHS
    return len(read_json_lines(path)) if path.exists() else 0


def plain_runs(work: Work, jobs: list[Job]) -> None:
    """Make the same runs with run.sh, three at a time as in the grid."""

    def run(job: Job) -> None:
        logger.info("plain run.sh: %s", job.tag)
        work.call("run.sh", *job.arguments, "--exp-dir=plain", "--stage=4")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, jobs))


def scores(path: Path) -> dict[str, dict[str, str]]:
    """Read the table that the collect job wrote, by experiment."""
    with open(path, encoding="utf-8", newline="") as file:
        return {row["tag"]: row for row in csv.DictReader(file, delimiter="\t")}


def compare(work: Work, job: Job, grid: dict[str, str], plain: dict[str, str]) -> dict[str, Any]:
    """Set an element beside its plain run."""
    one, other = weights(work.path / "exp" / job.tag), weights(work.path / "plain" / job.tag)
    log = "".join(path.read_text() for path in work.path.glob(f"exp/grids/mine/logs/train.*_{job.index}.log"))
    return {
        "tag": job.tag,
        "disturbance": DISTURBANCES[job.index],
        "starts": (read_state(work.path / "exp" / "grids" / "mine" / "jobs.tsv", job.index) or {}).get("starts"),
        "resumed": log.count("resuming exp/"),
        "weights_bit_equal": all(torch.equal(value, other[key]) for key, value in one.items()),
        "scores_equal": same_scores(grid, plain),
    }


def same_scores(one: dict[str, str], other: dict[str, str]) -> bool:
    """Tell whether all that was measured is equal."""
    measured = [key for key in one if key.startswith(("mean_", "sd_", "worst")) and one[key]]
    if not measured:
        raise UserError(f"the table has no scores: {', '.join(one)}")
    return all(one[key] == other[key] for key in measured)


def judge(work: Work) -> dict[str, Any]:
    """Set what the grid has made beside plain runs, then try again what failed; return the figures."""
    folder, jobs = work.path / "exp" / "grids" / "mine", work.jobs()
    failing = jobs[DISTURBANCES.index(FAILURE)]
    before = scores(folder / "scores.tsv")
    status = [line.replace(str(work.path), "WORK") for line in work.submit("--status").splitlines()]
    shutil.copytree(work.path / "hum", work.path / "noise")
    plain_runs(work, jobs)
    work.call("local/collect_scores.sh", "--tsv", "plain.tsv", "plain")
    plain = scores(work.path / "plain.tsv")
    first = [compare(work, job, before[job.tag], plain[job.tag]) for job in jobs if job is not failing]
    work.submit("--retry-failed")
    work.wait_until_over()
    after = scores(folder / "scores.tsv")
    return {
        "jobs": first,
        "failed": {
            "tag": failing.tag,
            "status": next(" ".join(line.split()) for line in status if failing.tag in line),
        },
        "table_of_failed": {key: before[failing.tag][key].replace(str(work.path), "WORK") for key in ("state", "note")},
        "after_retry": compare(work, failing, after[failing.tag], plain[failing.tag]),
        "last_status": work.submit("--status").splitlines()[-1],
        "overhead": measure_overhead(work, jobs[0]),
    }


def make_work(cluster: Slurm, folder: Path) -> Work:
    """Make the folder in which the grid is submitted."""
    work = Work(cluster, folder)
    work.write("grids/mine", GRID)
    work.write("cluster/mine", SITE)
    (work.path / "hum").mkdir()
    shutil.copyfile(work.path / "corpus" / "clips" / "fin_train_0.wav", work.path / "hum" / "hum.wav")
    return work


def main() -> None:
    """Prove it, and write ``results.json`` beside this file."""
    if reason := why_not():
        raise UserError(f"no Slurm here: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="slurm.", dir="/tmp") as folder,
        running(Path(folder) / "s", more=PARTITIONS) as cluster,
    ):
        try:
            work = make_work(cluster, Path(folder))
            run_grid(work)
            results = judge(work)
        except subprocess.CalledProcessError as error:
            raise UserError(f"{error}\n{error.stderr}") from error
    write_json(FOLDER / "results.json", results)
    logger.info("written: %s", FOLDER / "results.json")


if __name__ == "__main__":
    run_main(main)
