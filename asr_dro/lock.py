"""One run in an experiment folder: a second one is refused, what a killed one left behind is recognised.

The lock is a file and not ``flock``, which network file systems of clusters often lack or keep to one host.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from asr_dro.errors import UserError
from asr_dro.experiment import LOCK

logger = logging.getLogger(__name__)

HEARTBEAT_S = 30.0  # the owner touches its lock so often
STALE_S = 300.0  # a lock that nobody touched for so long belongs to a host that is gone
_ENDED = -1  # start of a process that has ended and was not waited for


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``<folder>/.lock`` for the block.

    Args:
        folder: An experiment's folder.

    Raises:
        UserError: If another run holds it; the message names its host, process and job.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    _take(path)
    ended = threading.Event()
    threading.Thread(target=_keep_alive, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if _read(path) == _myself():
            path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Tell whether somebody alive holds this lock."""
    owner = _read(path)
    return owner is not None and not _is_stale(path, owner)


def is_alive(pid: object, start: object) -> bool:
    """Tell whether the process that wrote a lock runs on this machine.

    Args:
        pid: Its number, as the lock has it; anything, for locks are damaged by crashes.
        start: When it began, in ticks since boot: a number is given to another process some day. ``None``, or what is
            no number, where that is unknown.
    """
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's process
        pass
    except (ProcessLookupError, OverflowError):
        return False
    began = start_of(pid)
    return began != _ENDED and (not isinstance(start, int) or began is None or began == start)


def _take(path: Path) -> None:
    own = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}")
    own.write_text(json.dumps(_myself()), encoding="utf-8")
    try:
        for _ in range(10):
            with suppress(FileExistsError):
                os.link(own, path)  # atomic on network file systems too, and never takes a lock that is there
                return
            owner = _read(path)
            if owner is not None and not _is_stale(path, owner):
                raise UserError(_refusal(path, owner))
            _remove_stale(path, owner)
    finally:
        own.unlink(missing_ok=True)
    raise UserError(f"{path} changes hands all the time; are many runs starting in {path.parent}?")


def _remove_stale(path: Path, owner: dict[str, Any] | None) -> None:
    """Take the lock of a dead run out of the way; of several runs that try, one does."""
    aside = path.with_name(f"{path.name}.stale.{socket.gethostname()}.{os.getpid()}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != owner:  # somebody was faster: this is a living run's lock
        with suppress(FileExistsError):
            os.link(aside, path)
    elif owner is not None:
        logger.info("%s was left behind by process %s on %s", path, owner.get("pid"), owner.get("host"))
    aside.unlink(missing_ok=True)


def _myself() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "start": start_of(os.getpid()), "job": slurm_job()}


def slurm_job() -> str | None:
    """Name the Slurm job that this process belongs to: an array's element, or a job."""
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array and element else os.environ.get("SLURM_JOB_ID")


def start_of(pid: int) -> int | None:
    """Return when a process began, in ticks since boot; ``_ENDED`` for a zombie, ``None`` where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return _ENDED if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _is_stale(path: Path, owner: dict[str, Any]) -> bool:
    """Tell whether the owner of a lock is gone."""
    if owner.get("host") == socket.gethostname():
        return not is_alive(owner.get("pid"), owner.get("start"))
    if owner.get("job") is not None and owner.get("job") == slurm_job():
        return True  # this is the same job, requeued on another host
    return _age_s(path) > STALE_S


def _age_s(path: Path) -> float:
    """Return how long ago a lock was touched, by the clock of its file system: hosts' clocks differ."""
    probe = path.with_name(f"{path.name}.clock.{socket.gethostname()}.{os.getpid()}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # it has just been given back
    finally:
        probe.unlink(missing_ok=True)


def _keep_alive(path: Path, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT_S):
        with suppress(OSError):
            os.utime(path)


def _read(path: Path) -> dict[str, Any] | None:
    """Read who holds a lock; None if nobody does, or a crash of the file system has left it empty."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _refusal(path: Path, owner: dict[str, Any]) -> str:
    job = f", job {owner['job']}" if owner.get("job") else ""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime)) if path.exists() else "now"
    return (
        f"another run works in {path.parent}: process {owner.get('pid')} on {owner.get('host')}{job}, alive {since}. "
        f"Wait for it, or stop it; to run beside it, take another --exp-tag."
    )
