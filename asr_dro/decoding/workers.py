"""Processes that decode: each loads the model once and works through its share of all splits."""

from __future__ import annotations

import logging
import os
import queue
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.batching import Batch
from asr_dro.data.processes import SPAWN, worker_pool
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.parts import open_part
from asr_dro.errors import UserError
from asr_dro.logs import chatter_to_file, log_to_file

_PAUSE_S = 0.2  # how often the parent looks up from the progress bar

Report = Callable[[float, float], None]  # is told the seconds of audio of a finished batch, and those that it took


@dataclass(frozen=True)
class Share:
    """Batches of a split for one process.

    Attributes:
        split: ``dev`` or ``test``.
        made_from: Fingerprint of the inputs.
        part: File for the results.
        batches: The batches to decode, by number.
        audio_s: Seconds of audio of each batch.
    """

    split: str
    made_from: str
    part: Path
    batches: Mapping[int, Batch]
    audio_s: Mapping[int, float]


@dataclass(frozen=True)
class Order:
    """Work for one process.

    Attributes:
        data_set: Prepared set.
        experiment: Folder of a finished training.
        config: Decoding configuration.
        log: File for messages.
        shares: What to decode.
        device: ``cpu``, ``cuda:0``, ...
        readers: Processes that read audio for this one; 0: it does so itself.
    """

    data_set: Path
    experiment: Path
    config: DecodeConfig
    log: Path
    shares: Sequence[Share]
    device: str = "cpu"
    readers: int = 0


class _StoppedError(Exception):
    """Another process has failed, or the user has had enough."""


_told: Any = None  # of a process: queue to the parent
_stop: Any = None  # and event that ends it


def decode_order(order: Order, report: Report) -> None:
    """Decode all shares of an order; each finished batch is kept at once.

    Args:
        order: The work.
        report: Is told of each finished batch.

    Raises:
        UserError: If the model cannot be used, or too many utterances cannot be read.
    """
    with ExitStack() as stack:
        stack.enter_context(log_to_file(order.log))
        # All of them at once and from the beginning: whoever decodes the whole set waits for this process.
        parts = [stack.enter_context(open_part(share.part, share.made_from)) for share in order.shares]
        with chatter_to_file(order.log):  # torch and ESPnet cost seconds to import: only now
            from asr_dro.decoding.inference import Recognizer

        recognizer = Recognizer(order.data_set, order.experiment, order.config, device=order.device)
        for share, part in zip(order.shares, parts, strict=True):
            waiting = [number for number in share.batches if number not in part.batches]
            batches = [share.batches[number] for number in waiting]
            found = recognizer.decode(share.split, batches, readers=order.readers)
            start = time.perf_counter()
            for number, records in zip(waiting, found, strict=True):
                seconds, audio_s = time.perf_counter() - start, share.audio_s[number]
                part.add(number, records, audio_s=audio_s, seconds=seconds, device=recognizer.device_name)
                report(audio_s, seconds)
                start = time.perf_counter()


def decode_orders(orders: Sequence[Order], report: Report) -> None:
    """Decode several orders at the same time, a process for each.

    Args:
        orders: Work of each process, with a log in common.
        report: Is told of each finished batch, in this process.

    Raises:
        UserError: If one of them fails; the others finish the batch that they are at. What is finished is kept.
    """
    told, stop = SPAWN.Queue(), SPAWN.Event()
    with worker_pool(len(orders), _begin, (told, stop, orders[0].log)) as pool:
        try:
            pending = {pool.submit(_work, order) for order in orders}
            while pending:
                done, pending = wait(pending, timeout=0)
                for future in done:
                    future.result()
                _pass_on(told, report)
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {len(orders)} decoding processes was killed, perhaps for want of memory. What is decoded is "
                "kept: start again with fewer (--nj on the CPU) or a smaller seconds_per_batch"
            ) from error
        finally:
            stop.set()


def _pass_on(told: Any, report: Report) -> None:
    """Hand on what processes have told; wait a moment for the first of it."""
    try:
        report(*told.get(timeout=_PAUSE_S))
        while True:
            report(*told.get_nowait())
    except queue.Empty:
        return


def _begin(told: Any, stop: Any, log: Path) -> None:
    """Prepare a process, before anything heavy is imported."""
    global _told, _stop
    _told, _stop = told, stop
    os.environ["OMP_NUM_THREADS"] = "1"  # processes share the machine; two threads each would wait for each other
    # Libraries write about damaged files to file 2; our messages go on to the terminal.
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace", buffering=1)
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(file, 2)
    os.close(file)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)


def _work(order: Order) -> None:
    def report(audio_s: float, seconds: float) -> None:
        _told.put((audio_s, seconds))
        if _stop.is_set():
            raise _StoppedError

    decode_order(order, report)
