"""Processes that work on clips: started with the first clip, fed in chunks, with a bounded amount under way."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from asr_dro.corpora.corpus import EncodedClip
from asr_dro.data.processes import worker_pool

CHUNK = 32  # clips sent to a process at a time
_CHUNK_BYTES = 1 << 20  # or this much audio, if it travels with them

Outcome = TypeVar("Outcome")


def _quiet() -> None:
    """Silence the MP3 decoder: what it writes to the terminal about damaged clips, the quarantine table says better."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)


def _chunks(clips: Iterable[EncodedClip], most: int) -> Iterator[list[EncodedClip]]:
    chunk: list[EncodedClip] = []
    n_bytes = 0
    for clip in clips:
        chunk.append(clip)
        n_bytes += len(clip.content) if isinstance(clip.content, bytes) else 0
        if len(chunk) == most or n_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, n_bytes = [], 0
    if chunk:
        yield chunk


class ClipWorkers:
    """Worker processes for clips.

    Args:
        nj: Number of processes.
        stack: Ends the processes.
    """

    def __init__(self, nj: int, stack: contextlib.ExitStack) -> None:
        self._nj, self._stack = nj, stack
        self._pool: ProcessPoolExecutor | None = None

    def run(
        self, function: Callable[[list[EncodedClip]], list[Outcome]], clips: Iterable[EncodedClip], most: int = CHUNK
    ) -> Iterator[list[Outcome]]:
        """Apply ``function`` to chunks of clips in parallel.

        Args:
            function: Can be pickled.
            clips: Read as far ahead as keeps the processes busy.
            most: Clips in a chunk; fewer where results are large.

        Yields:
            Results of chunks, in the order of ``clips``.

        Raises:
            OSError: If ``function`` raises one or a process died.
        """
        if self._pool is None:
            self._pool = self._stack.enter_context(worker_pool(self._nj, _quiet))
        pending: deque[Future[list[Outcome]]] = deque()
        try:
            for chunk in _chunks(clips, most):
                pending.append(self._pool.submit(function, chunk))
                if len(pending) > 2 * self._nj + 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BaseException as error:
            for future in pending:  # or else an interrupted run would first finish what it has begun
                future.cancel()
            if not isinstance(error, BrokenProcessPool):
                raise
            raise OSError("a process died while it decoded clips; is there enough memory?") from error
