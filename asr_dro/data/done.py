"""Markers of finished work: what an output was made from, so that a re-run knows whether anything is left to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from asr_dro.fileio import write_json

_BLOCK_BYTES = 1 << 20


def fingerprint(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Return ``{real path: [size in bytes, time of change in ns]}``; a missing file has size -1."""
    found = {}
    for path in paths:
        try:
            status = path.stat()
            found[os.path.realpath(path)] = [status.st_size, status.st_mtime_ns]
        except FileNotFoundError:
            found[os.path.realpath(path)] = [-1, 0]
    return found


def is_made_from(marker: Path, inputs: Mapping[str, Any], outputs: Iterable[Path] = ()) -> bool:
    """Tell whether ``marker`` records exactly ``inputs`` and every one of ``outputs`` is still there."""
    try:
        recorded = json.loads(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return bool(recorded == json.loads(json.dumps(inputs))) and all(path.exists() for path in outputs)


def mark_made_from(marker: Path, inputs: Mapping[str, Any]) -> None:
    """Write ``marker``; call it last."""
    write_json(marker, inputs)


@contextmanager
def open_if_changed(path: Path) -> Iterator[IO[str]]:
    r"""Open a text file for writing, piece by piece; if it ends up as it was, it stays untouched.

    Later stages then see an untouched input. The file appears when it is complete; parent folders are made.

    Yields:
        The open temporary file (UTF-8, ``\n`` line ends).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            if not _are_equal(temporary, path):
                os.fsync(file.fileno())
                os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _are_equal(first: Path, second: Path) -> bool:
    # not filecmp, which remembers answers by size and time
    if not second.is_file() or first.stat().st_size != second.stat().st_size:
        return False
    with open(first, "rb") as one, open(second, "rb") as other:
        while block := one.read(_BLOCK_BYTES):
            if block != other.read(_BLOCK_BYTES):
                return False
    return True


def write_if_changed(path: Path, text: str) -> None:
    """Write ``text`` atomically unless the file has it already: later stages then see an untouched input."""
    with open_if_changed(path) as file:
        file.write(text)


def remove_stale(folder: Path) -> None:
    """Remove what killed runs left half-written in ``folder``; only for who holds it exclusively."""
    for stale in folder.glob("*.tmp.*"):
        stale.unlink(missing_ok=True)
