"""One element of a grid at work: run.sh with its line of the list, a header for the log, signals, what became of it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from asr_dro.cluster.jobs import Job, read_job
from asr_dro.cluster.options import run_options
from asr_dro.config import REPOSITORY
from asr_dro.errors import EXIT_TRY_AGAIN, FAILURE_VARIABLE
from asr_dro.experiment import FAILURE
from asr_dro.fileio import write_json
from asr_dro.git import git
from asr_dro.lock import is_alive, start_of

STATES = "state"  # folder beside the list, with a file for each element
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_POLL_S = 0.2
_LATER_S = 5.0  # after the work was signalled, the element is too, if the signal is for all of its job
_SHOWN = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TMPDIR", "HF_HOME", "SLURM_")  # variables, or how they begin


@dataclass(frozen=True)
class Element:
    """What is to be run.

    Attributes:
        jobs: The list.
        index: Line of it, from 0.
        stages: First and last stage.
    """

    jobs: Path
    index: int
    stages: tuple[int, int] = (4, 7)


def run_element(element: Element) -> int:
    """Run one line of a list to its end, or until it is asked to stop.

    Args:
        element: What to run.

    Returns:
        The exit status: run.sh's, or 75 if it was asked to stop and is not done.

    Raises:
        UserError: If the list has no such line.
    """
    with _Listening() as signals:
        return _run_listening(element, signals)


def _run_listening(element: Element, signals: _Listening) -> int:
    job = read_job(element.jobs, element.index)
    arguments = [*job.arguments, f"--stage={element.stages[0]}", f"--stop-stage={element.stages[1]}"]
    cores = os.environ.get("SLURM_CPUS_PER_TASK")
    if cores and not any(word.startswith("--nj=") for word in arguments):
        arguments.append(f"--nj={cores}")
    command = ["bash", str(REPOSITORY / "run.sh"), *arguments]
    state = State(element.jobs, job)
    sys.stdout.write(header(job, command))
    sys.stdout.flush()
    state.write("running")
    failure = state.path.with_suffix(".failure.json")
    failures = [failure, experiment_of(job) / FAILURE]
    for path in failures:
        path.unlink(missing_ok=True)
    status = _run(command, failure, signals)
    if status == 0:
        state.write("done", status=0)
    elif stopped_by := _who_stopped_it(status, signals):
        status = EXIT_TRY_AGAIN
        state.write("interrupted", status=status, error=f"stopped by {stopped_by}")
    else:
        state.write("failed", status=status, error=_last_error(failures) or f"exit status {status}")
    return status


def _who_stopped_it(status: int, signals: _Listening) -> str | None:
    """Say what asked the work to stop; ``None``: nobody did, it failed.

    Of the processes that Slurm signals, this one may be the last. But srun sends SIGTERM too, to the others when one
    has died: such a job must not queue again and again.
    """
    if signals.first is None and status - 128 in _SIGNALS:
        signals.wait(_LATER_S)
    if signals.first is not None:
        return signals.first.name
    return "a signal to its work" if status == EXIT_TRY_AGAIN else None


class State:
    """What became of an element, in ``state/<list>.<index>.json`` beside the list.

    Args:
        jobs: The list.
        job: Its line.
    """

    def __init__(self, jobs: Path, job: Job) -> None:
        self.path = state_path(jobs, job.index)
        self.tag = job.tag
        previous = read_state(jobs, job.index)
        self.starts = int(previous.get("starts", 0)) + 1 if previous else 1

    def write(self, state: str, **more: Any) -> None:
        """Write the state: ``running``, ``done``, ``interrupted`` or ``failed``."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        pid, job = os.getpid(), os.environ.get("SLURM_JOB_ID")
        who = {"host": socket.gethostname(), "pid": pid, "start": start_of(pid), "job": job}
        write_json(self.path, {"state": state, "tag": self.tag, "starts": self.starts, "time": now, **who, **more})


def state_path(jobs: Path, index: int) -> Path:
    """Return where an element's state is kept."""
    return jobs.parent / STATES / f"{jobs.stem}.{index}.json"


def read_state(jobs: Path, index: int) -> dict[str, Any] | None:
    """Read an element's state; None if it has never begun."""
    try:
        state = json.loads(state_path(jobs, index).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def header(job: Job, command: Sequence[str]) -> str:
    """Describe a run for the top of its log: command, place, commit, host, environment."""
    lines = {
        "Job": f"{job.index} {job.tag}",
        "Command": shlex.join(command),
        "Folder": os.getcwd(),
        "Commit": git(REPOSITORY, "rev-parse", "HEAD") or "unknown",
        "Host": socket.gethostname(),
        "Begun": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    shown = {name: value for name, value in sorted(os.environ.items()) if name.startswith(_SHOWN)}
    width = max(map(len, [*lines, *shown]))
    return "".join(f"# {name:<{width}}  {value}\n" for name, value in {**lines, **shown}.items())


class _Listening:
    """Takes ``_SIGNALS`` within the block; the first is passed on to all processes begun here, which it outlives.

    Slurm asks the batch script alone (``--signal=B:USR1@120``), or all processes: both must end in a checkpoint.

    Attributes:
        first: The first signal, if any.
        asked: The processes that it was passed on to.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.asked: list[int] = []

    def __enter__(self) -> _Listening:
        self._before = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.first is None:
            self.first = signal.Signals(number)
            self.pass_on()

    def wait(self, longest_s: float) -> None:
        """Wait for a signal."""
        deadline = time.monotonic() + longest_s
        while self.first is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)

    def pass_on(self) -> None:
        """Ask all processes that there are."""
        self.asked += _descendants()
        for pid in self.asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)  # srun passes it on to other nodes, where SIGTERM would end the step


def _run(command: Sequence[str], failure: Path, signals: _Listening) -> int:
    """Run a command, which may say in ``failure`` why it ended; return its status when all that was asked is over."""
    environment = {**os.environ, FAILURE_VARIABLE: str(failure)}  # of checks; run.sh then names its experiment's
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    if signals.first is not None:
        signals.pass_on()  # it came when there was nobody yet
    status = process.wait()
    while any(is_alive(pid, None) for pid in signals.asked):  # bash has ended; a checkpoint may still be on its way
        time.sleep(_POLL_S)
    return status if status >= 0 else 128 - status


def _fields(pid: int | str) -> list[str]:
    """Return what the system says of a process, from its state on; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _descendants() -> list[int]:
    """List this process's children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if fields := _fields(entry.name):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        of_this = children.get(waiting.pop(), [])
        found += of_this
        waiting += of_this
    return found


def experiment_of(job: Job) -> Path:
    """Return the folder of a job's experiment."""
    options = dict(word[2:].partition("=")[::2] for word in job.arguments)
    return Path(options.get("exp-dir", run_options()["exp_dir"].default)) / options.get("exp-tag", "")


def _last_error(failures: Sequence[Path]) -> str:
    """Read why a run ended badly, as far as it could say."""
    for path in failures:
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["error"])
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return ""
