"""How far an experiment came: from the files that it left, its lock, and its record of a bad end."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from asr_dro.collecting.reading import UnreadableError, mapping, one_line, read_json_object
from asr_dro.experiment import CHECKPOINTS, FAILURE, LAST_CHECKPOINT, LOCK, MODEL

SCORED = "scored"
CORRUPT = "corrupt"  # scores.json is there and cannot be understood
DECODED = "decoded"
DECODING = "decoding"
TRAINED = "trained"
TRAINING = "training"
INTERRUPTED = "interrupted"
FAILED = "failed"
CONFIGURED = "configured"
STATES = (SCORED, CORRUPT, DECODED, DECODING, TRAINED, TRAINING, INTERRUPTED, FAILED, CONFIGURED)

_SLACK_S = 2.0  # between a process's start and the clock of the file system that holds its lock


def run_state(folder: Path, *, epochs: int, max_epoch: object) -> tuple[str, str]:
    """Tell the state of an experiment, not looking at hypotheses and scores.

    Args:
        folder: The experiment.
        epochs: How many epochs ``train.jsonl`` has.
        max_epoch: How many there were to be; anything.

    Returns:
        One of ``TRAINED``, ``DECODING``, ``TRAINING``, ``FAILED``, ``INTERRUPTED``, ``CONFIGURED``, and what more there
        is to say, in one line.
    """
    checkpoints = folder / CHECKPOINTS
    progress = f"epoch {epochs} of {one_line(max_epoch) or '?'}" if epochs else ""
    has_model = (checkpoints / MODEL).exists()
    owner = live_owner(folder / LOCK)
    if owner is not None:
        state = DECODING if has_model else TRAINING
        return state, ", ".join(part for part in ("" if has_model else progress, owner) if part)
    if (failure := read_failure(folder / FAILURE)) is not None:
        return FAILED, failure
    if has_model:
        return TRAINED, ""
    if (checkpoints / LAST_CHECKPOINT).exists():
        return INTERRUPTED, progress
    return CONFIGURED, ""


def read_failure(path: Path) -> str | None:
    """Describe how the last run ended badly; ``None`` if it did not."""
    try:
        failure = read_json_object(path)
    except UnreadableError as error:
        return str(error)
    if not failure and not path.exists():
        return None
    stage, status = one_line(failure.get("stage")), one_line(failure.get("status"))
    where = f"stage {stage}" if stage else "stage unknown"
    what = one_line(failure.get("error")) or (f"exit status {status}" if status else "no error recorded")
    return f"{where}: {what}"


def live_owner(lock: Path) -> str | None:
    """Describe who works in a folder; ``None`` if nobody does, or a process of this machine that is gone.

    Whether a process of another machine is alive cannot be seen from here: it counts as alive, and the text says so.

    Args:
        lock: The file; JSON with ``host``, ``pid``, ``start``, ``job``, each of which may be missing.
    """
    try:
        written = lock.stat().st_mtime
        content = read_json_object(lock)
    except FileNotFoundError:
        return None
    except (OSError, UnreadableError):
        return f"{lock.name} cannot be read"
    job = f"job {one_line(content['job'])}" if content.get("job") else ""
    if content.get("host") not in {None, "", socket.gethostname(), socket.getfqdn()}:
        age_h = (time.time() - written) / 3600
        return ", ".join(part for part in (f"on {one_line(content['host'])}, locked {age_h:.1f} h ago", job) if part)
    pid = content.get("pid")
    if isinstance(pid, str) and pid.isdecimal():
        pid = int(pid)
    if not isinstance(pid, int) or isinstance(pid, bool) or not _is_alive(pid, written):
        return None
    return ", ".join(part for part in ("on this machine", job) if part)


def _is_alive(pid: int, locked_at: float) -> bool:
    """Tell whether a process runs and is not a later one that was given the same number."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's process
        pass
    except (ProcessLookupError, OverflowError):
        return False
    started = _start_time(pid)
    return started is None or started <= locked_at + _SLACK_S


def _start_time(pid: int) -> float | None:
    """Return when a process began, in seconds since the epoch; ``None`` where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return time.time() - uptime_s + float(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def describe_host(environment: dict[str, Any]) -> str:
    """Name the class of machine in one line: its GPUs, or its processor."""
    host = mapping(environment.get("host"))
    if host.get("gpu"):
        return one_line(host["gpu"])
    cores = f", {one_line(host['cores'])} cores" if host.get("cores") else ""
    return one_line(host.get("cpu")) + cores if host.get("cpu") else ""
