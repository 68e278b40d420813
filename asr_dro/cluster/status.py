"""What became of each element of a grid, from what it left behind and from the scheduler's queue."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.cluster.element import experiment_of, read_state
from asr_dro.cluster.jobs import Job, read_jobs
from asr_dro.cluster.submission import TRAIN, Submission
from asr_dro.config import load_yaml
from asr_dro.errors import UserError
from asr_dro.experiment import EPOCHS, TRAIN_CONFIG
from asr_dro.fileio import read_json_lines
from asr_dro.lock import is_alive

_NEVER_BEGAN = "it never began: it was cancelled, or what it waited for failed"
Queue = Mapping[tuple[str, int], tuple[str, str]]


@dataclass(frozen=True)
class ElementStatus:
    """An element.

    Attributes:
        job: Its line of the list.
        kind: ``parts``, ``data`` or ``train``.
        state: ``not submitted``, ``queued``, ``running``, ``requeued``, ``interrupted``, ``died``, ``failed`` or
            ``done``.
        detail: Epoch and time left, why it failed, its score.
    """

    job: Job
    kind: str
    state: str
    detail: str = ""


def element_statuses(submission: Submission, queue: Queue) -> list[ElementStatus]:
    """Tell what became of each element.

    Args:
        submission: The grid's folder.
        queue: What waits or runs by the scheduler's word (``slurm.queue``); empty without one.
    """
    statuses = []
    for kind, path in submission.lists().items():
        submitted = {index for array in submission.arrays if array.kind == kind for index in array.indices}
        for job in read_jobs(path):
            experiment = experiment_of(job) if kind == TRAIN else None
            left, queued = read_state(path, job.index), queue.get((kind, job.index))
            state, detail = _state_of(experiment, left, queued, is_submitted=job.index in submitted)
            statuses.append(ElementStatus(job, kind, state, detail))
    return statuses


def _state_of(
    experiment: Path | None, left: Mapping[str, Any] | None, queued: tuple[str, str] | None, *, is_submitted: bool
) -> tuple[str, str]:
    """Tell the state of an element from what it left and where it is in the queue; and what more there is to say."""
    if left is not None and left["state"] == "done":
        return "done", _score(experiment)
    if queued is not None and queued[0] == "COMPLETING" and left is not None:  # what it left behind says more
        queued = None
    if queued is not None and queued[0] != "RUNNING":
        return ("requeued" if left else "queued"), "" if queued[1] in ("None", "") else queued[1].lower()
    if left is None:
        state = "queued" if queued else "died" if is_submitted else "not submitted"
        return state, _NEVER_BEGAN if state == "died" else ""
    if queued is not None or (left["state"] == "running" and _is_alive(left, is_submitted=is_submitted)):
        return "running", _progress(experiment)
    if left["state"] == "running":
        return "died", "it was killed, or its host went down"
    return str(left["state"]), str(left.get("error", "")).strip().split("\n")[0]


def _is_alive(left: Mapping[str, Any], *, is_submitted: bool) -> bool:
    """Tell whether the process that wrote a state is at work, though no queue knows it.

    Of another host nobody knows without a scheduler; what a scheduler started and has forgotten is over.
    """
    if is_submitted and left.get("job") is not None:
        return False
    return left.get("host") != socket.gethostname() or is_alive(left.get("pid"), left.get("start"))


def _progress(experiment: Path | None) -> str:
    """Write the epoch that a training is in, and how long the others will take."""
    try:
        assert experiment is not None
        total = int(load_yaml(experiment / TRAIN_CONFIG)["max_epoch"])
        epochs = read_json_lines(experiment / EPOCHS)
    except (AssertionError, OSError, UserError, ValueError, LookupError, TypeError):
        return ""
    if not epochs:
        return f"epoch 1 of {total}"
    left_s = (total - len(epochs)) * sum(float(epoch["seconds"]) for epoch in epochs) / len(epochs)
    return f"epoch {min(len(epochs) + 1, total)} of {total}, {left_s / 3600:.1f} h left"


def _score(experiment: Path | None) -> str:
    """Write the error of a finished run on test."""
    if experiment is None:
        return ""
    for path in sorted(experiment.glob("decode_*/test/scores.json")):
        try:
            cer = json.loads(path.read_text(encoding="utf-8"))["cer"]
            return f"CER {100 * cer['mean']:.1f} %, worst {cer['worst_language']} {100 * cer['worst']:.1f} %"
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return ""


def format_statuses(statuses: list[ElementStatus]) -> str:
    """Lay out a table for the terminal: an element a line, then how many there are of each state."""
    width = max((len(status.job.tag) for status in statuses), default=3)
    rows = [("index", "", "tag", "state", "detail")]
    rows += [(str(status.job.index), status.kind, status.job.tag, status.state, status.detail) for status in statuses]
    lines = [
        f"{i:>5}  {kind:<5}  {tag:<{width}}  {state:<13}  {detail}".rstrip() for i, kind, tag, state, detail in rows
    ]
    counts = Counter(status.state for status in statuses)
    return "\n".join([*lines, ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))]) + "\n"
