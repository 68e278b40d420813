"""A grid without a scheduler: a bounded number of processes on this machine, in the order that Slurm would keep."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from asr_dro.cluster.batch_scripts import collect_arguments
from asr_dro.cluster.submission import LISTS, LOGS, PARTS, TRAIN, Submission
from asr_dro.config import REPOSITORY
from asr_dro.errors import InterruptedRun

logger = logging.getLogger(__name__)

_POLL_S = 0.1


def run_locally(submission: Submission, left: Mapping[str, Sequence[int]], *, max_running: int) -> int:
    """Prepare, then train, decode and score, then collect.

    Args:
        submission: The grid's folder.
        left: Lines to run of each kind's list.
        max_running: Processes at a time.

    Returns:
        The number of elements that failed.

    Raises:
        InterruptedRun: If a signal came; every element was asked to stop and has.
    """
    (submission.folder / LOGS).mkdir(parents=True, exist_ok=True)
    workers = _Workers(submission, max_running)
    failed = 0
    for kind in LISTS:
        failed = workers.run(kind, left.get(kind, ()))
        if failed and kind == PARTS:
            logger.warning("%d parts failed; their sets' own stage 1 tries them again", failed)
        elif failed and kind != TRAIN:
            logger.error("%d jobs of %s failed; nothing is trained: see %s", failed, kind, submission.folder / LOGS)
            return failed
    collect = ["bash", str(REPOSITORY / "local" / "collect_scores.sh"), *collect_arguments(submission)]
    subprocess.run(collect, stdin=subprocess.DEVNULL, check=False)
    return failed


class _Workers:
    """Processes at work on elements.

    Args:
        submission: The grid's folder.
        max_running: Processes at a time.
    """

    def __init__(self, submission: Submission, max_running: int) -> None:
        self.submission, self.max_running = submission, max_running
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.stopped_by: signal.Signals | None = None

    def run(self, kind: str, indices: Sequence[int]) -> int:
        """Run these lines of a kind's list; return how many failed."""
        waiting, failed = list(indices), 0
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            with tqdm(total=len(waiting), desc=kind, unit="job", disable=None) as progress:
                while (waiting and self.stopped_by is None) or self.running:
                    while waiting and len(self.running) < self.max_running and self.stopped_by is None:
                        self._start(kind, waiting.pop(0))
                    failed += self._wait(kind, progress)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.stopped_by is not None:
            raise InterruptedRun(f"{self.stopped_by.name}; each job keeps its last checkpoint")
        return failed

    def _start(self, kind: str, index: int) -> None:
        first, last = LISTS[kind][1]
        path = self.submission.list_of(kind)
        command = [sys.executable, "-m", "asr_dro.bin.run_job", "--jobs", str(path), "--index", str(index)]
        command += ["--stage", str(first), "--stop-stage", str(last)]
        with open(self._log(kind, index), "ab") as log:
            # A session of its own: a signal to it reaches all its processes and nobody else's.
            self.running[index] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _log(self, kind: str, index: int) -> Path:
        return self.submission.folder / LOGS / f"{kind}.{index}.log"

    def _wait(self, kind: str, progress: Any) -> int:
        """Take note of processes that have ended; return how many of them failed."""
        failed = 0
        for index, process in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[index]
            progress.update()
            if process.returncode and self.stopped_by is None:
                failed += 1
                logger.error("job %d failed (exit status %d): %s", index, process.returncode, self._log(kind, index))
        time.sleep(_POLL_S)
        return failed

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Ask every element to stop; it writes its checkpoint first."""
        if self.stopped_by is not None:
            return
        self.stopped_by = signal.Signals(number)
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
