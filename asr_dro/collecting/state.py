"""How far an experiment came: from the files that it left, its lock, and its record of a bad end."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.collecting.reading import UnreadableError, mapping, one_line, read_json_object
from asr_dro.errors import EXIT_INTERRUPTED, EXIT_TRY_AGAIN
from asr_dro.experiment import CHECKPOINTS, FAILURE, LAST_CHECKPOINT, LOCK, MODEL
from asr_dro.lock import STALE_S, is_alive

SCORED = "scored"
CORRUPT = "corrupt"  # scores.json is there and cannot be understood
DECODED = "decoded"
DECODING = "decoding"
TRAINED = "trained"
TRAINING = "training"
INTERRUPTED = "interrupted"
FAILED = "failed"
CONFIGURED = "configured"
NOT_BEGUN = "not begun"  # on a list of jobs, and nowhere else
STATES = (SCORED, CORRUPT, DECODED, DECODING, TRAINED, TRAINING, INTERRUPTED, FAILED, CONFIGURED, NOT_BEGUN)

KILLED = 128 + 9  # exit status that a shell reports of SIGKILL
STOPPED_ON_REQUEST = frozenset({EXIT_TRY_AGAIN, EXIT_INTERRUPTED, 128 + 15})  # exit statuses that are no failures


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
    failure = read_failure(folder / FAILURE)
    if failure is not None and not failure.is_request:
        return FAILED, failure.text
    if has_model:
        return TRAINED, ""
    if failure is not None or (checkpoints / LAST_CHECKPOINT).exists():
        return INTERRUPTED, ", ".join(part for part in (progress, failure.text if failure else "") if part)
    return CONFIGURED, ""


@dataclass(frozen=True, slots=True)
class Failure:
    """How the last run ended: in one line, and whether somebody or the cluster asked it to stop."""

    text: str
    is_request: bool = False


def read_failure(path: Path) -> Failure | None:
    """Read how the last run ended badly; ``None`` if it did not."""
    try:
        failure = read_json_object(path)
    except UnreadableError as error:
        return Failure(str(error))
    if not failure and not path.exists():
        return None
    stage, status = one_line(failure.get("stage")), failure.get("status")
    where = f"stage {stage}" if stage else "stage unknown"
    return Failure(
        f"{where}: {_reason(one_line(failure.get('error')), status)}",
        isinstance(status, int) and status in STOPPED_ON_REQUEST,
    )


def _reason(error: str, status: object) -> str:
    """Say why a run ended; a killed one could not say it itself."""
    if status == KILLED and (not error or error.startswith("exit status")):
        return "killed (SIGKILL), by somebody or for want of memory"
    return error or (f"exit status {one_line(status)}" if status is not None else "no error recorded")


def live_owner(lock: Path) -> str | None:
    """Describe who works in a folder; ``None`` if nobody does, or only somebody who is gone.

    Nothing is written, so folders of others can be looked at. Of a process of another machine only this can be seen: a
    living one touches its lock every few seconds.

    Args:
        lock: The file; JSON with ``host``, ``pid``, ``start``, ``job``, each of which may be missing.
    """
    try:
        touched_s_ago = time.time() - lock.stat().st_mtime
        content = read_json_object(lock)
    except (FileNotFoundError, UnreadableError):
        return None
    except OSError:
        return f"{lock.name} cannot be read"
    job = f", job {one_line(content['job'])}" if content.get("job") else ""
    if content.get("host") not in {None, "", socket.gethostname()}:
        return f"on {one_line(content['host'])}{job}" if touched_s_ago <= STALE_S else None
    if not is_alive(content.get("pid"), content.get("start")):
        return None
    return f"on this machine{job}"


def describe_host(environment: dict[str, Any]) -> str:
    """Name the class of machine in one line: its GPUs, or its processor."""
    host = mapping(environment.get("host"))
    if host.get("gpu"):
        return one_line(host["gpu"])
    cores = f", {one_line(host['cores'])} cores" if host.get("cores") else ""
    return one_line(host.get("cpu")) + cores if host.get("cpu") else ""
