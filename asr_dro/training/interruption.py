"""A training that is asked to stop: it stops at the next update, with a checkpoint from which it goes on.

Slurm asks with SIGTERM when it preempts a job, and with SIGUSR1 ahead of a time limit (``sbatch --signal``).
"""

from __future__ import annotations

import logging
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


def ignore_in_worker() -> None:
    """Let a process that reads audio live on: signals go to whole groups of processes, and the training needs it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


CURRENT = Interruption()  # of this process
