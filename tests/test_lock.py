"""One run in a folder at a time: who is refused, and whose lock is a dead run's."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asr_dro import lock
from asr_dro.errors import UserError
from asr_dro.experiment import LOCK
from asr_dro.lock import is_held, locked


def write_lock(folder: Path, **owner: object) -> Path:
    path = folder / LOCK
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": 1, "job": None, **owner}))
    return path


def test_the_lock_is_given_back_also_after_an_error(tmp_path: Path) -> None:
    with locked(tmp_path / "exp"):
        assert is_held(tmp_path / "exp" / LOCK)
    with pytest.raises(ValueError, match="mine"), locked(tmp_path / "exp"):
        raise ValueError("mine")
    assert list((tmp_path / "exp").iterdir()) == []


def test_a_living_process_is_not_disturbed(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from asr_dro.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=f"process {process.pid} on {socket.gethostname()}.*--exp-tag"),
            locked(tmp_path),
        ):
            pytest.fail("two runs in one folder")
        process.kill()  # -9: nothing is cleaned up
        process.wait()
        assert (tmp_path / LOCK).exists()
        assert not is_held(tmp_path / LOCK)
        with locked(tmp_path):
            pass


def test_a_number_that_another_process_has_now_holds_nothing(tmp_path: Path) -> None:
    write_lock(tmp_path, host=socket.gethostname(), pid=os.getppid(), start=1)
    with locked(tmp_path):
        pass


def test_another_host_holds_it_as_long_as_it_touches_it(tmp_path: Path) -> None:
    path = write_lock(tmp_path, job="77_3")
    with pytest.raises(UserError, match="process 1 on elsewhere, job 77_3"), locked(tmp_path):
        pytest.fail("two runs in one folder")
    os.utime(path, (1e9, 1e9))
    with locked(tmp_path):
        pass


def test_a_requeued_job_takes_over_from_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lock(tmp_path, job="77_3")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    with pytest.raises(UserError), locked(tmp_path):
        pytest.fail("two runs in one folder")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("pid", [None, "text", True, 0, -1, 10**30])
def test_a_damaged_number_holds_nothing(tmp_path: Path, pid: object) -> None:
    write_lock(tmp_path, host=socket.gethostname(), pid=pid, start=None)
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "no lock"])
def test_an_empty_or_odd_lock_is_a_crash_s(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with locked(tmp_path):
        pass


def enter(folder: Path, barrier: threading.Barrier, entered: multiprocessing.Queue[str]) -> None:
    barrier.wait()
    try:
        with locked(folder):
            entered.put("in")
            barrier.wait(timeout=10)
    except UserError:
        entered.put("refused")
        barrier.wait(timeout=10)


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path: Path) -> None:
    write_lock(tmp_path, host=socket.gethostname(), pid=os.getppid(), start=1)
    context = multiprocessing.get_context("fork")
    barrier, entered = context.Barrier(6), context.Queue()
    processes = [context.Process(target=enter, args=(tmp_path, barrier, entered)) for _ in range(6)]
    for process in processes:
        process.start()
    results = sorted(entered.get(timeout=20) for _ in processes)
    for process in processes:
        process.join(timeout=20)
    assert results == ["in"] + ["refused"] * 5


def test_the_owner_touches_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    touched = threading.Event()
    original = os.utime

    def utime(path: Path) -> None:
        original(path)
        touched.set()

    monkeypatch.setattr(os, "utime", utime)
    with locked(tmp_path):
        assert touched.wait(timeout=10)
