"""Grids through submit.sh, on this machine and in a dry run; run.sh is a stand-in that does as its seed says."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shell_sandbox import ROOT

# What run.sh does with a job: seed 1 ends well, 2 fails with a reason until it is mended, 3 works until asked to stop.
STAND_IN = """
declare -A option
for word in "$@"; do option["${word%%=*}"]=${word#*=}; done
exp="exp/${option[--exp-tag]:-none}"
printf '%s\\n' "$*" >>calls
((${option[--stage]} == 4)) || exit 0
mkdir -p "${exp}"
case "${option[--seed]}" in
  1) ;;
  2)
    [[ -e mended ]] && exit
    echo '{"stage": "4", "status": 2, "error": "no noise in it"}' >"${exp}/failure.json"
    exit 2
    ;;
  3)
    trap 'touch "${exp}/checkpoint"; exit 75' USR1
    touch "${exp}/begun"
    [[ -e "${exp}/checkpoint" ]] || while :; do sleep 0.05; done
    ;;
esac
"""
GRID = "axes: {seed: [1, 2, 3]}\noptions: {lang_set: mini6}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the repository with the stand-in behind run.sh's own block of options."""
    root = tmp_path / "a repository"
    shutil.copytree(ROOT / "asr_dro", root / "asr_dro", ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("utils", "conf"):
        shutil.copytree(ROOT / part, root / part)
    for part in ("submit.sh", "path.sh", "local/collect_scores.sh"):
        (root / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, root / part)
    whole = (ROOT / "run.sh").read_text()
    block = whole[whole.index("# >>> options") : whole.index("# <<< options")]
    (root / "run.sh").write_text(f"#!/usr/bin/env bash\n{block}# <<< options\n{STAND_IN}")
    return root


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "conf" / "grids").mkdir(parents=True)
    (folder / "conf" / "grids" / "mine.yaml").write_text(GRID)
    return folder


def start(repository: Path, work: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("ASR_DRO_ROOT", "PYTHONPATH")}
    environment["ASR_DRO_PYTHON"] = str(Path(sys.executable).parent / "python3")
    return subprocess.Popen(
        [str(repository / "submit.sh"), "--grid", "mine", *arguments],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def submit(repository: Path, work: Path, *arguments: str, status: int = 0) -> str:
    process = start(repository, work, *arguments)
    messages, _ = process.communicate(timeout=120)
    assert process.returncode == status, messages
    return messages


def ask_for_help(repository: Path, folder: Path, python: str, word: str = "--help") -> subprocess.CompletedProcess[str]:
    """Call submit.sh in a fresh clone, where nothing is installed; ``python`` is the shell script that python3 is."""
    (repository / "tools").mkdir()
    (repository / "tools" / "install.sh").write_text("touch installing; exit 3\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").write_text(f"#!/bin/bash\n{python}\n")
    (folder / "bin" / "python3").chmod(0o755)
    return subprocess.run(
        [str(repository / "submit.sh"), "--grid", "mine", word],
        cwd=folder,
        env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_comes_at_once_and_installs_nothing(repository: Path, tmp_path: Path, word: str) -> None:
    before = os.times()
    python = f'{shlex.quote(os.path.realpath(sys.executable))} -S "$@"'  # without any package
    result = ask_for_help(repository, tmp_path, python, word)
    after = os.times()
    assert result.returncode == 0, result.stderr
    for shown in ("usage: submit.sh", "--retry-failed", "--lang-set", "(default: mini6)", "\n  ./submit.sh --grid"):
        assert shown in result.stdout
    assert not (tmp_path / "installing").exists()
    assert not list(repository.glob("asr_dro/**/__pycache__")), "a clone stays as it was"
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.0


def test_help_where_the_system_has_no_python_is_the_environment_s(repository: Path, tmp_path: Path) -> None:
    result = ask_for_help(repository, tmp_path, "exit 127")
    assert (tmp_path / "installing").exists()
    assert result.returncode != 0


def state_of(work: Path, index: int) -> dict[str, object]:
    state: dict[str, object] = json.loads((work / f"exp/grids/mine/state/jobs.{index}.json").read_text())
    return state


def test_a_grid_on_this_machine_is_stopped_gone_on_with_and_mended(repository: Path, work: Path) -> None:
    process = start(repository, work, "--cluster", "local")
    begun = work / "exp" / "separable_conv_ctc_mini6_s3" / "begun"
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)  # to the shell script alone, as a person's kill does
    os.killpg(process.pid, signal.SIGTERM)
    messages, _ = process.communicate(timeout=60)
    assert (work / "exp" / "separable_conv_ctc_mini6_s3" / "checkpoint").exists(), messages

    table = submit(repository, work, "--status")
    lines = {line.split()[2]: line for line in table.splitlines() if " train " in line}
    assert " done" in lines["separable_conv_ctc_mini6_s1"]
    assert " failed         no noise in it" in lines["separable_conv_ctc_mini6_s2"]
    assert " interrupted" in lines["separable_conv_ctc_mini6_s3"]
    assert "2 done, 1 failed, 1 interrupted" in table

    messages = submit(repository, work, "--cluster", "local")  # the same command goes on; what failed waits for --retry
    assert "1 jobs have failed" in messages
    assert state_of(work, 2)["state"] == "done"
    assert state_of(work, 2)["starts"] == 2
    assert state_of(work, 1)["starts"] == 1

    assert "job 1 failed (exit status 2)" in submit(repository, work, "--retry-failed", status=1)
    (work / "mended").touch()
    submit(repository, work, "--retry-failed")
    assert "4 done" in submit(repository, work, "--status")
    assert "nothing to submit" in submit(repository, work)
    calls = (work / "calls").read_text().splitlines()
    assert sum("--stage=1 --stop-stage=3" in call for call in calls) == 1, "data are prepared once"
    assert sum("--seed=1 " in call for call in calls) == 1
    log = (work / "exp/grids/mine/logs/train.2.log").read_text()
    assert log.count("# Command") == 2
    for shown in ("# Host", "# Commit", "# Folder", "--lang-set=mini6 --seed=3"):
        assert shown in log


def test_a_dry_run_shows_everything_and_submits_nothing(repository: Path, work: Path) -> None:
    (work / "conf" / "cluster").mkdir()
    site = "scheduler: slurm\nmodules: [cuda/12.4]\nsetup: ['export HF_HOME=\"${SCRATCH}/hf\"']\n"
    (work / "conf" / "cluster" / "mine.yaml").write_text(site + "train: {gres: gpu:a100:1}\n")
    shown = submit(repository, work, "--cluster", "mine", "--dry-run", "--ngpu", "2", "--num-nodes", "3")
    assert "0\tseparable_conv_ctc_mini6_s1\t--lang-set=mini6" in shown
    assert "--gres=gpu:a100:2 --nodes=3 --ntasks-per-node=2" in shown
    assert "module load cuda/12.4" in shown
    assert 'export HF_HOME="${SCRATCH}/hf"' in shown
    assert "--array=0-2%16" in shown
    assert shown.count("sbatch --parsable") == 3
    assert not (work / "exp/grids/mine/submission.json").exists()
    assert not (work / "calls").exists()
    for script in (work / "exp/grids/mine").glob("*.sbatch"):
        subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--status"], "nothing was submitted under this name"),
        (["--cluster", "nowhere"], "no cluster is called 'nowhere'; there are: local, slurm"),
        ([], "--cluster is missing; sites: local, slurm"),
        (["--cluster", "local", "--name", "../x"], "letters, digits and _ . + - only"),
        (["--cluster", "local", "--num-nodes", "0"], "at least one node"),
        (["--cluster", "local", "--model", "nothing"], "no model is called 'nothing'"),
        (["--cluster", "local", "--seed", "4"], "seed: an axis of the grid"),
        (["--cluster", "local", "--train-args", "--max_epoch x"], "max_epoch must be int"),
        (["--cluster", "local", "--stage", "4"], "unrecognized arguments: --stage 4"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(
    repository: Path, work: Path, arguments: list[str], message: str
) -> None:
    assert message in submit(repository, work, *arguments, status=2)
    assert not (work / "calls").exists()


def test_without_slurm_the_message_says_what_else_there_is(repository: Path, work: Path) -> None:
    process = start(repository, work, "--cluster", "slurm", "--exp-dir", "my exp")
    messages, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--cluster local" in messages or "failed:" in messages  # no sbatch here, or one without a cluster


def test_another_grid_under_the_name_of_one_that_has_begun_is_refused(repository: Path, work: Path) -> None:
    (work / "conf/grids/mine.yaml").write_text(GRID.replace("[1, 2, 3]", "[1]"))
    submit(repository, work, "--cluster", "local")
    (work / "conf/grids/mine.yaml").write_text(GRID.replace("[1, 2, 3]", "[1, 4]"))
    assert "a name of its own (--name)" in submit(repository, work, "--cluster", "local", status=2)
    submit(repository, work, "--cluster", "local", "--name", "other")
