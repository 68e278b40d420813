"""Worker processes that leave nothing behind, and a lock for folders that only one run may fill."""

from __future__ import annotations

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import IO, Any

from asr_dro.errors import UserError
from asr_dro.lock import locked

logger = logging.getLogger(__name__)

SPAWN = multiprocessing.get_context("spawn")  # fork would copy the threads' locks of progress bars and libraries
_NO_FLOCK = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # what network file systems answer
_POLL_S = 2.0
_WAITING = "%s: another run is filling this folder; waiting for it"


def _exit_with_parent(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _initialize(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, and one message is enough
    parent = multiprocessing.parent_process()
    if parent is not None:  # a parent killed by SIGKILL cannot stop its workers: they would wait for ever
        threading.Thread(target=_exit_with_parent, args=(parent.sentinel,), daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def worker_pool(
    nj: int, initializer: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """Return an executor of ``nj`` fresh processes that end with this one, however it ends."""
    return ProcessPoolExecutor(nj, mp_context=SPAWN, initializer=_initialize, initargs=(initializer, arguments))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``<folder>/.lock``; another run that wants the same folder waits. A killed run's lock is free at once.

    Where the file system has no ``flock``, a file in ``<folder>/.held`` serves, and a run killed on another host holds
    it for some minutes more. An ``flock`` that holds on one host only, as some mounts have it, cannot be recognised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a", encoding="utf-8") as file, ExitStack() as stack:
        try:
            _flock(folder, file)
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            _hold(folder, stack)
        yield


def _flock(folder: Path, file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.info(_WAITING, folder)
        fcntl.flock(file, fcntl.LOCK_EX)


def _hold(folder: Path, stack: ExitStack) -> None:
    has_said = False
    while True:
        try:
            stack.enter_context(locked(folder / ".held"))
            return
        except UserError:  # another run holds it
            if not has_said:
                logger.info(_WAITING, folder)
            has_said = True
            time.sleep(_POLL_S)
