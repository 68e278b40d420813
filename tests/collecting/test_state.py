from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from asr_dro.collecting.find import Place
from asr_dro.collecting.runs import Run, read_run
from asr_dro.lock import STALE_S, locked
from tests.collecting.experiments import write, write_run


def read(folder: Path) -> Run:
    return read_run(Place(folder.parent, folder))


def lock(folder: Path, **content: Any) -> Path:
    return write(folder / ".lock", json.dumps({"host": socket.gethostname(), **content}))


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_how_far_it_came(tmp_path: Path) -> None:
    assert read(write_run(tmp_path / "trained")).state == "trained"
    interrupted = read(write_run(tmp_path / "interrupted", trained=False, epochs=1))
    assert (interrupted.state, interrupted.detail) == ("interrupted", "epoch 1 of 2")
    write(tmp_path / "new" / "train.yaml", "max_epoch: 2\n")
    assert read(tmp_path / "new").state == "configured"


def test_who_holds_the_lock_of_training_is_training(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", trained=False, epochs=1)
    with locked(folder):
        run = read(folder)
    assert (run.state, run.detail) == ("training", "epoch 1 of 2, on this machine")
    assert read(folder).state == "interrupted"


@pytest.mark.parametrize("start", [None, 12, "text"])
def test_a_dead_process_trains_nothing(tmp_path: Path, start: object) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    lock(folder, pid=ended_process(), start=start)
    assert read(folder).state == "interrupted"


def test_a_process_that_has_a_dead_ones_number(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    lock(folder, pid=os.getpid(), start=1)
    assert read(folder).state == "interrupted"
    lock(folder, pid=os.getpid())
    assert read(folder).state == "training"


def test_of_another_machine_the_touch_counts(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", trained=False, epochs=0)
    path = lock(folder, host="elsewhere", pid=1, job="77_3")
    run = read(folder)
    assert (run.state, run.detail) == ("training", "on elsewhere, job 77_3")
    then = time.time() - STALE_S - 10
    os.utime(path, (then, then))
    assert read(folder).state == "interrupted"


def test_with_a_model_the_lock_is_of_decoding(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x")
    lock(folder, pid=os.getpid())
    assert read(folder).state == "decoding"


@pytest.mark.parametrize("content", ["", "[]", '{"pid": -1}', '{"pid": true}', '{"pid": 1e99}', '{"pid": "x"}', "\0"])
def test_odd_locks_hold_nothing(tmp_path: Path, content: str) -> None:
    folder = write_run(tmp_path / "x")
    write(folder / ".lock", content)
    assert read(folder).state == "trained"


def test_a_failure_with_its_stage_and_error(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    write(folder / "failure.json", json.dumps({"stage": "4", "status": 1, "error": "CUDA\x1b[31m out\nof memory"}))
    run = read(folder)
    assert (run.state, run.detail) == ("failed", "stage 4: CUDA [31m out of memory")
    write(folder / "failure.json", '{"status": 3}')
    assert read(folder).detail == "stage unknown: exit status 3"
    write(folder / "failure.json", "{")
    assert (read(folder).state, "failure.json cannot be read" in read(folder).detail) == ("failed", True)


@pytest.mark.parametrize("error", [None, "", "exit status 137, killed by signal 9"])
def test_a_killed_run_is_said_to_be(tmp_path: Path, error: str | None) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    write(folder / "failure.json", json.dumps({"stage": "5", "status": 137, "error": error}))
    run = read(folder)
    assert (run.state, run.detail) == ("failed", "stage 5: killed (SIGKILL), by somebody or for want of memory")
    write(folder / "failure.json", json.dumps({"stage": "5", "status": 137, "error": "a worker was killed"}))
    assert read(folder).detail == "stage 5: a worker was killed"


@pytest.mark.parametrize("status", [75, 130, 143])
def test_to_be_asked_to_stop_is_no_failure(tmp_path: Path, status: int) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    write(folder / "failure.json", json.dumps({"stage": 4, "status": status, "error": "SIGTERM"}))
    run = read(folder)
    assert (run.state, run.detail) == ("interrupted", "epoch 2 of 2, stage 4: SIGTERM")


def test_who_runs_again_after_a_failure_has_not_failed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    write(folder / "failure.json", "{}")
    with locked(folder):
        assert read(folder).state == "training"


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", trained=False)
    lock(folder, host="elsewhere", pid=1)
    before = sorted(path.name for path in folder.iterdir())
    stamp = folder.stat().st_mtime_ns
    read(folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert folder.stat().st_mtime_ns == stamp
