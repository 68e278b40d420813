"""Files of two columns, ``<key> <value>``, sorted by key in the C locale: read and written line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from asr_dro.data.done import open_if_changed
from asr_dro.errors import UserError


@contextmanager
def two_column_writer(path: Path) -> Iterator[Callable[[str, str], None]]:
    """Write ``<key> <value>`` lines piece by piece; a file with these lines already stays untouched.

    Yields:
        A function of key and value that raises ``ValueError`` for what could not be read back: keys that do not ascend
        or hold white space, values with a line end.
    """
    previous = ""

    def write(key: str, value: str) -> None:
        nonlocal previous
        if not key or key.split() != [key] or "\n" in value or "\r" in value:
            raise ValueError(f"{path}: not a line of two columns: {key!r} {value!r}")
        if key <= previous:
            raise ValueError(f"{path}: {key!r} after {previous!r}: keys must be unique and sorted")
        previous = key
        file.write(f"{key} {value}\n")

    with open_if_changed(path) as file:
        yield write


def write_two_columns(path: Path, mapping: Mapping[str, str]) -> None:
    """Write ``<key> <value>`` lines sorted by key, atomically; a file with these lines already stays untouched.

    Raises:
        ValueError: If a key holds white space or a value a line end; such a file could not be read back.
    """
    with two_column_writer(path) as write:
        for key in sorted(mapping):
            write(key, mapping[key])


def iterate_two_columns(path: Path) -> Iterator[tuple[str, str]]:
    """Read ``<key> <value>`` lines one by one; a key alone has the value ``""``.

    Files of one data directory have the same keys in the same order, so ``zip(..., strict=True)`` joins them.

    Raises:
        UserError: If the file is missing, or its keys are not unique and sorted; the message names file and line.
    """
    previous = ""
    for number, (key, value) in enumerate(pairs(path), start=1):
        if key <= previous:
            raise UserError(f"{path}:{number}: {order_problem(key, previous)}")
        previous = key
        yield key, value


def read_two_columns(path: Path) -> dict[str, str]:
    """Read ``<key> <value>`` lines in the order of the file; a key alone has the value ``""``.

    Raises:
        UserError: If the file is missing or a key comes twice; the message names file and line.
    """
    mapping: dict[str, str] = {}
    for number, (key, value) in enumerate(pairs(path), start=1):
        if key in mapping:
            raise UserError(f"{path}:{number}: {key} is there twice")
        mapping[key] = value
    return mapping


def order_problem(key: str, previous: str) -> str:
    """Say why ``key`` may not follow ``previous``."""
    if not key:
        return "the line has no key"
    if key == previous:
        return f"{key} is there twice"
    return f"{key} comes after {previous}; sort the file by LC_ALL=C"


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Read ``<key> <value>`` lines one by one and check nothing but the encoding.

    Raises:
        UserError: If the file is missing or not UTF-8.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as file:  # a line ends at LF only, not at U+2028 or CR
            for line in file:
                key, _, value = line.removesuffix("\n").partition(" ")
                yield key, value
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run the earlier stages first") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None
