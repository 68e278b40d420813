"""Grids on a real Slurm: data, arrays that depend on it, signals, failures, the table at the end."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from asr_dro.cluster.jobs import read_jobs
from asr_dro.experiment import CHECKPOINTS, EPOCHS, MODEL
from tests.cluster.corpus import TINY, write_corpus
from tests.cluster.slurm import Slurm, running, why_not
from tests.shell_sandbox import ROOT

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a Slurm")

GRID = f"""
axes: {{lang_set: ["fin,kat"], objective: [ctc, ctc_dro, group_dro]}}
sweeps: {{group_dro: {{augmentation.noise.folder: [noise]}}}}
options: {{corpus: manifest, nj: 1, train_args: "{TINY} --max_epoch 60"}}
"""
SITE = "scheduler: slurm\nmax_running: 2\ntrain: {time: '10'}\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with tempfile.TemporaryDirectory(prefix="slurm.", dir="/tmp") as folder, running(Path(folder)) as cluster:
        yield cluster


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A user's folder with a grid, a site and a corpus; its name has what shells stumble over."""
    folder = tmp_path / "the user's $work; with spaces"
    for axis, text in (("grids", GRID), ("cluster", SITE)):
        (folder / "conf" / axis).mkdir(parents=True)
        (folder / "conf" / axis / "mine.yaml").write_text(text)
    write_corpus(folder / "corpus")
    return folder


def call(cluster: Slurm, work: Path, script: str, *arguments: str, status: int = 0) -> str:
    """Call one of the repository's scripts in the user's folder; return its messages."""
    environment = {**cluster.environment, "MANIFEST": str(work / "corpus" / "all.jsonl")}
    environment = {name: value for name, value in environment.items() if not name.startswith(("ASR_DRO_", "RANK"))}
    result = subprocess.run(
        [str(ROOT / script), *arguments],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not after {timeout_s:.0f} s"
        time.sleep(0.1)


def jobs_of(cluster: Slurm, name: str) -> list[str]:
    """Return the numbers of all jobs of this name, oldest first."""
    text = cluster.call("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F")
    return sorted(set(text.split()), key=int)


def weights(experiment: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(experiment / CHECKPOINTS / MODEL, weights_only=True)
    return state


def test_a_grid_survives_signals_and_failures_and_brings_its_scores_home(cluster: Slurm, work: Path) -> None:
    messages = call(cluster, work, "submit.sh", "--grid", "mine", "--cluster", "mine")
    assert "1 data, then 3 train" in messages
    folder = work / "exp" / "grids" / "mine"
    jobs = read_jobs(folder / "jobs.tsv")
    (train,) = jobs_of(cluster, "mine.train")
    (collect,) = jobs_of(cluster, "mine.collect")

    # The second element is asked to stop in the middle of its training, and queues again.
    stopped = work / "exp" / jobs[1].tag
    wait_for((stopped / EPOCHS).exists, f"an epoch of {stopped}")
    assert "epoch" in call(cluster, work, "submit.sh", "--grid", "mine", "--status")
    cluster.call("scancel", "--batch", "--signal=USR1", f"{train}_1")
    cluster.wait_until_over([train, collect], timeout_s=240)
    log = next((folder / "logs").glob(f"train.{train}_1.log")).read_text()
    assert "stopped on request: SIGUSR1" in log
    assert log.count("# Command") == 2, "the same log, begun twice"
    assert f"# Job      {jobs[1].index} {jobs[1].tag}" in log

    table = call(cluster, work, "submit.sh", "--grid", "mine", "--status")
    states = {line.split()[2]: line for line in table.splitlines() if " train " in line}
    assert "done" in states[jobs[0].tag]
    assert "CER" in states[jobs[1].tag]
    assert "failed" in states[jobs[2].tag]
    assert "noise" in states[jobs[2].tag], "the reason"
    collected = (folder / "scores.tsv").read_text()
    assert all(job.tag in collected for job in jobs)

    # Interrupted or not, by Slurm or by hand: the same weights.
    by_hand = [*jobs[1].arguments, "--exp-dir=by hand"]
    call(cluster, work, "run.sh", *by_hand)
    for key, value in weights(work / "by hand" / jobs[1].tag).items():
        torch.testing.assert_close(weights(stopped)[key], value, atol=0.0, rtol=0.0, msg=key)

    # What failed is mended and tried again, nothing else.
    (work / "noise").mkdir()
    os.link(work / "corpus" / "clips" / "fin_train_0.wav", work / "noise" / "hum.wav")
    assert ": 1 train ->" in call(cluster, work, "submit.sh", "--grid", "mine", "--retry-failed")
    cluster.wait_until_over(jobs_of(cluster, "mine.train") + jobs_of(cluster, "mine.collect"), timeout_s=240)
    assert "3 done" in call(cluster, work, "submit.sh", "--grid", "mine", "--status").replace("4 done", "3 done")
    assert "nothing to submit" in call(cluster, work, "submit.sh", "--grid", "mine")
