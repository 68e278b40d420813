"""A user's folder for grids on the Slurm of tests: calls of the scripts in it, and what they leave."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

from asr_dro.cluster.element import read_state
from asr_dro.cluster.jobs import Job, read_jobs
from asr_dro.experiment import CHECKPOINTS, MODEL
from tests.cluster.corpus import write_corpus
from tests.cluster.slurm import Slurm
from tests.shell_sandbox import ROOT


class Work:
    """A user's folder with grids, sites and a corpus; its name has what shells stumble over.

    Args:
        cluster: The cluster.
        folder: Where it lies.
    """

    def __init__(self, cluster: Slurm, folder: Path) -> None:
        self.cluster, self.path = cluster, folder / "the user's $work; with spaces"
        write_corpus(self.path / "corpus")

    def write(self, name: str, text: str) -> None:
        """Write a file of conf."""
        path = self.path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def call(self, script: str, *arguments: str, status: int = 0) -> str:
        """Call one of the repository's scripts in the folder; return its messages."""
        environment = {**self.cluster.environment, "MANIFEST": str(self.path / "corpus" / "all.jsonl")}
        environment = {name: value for name, value in environment.items() if not name.startswith(("ASR_DRO_", "RANK"))}
        result = subprocess.run(
            [str(ROOT / script), *arguments],
            cwd=self.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    def submit(self, *arguments: str, grid: str = "mine", status: int = 0) -> str:
        """Call submit.sh."""
        return self.call("submit.sh", "--grid", grid, *arguments, status=status)

    def jobs(self, grid: str = "mine") -> list[Job]:
        """Return the trainings of a grid."""
        return read_jobs(self.path / "exp" / "grids" / grid / "jobs.tsv")

    def state(self, job: Job, grid: str = "mine") -> str:
        """Return what an element has written of itself."""
        return str((read_state(self.path / "exp" / "grids" / grid / "jobs.tsv", job.index) or {}).get("state"))

    def numbers(self, name: str) -> list[str]:
        """Return Slurm's numbers of all jobs of this name, oldest first."""
        text = self.cluster.call("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F")
        return sorted(set(text.split()), key=int)

    def wait_until_over(self, grid: str = "mine") -> None:
        """Wait until none of a grid's jobs waits or runs."""
        names = [f"{grid}.{kind}" for kind in ("data", "train", "collect")]
        self.cluster.wait_until_over([number for name in names for number in self.numbers(name)], timeout_s=240)

    def shown(self, grid: str = "mine") -> dict[str, str]:
        """Return the lines of ``--status`` on trainings, by tag."""
        lines = self.submit("--status", grid=grid).splitlines()
        return {line.split()[2]: line for line in lines if " train " in line}


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 240.0) -> None:
    """Wait until a condition holds; an ``AssertionError`` if it does not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not after {timeout_s:.0f} s"
        time.sleep(0.05)


def weights(experiment: Path) -> dict[str, torch.Tensor]:
    """Read an experiment's final weights."""
    state: dict[str, torch.Tensor] = torch.load(experiment / CHECKPOINTS / MODEL, weights_only=True)
    return state
