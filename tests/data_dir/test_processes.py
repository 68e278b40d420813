"""Killed runs: no orphans, no locks left, and the next run ends where an undisturbed one does."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from asr_dro.corpora.corpus import EncodedClip
from asr_dro.data import processes
from asr_dro.data.clip_workers import ClipWorkers
from asr_dro.data.prepare import Preparation, prepare
from asr_dro.data.processes import exclusive, worker_pool
from tests.data_dir.tones import MakeRelease

ROOT = Path(__file__).parents[2]


def wait_for(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, of_group = (folder / "stat").read_text().rsplit(")", maxsplit=1)[1].split()[:3]
        except OSError:
            continue
        if int(of_group) == group and state != "Z":
            found.append(int(folder.name))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file but those that record places and times."""
    return {
        str(path.relative_to(folder)): path.read_bytes().split(b"\n", maxsplit=path.parent.name == "spa")[-1]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".done.json", ".lock")
    }


def test_killed_while_decoding(make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = make_release(clips=40, seconds=6.0)
    arguments = ["--corpus", "mini", "--source", release, "--lang-set", "spa", "--data-dir", "data", "--name", "set"]
    (tmp_path / "killed").mkdir()
    run = subprocess.Popen(
        [sys.executable, "-m", "asr_dro.bin.prepare_data", *map(str, arguments), "--nj", "2"],
        cwd=tmp_path / "killed",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    audio = tmp_path / "killed/data/audio/mini/spa/es"
    wait_for(lambda: audio.is_dir() and len(list(audio.glob("*.flac"))) > 10)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_for(lambda: members(run.pid) == [])  # the workers noticed
    done = {path.name: path.stat().st_ino for path in audio.glob("*.flac")}
    assert 10 < len(done) < 120
    assert not (tmp_path / "killed/data/set/.done.json").exists()
    (audio / "stale.flac.tmp.1").touch()
    assert (tmp_path / "killed/data/set/.staging.db").exists()
    (tmp_path / "killed/data/set/train").mkdir()
    (tmp_path / "killed/data/set/train/text.tmp.1").touch()

    for folder in ("killed", "undisturbed"):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        assert prepare(Preparation("mini", release, ["spa"], Path("data"), "set"))
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    assert {path.name: path.stat().st_ino for path in audio.glob("*.flac")}.items() >= done.items()


def test_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    script = """
import logging, sys, time
from pathlib import Path
from asr_dro.data.processes import exclusive
logging.basicConfig(level=logging.INFO)
with exclusive(Path(sys.argv[1])):
    print("held", file=sys.stderr, flush=True)
    time.sleep(60)
"""
    with exclusive(tmp_path):
        run = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert run.stderr is not None
        assert "another run is filling this folder" in run.stderr.readline()
    assert run.stderr.readline() == "held\n"
    run.kill()
    run.wait()
    run.stderr.close()
    with exclusive(tmp_path):  # a killed run's lock is free at once, or this would wait for ever
        pass


def without_flock(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def test_lock_where_the_file_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(processes, "_POLL_S", 0.01)
    monkeypatch.setattr("fcntl.flock", without_flock)
    order: list[str] = []

    def second() -> None:
        with exclusive(tmp_path):
            order.append("second")

    with exclusive(tmp_path):
        # A thread is the same process to the lock's file, and yet must wait.
        waiting = threading.Thread(target=second)
        waiting.start()
        wait_for(lambda: "another run is filling this folder" in caplog.text)
        order.append("first")
    waiting.join(timeout=20.0)
    assert order == ["first", "second"]
    assert caplog.text.count("waiting for it") == 1


def names(clips: list[EncodedClip]) -> list[str]:
    return [clip.clip for clip in clips]


def die(clips: list[EncodedClip]) -> list[str]:
    os.kill(os.getpid(), signal.SIGKILL)
    return names(clips)


@pytest.mark.parametrize("clip_bytes", [0, 300_000])
def test_workers_are_fed_in_order_and_with_measure(clip_bytes: int) -> None:
    read: list[str] = []

    def clips() -> Iterator[EncodedClip]:
        for number in range(1000 if clip_bytes == 0 else 60):
            read.append(str(number))
            yield EncodedClip(str(number), bytes(clip_bytes), 1)

    with ExitStack() as stack:
        done: list[str] = []
        for outcomes in ClipWorkers(1, stack).run(names, clips()):
            done += outcomes
            ahead = len(read) - len(done)
            assert ahead <= 4 * 32
            assert ahead * clip_bytes <= 5e6  # clips of a minute must not fill the memory
    assert done == read


def test_worker_that_dies_is_an_error() -> None:
    with ExitStack() as stack, pytest.raises(OSError, match="a process died while it decoded clips"):
        list(ClipWorkers(1, stack).run(die, [EncodedClip("a", b"", 1)]))


def test_pool_runs_work() -> None:
    with worker_pool(1) as pool:
        assert pool.submit(abs, -1).result() == 1
