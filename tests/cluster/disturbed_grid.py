"""A grid of six jobs on a real Slurm, disturbed while it trains, beside the same six runs made with plain ``run.sh``.

What is done to each job, in the middle of an epoch:

- ``kill``: ``kill -9`` of every process of the job, then ``scontrol requeue``;
- ``time limit``: its limit is lowered, so that Slurm sends the signal of ``sbatch --signal`` ahead of it;
- ``signal``: ``scancel --batch --signal=USR1``;
- ``pre-emption``: a job of a partition with a higher priority takes its node (``PreemptMode=REQUEUE``);
- ``failure``: it wants noise that is not there, until ``--retry-failed``.

Until a signal has come, which takes half a minute ahead of a limit, the training sleeps (SIGSTOP): it must not end.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from asr_dro.cluster.element import read_state
from asr_dro.cluster.jobs import Job
from asr_dro.experiment import EPOCHS
from asr_dro.fileio import read_json_lines
from tests.cluster.corpus import TINY
from tests.cluster.slurm import Slurm
from tests.cluster.work import Work, weights

NONE, TIME_LIMIT, KILL, SIGNAL, FAILURE, PREEMPTION = "none", "time limit", "kill", "signal", "failure", "pre-emption"
OPTIONS = f'options: {{corpus: manifest, nj: 1, train_args: "{TINY} --max_epoch %d"}}'


class Plan(NamedTuple):
    """A grid, and what is done to the job of each line of its list."""

    grid: str
    disturbances: tuple[str, ...]


VARIED = Plan(
    f"""
axes: {{lang_set: ["fin,kat"], objective: [ctc, ctc_dro, group_dro]}}
sweeps:
  ctc: {{max_epoch: [40, 60]}}
  ctc_dro: {{objective_conf.step_size: [1e-3, 1e-4]}}
  group_dro: {{augmentation.noise.folder: [hum, noise]}}
{OPTIONS % 60}
""",
    (NONE, TIME_LIMIT, KILL, SIGNAL, PREEMPTION, FAILURE),
)
# Five train the same, for so many updates there are not: one plain run tells what all of them are to be.
ALIKE = Plan(
    f"""
axes: {{lang_set: ["fin,kat"], objective: [ctc_dro, group_dro]}}
sweeps:
  ctc_dro: {{save_every_updates: [10000, 20000, 30000, 40000, 50000]}}
  group_dro: {{augmentation.noise.folder: [noise]}}
{OPTIONS % 30}
""",
    (NONE, TIME_LIMIT, KILL, SIGNAL, NONE, FAILURE),
)
SITE = "scheduler: slurm\nmax_running: 3\ntrain: {partition: low, cpus: 2, time: '20'}\n"
PARTITIONS = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "SlurmctldParameters=preempt_send_user_signal",
    "PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 MaxTime=INFINITE",
    "PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE",
)
LONGEST_S = 400.0


class DisturbedGrid:
    """The grid in a user's folder.

    Args:
        cluster: A Slurm with ``PARTITIONS``.
        folder: Where the user's folder is made.
        plan: ``VARIED`` or ``ALIKE``.

    Attributes:
        work: The user's folder.
        disturbances: What is done to each job.
        folder: What ``submit.sh`` writes.
    """

    def __init__(self, cluster: Slurm, folder: Path, plan: Plan) -> None:
        self.cluster, self.work, self.disturbances = cluster, Work(cluster, folder), plan.disturbances
        self.folder = self.work.path / "exp" / "grids" / "mine"
        self.work.write("grids/mine", plan.grid)
        self.work.write("cluster/mine", SITE)
        (self.work.path / "hum").mkdir()
        shutil.copyfile(self.work.path / "corpus" / "clips" / "fin_train_0.wav", self.work.path / "hum" / "hum.wav")

    def run(self) -> None:
        """Submit it, and disturb its elements one after the other as they train."""
        self.work.submit("--cluster", "mine")
        (self.array,) = self.work.numbers("mine.train")
        self.jobs, self.sleeping = self.work.jobs(), dict[int, list[int]]()
        waiting = [index for index, what in enumerate(self.disturbances) if what not in (NONE, FAILURE)]
        later = {self.disturbances.index(KILL): self._requeue, self.disturbances.index(TIME_LIMIT): self._lengthen}
        deadline = time.monotonic() + LONGEST_S
        while waiting or later or self.sleeping:
            for index in list(waiting):
                state = self.work.state(self.jobs[index])
                assert state not in ("done", "failed"), f"too late: {self.disturbances[index]}"
                if state == "running" and self._epochs(index) >= 2:
                    self._disturb(index)
                    waiting.remove(index)
            self._wake()
            for index, finish in list(later.items()):
                if index not in waiting and finish(index):
                    del later[index]
            assert time.monotonic() < deadline, [self.disturbances[one] for one in (*waiting, *later, *self.sleeping)]
            time.sleep(0.02)
        self.work.wait_until_over()

    def mend(self) -> str:
        """Bring the noise that one job lacks and try again what failed; return what ``submit.sh`` says."""
        shutil.copytree(self.work.path / "hum", self.work.path / "noise")
        said = self.work.submit("--retry-failed")
        self.work.wait_until_over()
        return said

    def plain_runs(self, jobs: Sequence[Job]) -> dict[str, dict[str, str]]:
        """Make runs with run.sh, three at a time as in the grid; return their table of scores."""

        def run(job: Job) -> None:
            self.work.call("run.sh", *job.arguments, "--exp-dir=plain", "--stage=4", "--stop-stage=6")

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(run, jobs))
        self.work.call("local/collect_scores.sh", "--tsv", "plain.tsv", "plain")
        return read_table(self.work.path / "plain.tsv")

    def table(self) -> dict[str, dict[str, str]]:
        """Read the table that the collect job wrote, by experiment."""
        return read_table(self.folder / "scores.tsv")

    def log(self, index: int) -> str:
        """Read what an element has written, in all its starts."""
        return "".join(path.read_text() for path in self.folder.glob(f"logs/train.*_{index}.log"))

    def beside_plain(self, job: Job, plain: dict[str, str]) -> dict[str, Any]:
        """Set an element beside a plain run, given by its row of the table."""
        one, other = weights(self.work.path / "exp" / job.tag), weights(self.work.path / "plain" / plain["tag"])
        return {
            "tag": job.tag,
            "disturbance": self.disturbances[job.index],
            "starts": (read_state(self.folder / "jobs.tsv", job.index) or {}).get("starts"),
            "resumed": self.log(job.index).count("resuming exp/"),
            "weights_bit_equal": all(torch.equal(value, other[key]) for key, value in one.items()),
            "scores_equal": same_scores(self.table()[job.tag], plain),
        }

    def _disturb(self, index: int) -> None:
        """Do to an element that trains what its turn is; what a signal will end sleeps until that has come."""
        place, what = f"{self.array}_{index}", self.disturbances[index]
        below = processes_below(int((read_state(self.folder / "jobs.tsv", index) or {})["pid"]))
        if what == KILL:
            send(signal.SIGKILL, below)
            return
        self.sleeping[index] = [one for one in below if is_training(one)]
        assert self.sleeping[index]
        send(signal.SIGSTOP, self.sleeping[index])
        if what == TIME_LIMIT:
            self.cluster.call("scontrol", "update", f"JobId={place}", "TimeLimit=2")
        elif what == SIGNAL:
            self.cluster.call("scancel", "--batch", "--signal=USR1", place)
        else:
            arguments = ["--partition=high", "--exclusive", f"--nodelist={self._ask('%N', index)}"]
            self.cluster.call("sbatch", *arguments, "--output=/dev/null", "--wrap=sleep 3")

    def _wake(self) -> None:
        """Let what sleeps go on once Slurm's signal has come."""
        for index, processes in list(self.sleeping.items()):
            if all(has_pending(one, signal.SIGUSR1) for one in processes):
                send(signal.SIGCONT, processes)
                del self.sleeping[index]

    def _requeue(self, index: int) -> bool:
        """Queue an element that was killed again, once Slurm knows."""
        state = self._ask("%T", index)
        if state in ("RUNNING", "COMPLETING"):
            return False
        if state != "PENDING":  # a preemption may have come in between
            self.cluster.call("scontrol", "requeue", f"{self.array}_{index}")
        return True

    def _lengthen(self, index: int) -> bool:
        """Give an element that was stopped ahead of its limit a longer one: this proof wants one such stop."""
        if self.work.state(self.jobs[index]) != "interrupted" or self._ask("%T", index) != "PENDING":
            return False
        self.cluster.call("scontrol", "update", f"JobId={self.array}_{index}", "TimeLimit=20")
        return True

    def _ask(self, what: str, index: int) -> str:
        jobs = f"--jobs={self.array}_{index}"
        return self.cluster.call("squeue", "--noheader", "--states=all", jobs, f"--format={what}").strip()

    def _epochs(self, index: int) -> int:
        """Return how many epochs an element has trained."""
        path = self.work.path / "exp" / self.jobs[index].tag / EPOCHS
        return len(read_json_lines(path)) if path.exists() else 0


def processes_below(pid: int) -> list[int]:
    """List a process and all it has started."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        with suppress(OSError):
            waiting += [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return found


def send(number: signal.Signals, pids: Sequence[int]) -> None:
    """Send a signal to those processes that are there still."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def is_training(pid: int) -> bool:
    """Tell whether a process trains."""
    return "asr_dro.bin.train" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")


def has_pending(pid: int, number: signal.Signals) -> bool:
    """Tell whether a sleeping process will find a signal when it wakes."""
    (mask,) = re.findall(r"^ShdPnd:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Read a table of scores, by experiment."""
    with open(path, encoding="utf-8", newline="") as file:
        return {row["tag"]: row for row in csv.DictReader(file, delimiter="\t")}


def same_scores(one: dict[str, str], other: dict[str, str]) -> bool:
    """Tell whether all that was measured is equal."""
    measured = [key for key in one if key.startswith(("mean_", "sd_", "worst")) and one[key]]
    assert measured, f"the table has no scores: {', '.join(one)}"
    return all(one[key] == other[key] for key in measured)
