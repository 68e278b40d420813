"""A training that is asked to stop: it stops at the next update, with a checkpoint from which it goes on.

Slurm asks with SIGTERM when it preempts a job, and with SIGUSR1 ahead of a time limit (``sbatch --signal``).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from asr_dro.errors import InterruptedRun

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class TrainingInterrupted(InterruptedRun):
    """The training stopped because it was asked to; the checkpoint is written."""


class Interruption:
    """Remembers that this process was asked to stop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.is_listening = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take ``SIGNALS`` within the block; a second one changes nothing, the checkpoint is on its way."""
        if self.is_listening or threading.current_thread() is not threading.main_thread():  # Python allows no other
            yield
            return
        self.received, self.is_listening = None, True
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            self.is_listening = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)

    def is_asked(self) -> bool:
        """Tell whether this process was asked to stop."""
        return self.received is not None

    def requested(self, device: torch.device | None = None) -> bool:
        """Tell whether any process was asked to stop; all must call it at the same update, and get the same answer.

        Args:
            device: Where the processes exchange tensors; None: the CPU.
        """
        import torch  # not above: a training that is done already must not wait for it
        from torch import distributed

        from asr_dro.training.processes import rank_and_world

        asked = self.is_asked()
        _, world = rank_and_world()
        if world > 1:
            flag = torch.tensor([float(asked)], device=device)
            distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
            asked = bool(flag.item())
        return asked

    def describe(self) -> str:
        """Name the signal."""
        return self.received.name if self.received else "a signal to another process"


@contextmanager
def held_back() -> Iterator[None]:
    """Let ``SIGNALS`` wait for the end of the block; a process that begins within holds them back for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_parent_only() -> None:
    """Let a process that reads audio live on when a signal reaches the whole group, for the training still needs it.

    Its parent ends it with the same signal, when it has failed for instance: whoever ignores that one, too, is waited
    for without end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_end_when_asked_by, args=(os.getppid(),), daemon=True).start()


def _end_when_asked_by(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


CURRENT = Interruption()  # of this process
