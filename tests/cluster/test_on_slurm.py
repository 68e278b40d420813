"""A real Slurm: grids with all that happens to them, cancelling, long lists, trainings on two nodes.

In one file, for the tests of one file run one after another: each of these keeps the machine busy by itself.
"""

from __future__ import annotations

import getpass
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_dro.cluster.batch_scripts import element_lines, write_script
from asr_dro.cluster.element import read_state
from asr_dro.experiment import EPOCHS
from asr_dro.training.run import train
from tests.cluster.corpus import TINY
from tests.cluster.disturbed_grid import ALIKE, FAILURE, NONE, SIGNAL, DisturbedGrid
from tests.cluster.slurm import Slurm, why_not
from tests.cluster.two_nodes import MORE, TwoNodes
from tests.cluster.work import Work, wait_for
from tests.training.runs import assert_same_training, write_run

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a Slurm"),
    pytest.mark.timeout(900),  # minutes; where many work on the machine, many
]

GRID = f"""
axes: {{lang_set: ["fin,kat"], objective: [ctc_dro, group_dro]}}
sweeps: {{group_dro: {{augmentation.noise.folder: [noise]}}}}
options: {{corpus: manifest, nj: 1, train_args: "{TINY} --max_epoch 30"}}
"""
MANY = "axes: {lang_set: ['fin,kat'], seed: %s}\noptions: {corpus: manifest}\n"
SITE = "scheduler: slurm\nmax_running: 2\ntrain: {time: '10'}\n"
HELD = "scheduler: slurm\narray_limit: %d\ntrain: {extra: [--hold]}\n"


@pytest.fixture
def work(cluster: Slurm, tmp_path: Path) -> Iterator[Work]:
    work = Work(cluster, tmp_path)
    work.write("grids/mine", GRID)
    work.write("cluster/mine", SITE)
    yield work
    cancel_all(cluster)


@pytest.fixture
def grid(cluster: Slurm, tmp_path: Path) -> Iterator[DisturbedGrid]:
    yield DisturbedGrid(cluster, tmp_path, ALIKE)
    cancel_all(cluster)


def cancel_all(cluster: Slurm) -> None:
    """Cancel what a failed test has left."""
    cluster.call("scancel", f"--user={getpass.getuser()}")


def test_a_grid_of_six_survives_what_happens_to_it_and_brings_its_scores_home(grid: DisturbedGrid) -> None:
    grid.run()
    work, jobs, shown, table = grid.work, grid.work.jobs(), grid.work.shown(), grid.table()
    failing, signalled = (jobs[grid.disturbances.index(what)] for what in (FAILURE, SIGNAL))

    # One has failed for want of noise: its reason is in the status and in the table.
    assert [row["state"] for row in table.values()].count("scored") == 5
    assert (table[failing.tag]["state"], "is no folder" in table[failing.tag]["note"]) == ("failed", True)
    assert re.search(r"failed .*is no folder", shown[failing.tag])
    assert re.search(r"done +CER .* worst ", shown[signalled.tag])
    log = grid.log(signalled.index)
    assert "stopped on request: SIGUSR1" in log
    assert log.count("# Command") >= 2, "the same log, begun again"
    assert re.search(f"^# Job +{signalled.index} {re.escape(signalled.tag)}$", log, re.MULTILINE)

    # It is mended and tried again, and nothing else is.
    assert "slurm: 1 train ->" in grid.mend()
    assert work.submit("--status").splitlines()[-1] == "7 done"
    assert "nothing to submit" in work.submit()

    # All end as if nothing had happened.
    plain = grid.plain_runs(jobs[:1])
    for job in jobs[:-1]:
        found = grid.beside_plain(job, plain[jobs[0].tag])
        assert (found["weights_bit_equal"], found["scores_equal"]) == (True, True), found
        assert found["resumed"] >= (found["disturbance"] != NONE), found


def test_what_is_cancelled_does_not_come_back(work: Work) -> None:
    """Slurm sends the same signal when it cancels a job and when it preempts one."""
    name = "cancelled"
    work.write(f"grids/{name}", GRID)
    work.submit("--cluster", "mine", grid=name)
    job = work.jobs(name)[0]
    wait_for(lambda: work.state(job, name) == "running", "a training")
    work.submit("--cancel", grid=name)
    work.wait_until_over(name)
    (train,) = work.numbers(f"{name}.train")
    assert work.cluster.states(train)["0"] == "CANCELLED"
    logs = "".join(path.read_text() for path in work.path.glob(f"exp/grids/{name}/logs/train.*"))
    assert "it does not queue again" in logs
    assert "SLURM_RESTART_COUNT" not in logs
    assert re.search("interrupted +stopped by SIGTERM", work.shown(name)[job.tag])


def test_an_element_that_is_signalled_in_its_first_moment_queues_again(cluster: Slurm, tmp_path: Path) -> None:
    """By itself, not the other elements of its array; the signal comes while the shell is prepared."""
    early = '[[ "${SLURM_ARRAY_TASK_ID}" != 0 || -n "${SLURM_RESTART_COUNT:-}" ]] || kill -USR1 $$'
    write_script(tmp_path / "early.sbatch", element_lines([early], 'echo "${SLURM_ARRAY_TASK_ID} worked"'))
    arguments = ["--parsable", "--array=0-1", "--requeue", "--open-mode=append", f"--output={tmp_path}/log"]
    job = cluster.call("sbatch", *arguments, str(tmp_path / "early.sbatch")).strip()
    cluster.wait_until_over([job])
    assert cluster.states(job) == {"0": "COMPLETED", "1": "COMPLETED"}
    assert sorted(re.findall(r"^\d worked$", (tmp_path / "log").read_text(), re.MULTILINE)) == ["0 worked", "1 worked"]


def test_long_lists_are_cut_into_arrays_that_slurm_takes_and_soon_looked_through(work: Work) -> None:
    count = 2500
    work.write("grids/many", MANY % list(range(count)))
    for limit in (1000, 2000):
        work.write(f"cluster/limit{limit}", HELD % limit)
    assert "sbatch" in work.submit("--cluster", "limit2000", grid="many", status=2)
    work.wait_until_over("many")  # what was accepted before the refusal is taken back
    assert "2500 train" in work.submit("--cluster", "limit1000", grid="many")
    trains = work.numbers("many.train")
    waiting = [len(work.cluster.states(number)) for number in trains]
    assert waiting[-3:] == [1000, 1000, 500]
    before = os.times()
    assert len(work.shown("many")) == count
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2.0
    work.submit("--cancel", grid="many")
    work.wait_until_over("many")


def test_two_nodes_train_what_one_process_does_though_a_signal_comes_in_between(cluster: Slurm, tmp_path: Path) -> None:
    element = TwoNodes(cluster, tmp_path)
    job = element.submit()
    element.wait_for((element.experiment / EPOCHS).exists, "an epoch")
    cluster.call("scancel", "--batch", "--signal=USR1", f"{job}_0")  # as --signal=B:USR1 ahead of the time limit
    one = write_run(tmp_path / "one", "ctc_dro", MORE)
    train(tmp_path / "set", one, ngpu=0)
    cluster.wait_until_over([job], timeout_s=240)
    log = element.log.read_text()
    assert (read_state(element.jobs, 0) or {})["state"] == "done", log
    assert log.count("# Command") == 2, "begun twice"
    assert log.count("stopped on request: SIGUSR1 after epoch") == 1, "said once, by the first process"
    assert log.count("epoch   1/16") == log.count("epoch  16/16") == 1, "each epoch by one process, and once"
    assert "Traceback" not in log
    assert_same_training(one, element.experiment, tolerance=1e-5)


def test_the_death_of_one_process_ends_the_job_and_the_log_says_so(cluster: Slurm, tmp_path: Path) -> None:
    element = TwoNodes(cluster, tmp_path)
    job = element.submit()
    element.wait_for((element.experiment / EPOCHS).exists, "an epoch")
    os.kill(element.rank_on("n2", job), signal.SIGKILL)
    cluster.wait_until_over([job], timeout_s=120)  # gloo's own patience is half an hour
    log = element.log.read_text()
    state = read_state(element.jobs, 0) or {}
    assert state["state"] == "failed", log
    assert state["error"]
    assert "task 1: Killed" in log
