"""Sites: defaults, what is passed to Slurm, and mistakes in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.cluster import slurm
from asr_dro.cluster.grid import Run
from asr_dro.cluster.jobs import read_jobs
from asr_dro.cluster.site import read_site
from asr_dro.cluster.submission import Submission
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT


def site_of(tmp_path: Path, text: str) -> Path:
    (tmp_path / "site.yaml").write_text(text)
    return tmp_path / "site.yaml"


def test_the_repository_s_sites_are_right() -> None:
    sites = sorted((ROOT / "conf" / "cluster").glob("*.yaml"))
    assert {read_site(path).scheduler for path in sites} == {"local", "slurm"}


def test_data_and_collect_ask_for_what_train_does_but_devices(tmp_path: Path) -> None:
    text = (
        "scheduler: slurm\ntrain: {partition: p, gres: 'gpu:2', nodes: 2, tasks_per_node: 2, cpus: 4}\ndata: {cpus: 16}"
    )
    site = read_site(site_of(tmp_path, text))
    assert (site.train.gres, site.train.nodes, site.train.tasks_per_node) == ("gpu:2", 2, 2)
    assert (site.data.partition, site.data.gres, site.data.nodes, site.data.cpus) == ("p", "", 1, 16)
    assert (site.collect.partition, site.collect.cpus) == ("p", 4)


@pytest.mark.parametrize("time", ["", "0", "3", "2:01", "0:02:01", "0-1", "1-0:0:0"])
def test_time_limits_that_leave_time_for_work(time: str, tmp_path: Path) -> None:
    site = read_site(site_of(tmp_path, f'scheduler: slurm\ntrain: {{time: "{time}"}}'))
    assert site.train.time == site.data.time == time


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheduler: pbs", "scheduler is 'pbs'; allowed: slurm, local"),
        ("max_running: 2", "scheduler is ''"),
        ("scheduler: slurm\nmax_runing: 2", "max_runing is not a key; did you mean max_running"),
        ("scheduler: slurm\nmax_running: 0", "max_running must be a whole number from 1 on, not 0"),
        ("scheduler: slurm\ntrain: {gpus: 1}", "train.gpus is not a key"),
        ("scheduler: slurm\ntrain: {time: 24:00:00}", "train.time must be a text in one line"),
        ("scheduler: slurm\ntrain: {time: a day}", "train.time is 'a day'"),
        ('scheduler: slurm\ntrain: {partition: "a\\nb"}', "train.partition must be a text in one line"),
        ("scheduler: slurm\ntrain: {time: '2'}", "train.time is '2', not longer than signal_s (120 s)"),
        ("scheduler: slurm\nsignal_s: 90000\ntrain: {time: 1-0:30}", "train.time is '1-0:30', not longer"),
        ("scheduler: slurm\ndata: {time: '1:59'}", "data.time is '1:59', not longer"),
        ("scheduler: slurm\ntrain: 3", "train must hold keys and values"),
        ('scheduler: slurm\nsetup: ["a\\nb"]', "setup must be a list of texts"),
    ],
)
def test_mistakes_in_a_site_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_site(site_of(tmp_path, text))
    assert message in str(caught.value)


def test_a_list_is_cut_into_arrays_that_the_site_allows(tmp_path: Path) -> None:
    site = read_site(site_of(tmp_path, "scheduler: slurm\narray_limit: 100\nmax_running: 9"))
    submission = Submission(tmp_path / "a folder with 5% in it", tmp_path / "exp", "")
    submission.folder.mkdir()
    submission.write_lists([Run(f"tag{number}", {"seed": str(number)}) for number in range(250)])
    commands = slurm.plan(submission, site, {"data": [0], "train": range(250)})
    assert [command.kind for command in commands] == ["data", "train", "train", "train", "collect"]
    arrays = [word for command in commands for word in command.arguments if word.startswith("--array=")]
    assert arrays == ["--array=0%9", "--array=0-99%9", "--array=0-99%9", "--array=0-49%9"]
    assert [index for command in commands[1:4] for index in command.indices] == list(range(250))
    assert any(word.endswith("5%% in it/logs/train.%A_%a.log") for word in commands[1].arguments)
    assert commands[-1].after == (("afterany", "train"),)
    calls = [shlex.split(call) for call in slurm.describe(commands).splitlines()]
    assert [[word for word in call if word.startswith("--dependency")] for call in calls] == [
        [],
        ["--dependency=afterok:<job 1>"],
        ["--dependency=afterok:<job 1>,afterany:<job 2>"],
        ["--dependency=afterok:<job 1>,afterany:<job 3>"],
        ["--dependency=afterany:<job 2>:<job 3>:<job 4>"],
    ]
    assert "--requeue" in commands[1].arguments
    assert "--signal=B:USR1@120" in commands[1].arguments


@given(
    count=st.integers(1, 300),
    limit=st.integers(1, 60),
    max_running=st.integers(1, 90),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_no_more_run_at_a_time_than_the_site_wants_however_a_list_is_cut(
    count: int, limit: int, max_running: int, chance: Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Played through by what sbatch is told; elements end in any order."""
    folder = tmp_path_factory.mktemp("grid")
    site = read_site(site_of(folder, f"scheduler: slurm\narray_limit: {limit}\nmax_running: {max_running}"))
    commands = slurm.plan(Submission(folder, folder / "exp", ""), site, {"train": range(count)})[:-1]
    calls = slurm.describe(commands).splitlines()
    waits = {job: set(map(int, re.findall(r"<job (\d+)>", call))) for job, call in enumerate(calls, start=1)}
    share = {job: int(call.partition("%")[2].split()[0]) for job, call in enumerate(calls, start=1)}
    left = {job: len(command.indices) for job, command in enumerate(commands, start=1)}
    assert sum(left.values()) == count
    assert max(left.values()) <= limit
    most = 0
    while left:
        running = {job: min(left[job], share[job]) for job in left if not waits[job] & set(left)}
        most = max(most, sum(running.values()))
        ended = chance.choice(list(running))
        left[ended] -= 1
        left = {job: number for job, number in left.items() if number}
    assert most <= max_running
    if count <= limit or max_running <= limit:
        assert most == min(count, max_running, limit)


def test_only_what_is_left_to_train_waits_for_no_data(tmp_path: Path) -> None:
    site = read_site(site_of(tmp_path, "scheduler: slurm"))
    submission = Submission(tmp_path / "grid", tmp_path / "exp", "")
    submission.folder.mkdir()
    submission.write_lists([Run("tag", {"seed": "1"})])
    commands = slurm.plan(submission, site, {"train": [0]})
    assert [(command.kind, command.after) for command in commands] == [
        ("train", ()),
        ("collect", (("afterany", "train"),)),
    ]


def test_a_set_in_parts_waits_for_all_of_its_languages(tmp_path: Path) -> None:
    site = read_site(site_of(tmp_path, "scheduler: slurm\ndata: {cpus: 8}"))
    submission = Submission(tmp_path / "grid", tmp_path / "exp", "")
    submission.folder.mkdir()
    runs = [
        Run(f"tag{number}", {"lang_set": languages}) for number, languages in enumerate(["fin,kat", "kat,spa", "tur"])
    ]
    submission.write_lists(runs, split_data=True)
    parts = read_jobs(submission.list_of("parts"))
    assert [part.arguments for part in parts] == [("--lang-set=fin",), ("--lang-set=kat",), ("--lang-set=spa",)]
    commands = slurm.plan(submission, site, {"parts": range(3), "data": range(3), "train": range(3)})
    assert [(command.kind, command.after) for command in commands] == [
        ("parts", ()),
        ("data", (("afterany", "parts"),)),
        ("train", (("afterok", "data"),)),
        ("collect", (("afterany", "train"),)),
    ]
    assert "--cpus-per-task=8" in commands[0].arguments
    script = (submission.folder / "parts.sbatch").read_text()
    assert "--stage 1 --stop-stage 1" in script
