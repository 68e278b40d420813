"""Files that are whole or absent: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from asr_dro.errors import UserError


@contextmanager
def atomic_open(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    r"""Open ``path`` for writing so that it appears only when complete.

    The temporary name lies in the same folder (a rename across file systems is a copy) and ends in ``.tmp.<pid>``.

    Args:
        path: The file to write; parent folders are made.
        mode: ``"w"`` (UTF-8, ``\n`` line ends) or ``"wb"``.

    Yields:
        The open temporary file; on an exception it is removed and ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    text_options: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode, **text_options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces ``path`` when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, atomically and with keys in the order given."""
    with atomic_open(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def json_lines(values: Iterable[object]) -> Iterator[str]:
    """Yield each value as a line of JSON, line end included."""
    return (json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON-lines file; a last line cut off by a kill is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:  # not splitlines: U+2028 may stand in a string
        records.append(json.loads(line))
    return records


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a JSON-lines file that a run left behind, none if there is no such file.

    Raises:
        UserError: If a line is not JSON; the message names the file.
    """
    if not path.exists():
        return []
    try:
        return [record for record in read_json_lines(path) if isinstance(record, dict)]
    except ValueError as error:  # not JSON, or not UTF-8
        raise UserError(f"{path}: a line is not JSON ({error}); remove that line") from error
