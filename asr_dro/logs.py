"""Where a training's messages go: all of them into a file, those that people need to the terminal."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO

OURS = "asr_dro"


class _ForPeople(logging.Filter):
    """Pass errors from anywhere, and of the first process our own messages.

    Args:
        ours: Whether our own messages pass.
    """

    def __init__(self, *, ours: bool) -> None:
        super().__init__()
        self.ours = ours

    def filter(self, record: logging.LogRecord) -> bool:
        mine = record.name.split(".")[0] in (OURS, "__main__")
        return (self.ours and mine) or record.levelno >= logging.ERROR


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Append every message of the block to ``path``; the terminal shows ours, and errors of others.

    ESPnet logs its model, optimiser and several lines an epoch; with its warnings they would bury the one line an
    epoch that a person follows. Of several processes (``RANK`` in the environment) the first speaks for all; the others
    have a file each, ``train.1.log``, and show errors only.
    """
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        path = path.with_suffix(f".{rank}{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    terminal = [handler for handler in root.handlers if getattr(handler, "stream", None) is sys.stderr]
    filter_ = _ForPeople(ours=rank == 0)
    for handler in terminal:
        handler.addFilter(filter_)
    root.addHandler(file)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(file)
        file.close()
        for handler in terminal:
            handler.removeFilter(filter_)


@contextmanager
def chatter_to_file(path: Path) -> Iterator[None]:
    """Append what the block prints, rather than logs, to ``path``.

    Importing ESPnet prints missing optional packages and warnings about other packages' source code: nothing that a
    person could act on. A library that sets up a terminal of its own meanwhile, as transformers does, logs from then on
    like all others.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            yield
        finally:
            _take_back(file)


def _take_back(stream: IO[str]) -> None:
    """Remove handlers that write to a stream about to be closed; their loggers' messages go to the root logger."""
    for logger in [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]:
        for handler in logger.handlers[:]:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                logger.removeHandler(handler)
                logger.propagate = True


@contextmanager
def errors_of_others_only() -> Iterator[None]:
    """Show our messages, and of others' errors alone: ESPnet and its like warn of what no person can act on."""
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    levels = root.level, ours.level
    root.setLevel(logging.ERROR)
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
