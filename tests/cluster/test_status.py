"""What is said of an element, from its state and the queue: hosts that are gone, jobs that end, long lists."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from asr_dro.cluster.element import state_path
from asr_dro.cluster.grid import Run
from asr_dro.cluster.status import ElementStatus, element_statuses, format_statuses
from asr_dro.cluster.submission import TRAIN, Array, Submission
from asr_dro.fileio import write_json

NEVER = 4_194_305  # above the largest number of a process


def submission_of(folder: Path, count: int = 1) -> Submission:
    submission = Submission(folder, folder / "exp", "")
    submission.folder.mkdir(exist_ok=True)
    submission.write_lists(
        [Run(f"tag{number}", {"exp_tag": f"tag{number}", "seed": str(number)}) for number in range(count)]
    )
    submission.arrays.append(Array(TRAIN, "7", tuple(range(count))))
    return submission


def leave(submission: Submission, state: str, index: int = 0, **more: Any) -> None:
    who = {"host": socket.gethostname(), "pid": os.getpid(), "job": "7"}
    write_json(state_path(submission.jobs, index), {"state": state, "tag": "tag", "starts": 1, **who, **more})


def status_of(submission: Submission, queued: tuple[str, str] | None) -> ElementStatus:
    statuses = element_statuses(submission, {(TRAIN, 0): queued} if queued else {})
    return next(status for status in statuses if status.kind == TRAIN)


@pytest.mark.parametrize(
    ("left", "queued", "expected"),
    [
        (None, ("PENDING", "Dependency"), "queued"),
        (None, ("RUNNING", "None"), "queued"),  # it has not reached its first line
        (None, None, "died"),
        ({"state": "running"}, ("RUNNING", "None"), "running"),
        ({"state": "running", "host": "elsewhere"}, ("RUNNING", "None"), "running"),
        ({"state": "running", "host": "elsewhere"}, None, "died"),  # killed with its node: nobody else will say so
        ({"state": "running"}, None, "died"),
        ({"state": "interrupted"}, ("PENDING", "BeginTime"), "requeued"),
        ({"state": "interrupted"}, None, "interrupted"),
        ({"state": "failed", "error": "no room\nmore"}, ("COMPLETING", "None"), "failed"),
        ({"state": "failed", "error": "no room"}, ("PENDING", "Resources"), "requeued"),  # --retry-failed
        ({"state": "done"}, ("COMPLETING", "None"), "done"),
    ],
)
def test_the_queue_and_what_an_element_left_make_its_state(
    tmp_path: Path, left: dict[str, Any] | None, queued: tuple[str, str] | None, expected: str
) -> None:
    submission = submission_of(tmp_path)
    if left is not None:
        leave(submission, **left)
    status = status_of(submission, queued)
    assert status.state == expected
    assert "\n" not in status.detail
    if expected == "died":
        assert status.detail, "why is said"


def test_without_a_scheduler_only_processes_of_this_machine_can_be_looked_for(tmp_path: Path) -> None:
    submission = submission_of(tmp_path)
    submission.arrays.clear()
    for more, expected in (({}, "running"), ({"pid": NEVER}, "died"), ({"host": "elsewhere"}, "running")):
        leave(submission, "running", job=None, **more)
        assert status_of(submission, None).state == expected


def test_thousands_of_elements_are_looked_at_in_two_seconds(tmp_path: Path) -> None:
    submission = submission_of(tmp_path, 2500)
    for index in range(0, 2500, 2):
        leave(submission, "failed", index, error="exit status 1")
    queue = {(TRAIN, index): ("PENDING", "Resources") for index in range(1, 2500, 4)}
    before = time.process_time()
    text = format_statuses(element_statuses(submission, queue))
    assert time.process_time() - before < 2.0
    assert text.splitlines()[-1] == "625 died, 1250 failed, 1 not submitted, 625 queued"  # 1: the data
