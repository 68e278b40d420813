"""Columns of a prepared set in a few arrays, for sets with millions of utterances.

A dictionary of strings costs about 200 bytes an entry, and each loader process comes to hold a copy of its own: Python
writes its reference counts into the objects, so the pages that a fork shares do not stay shared. Arrays of bytes hold
little more than the files do, and stay shared.

Shapes: ``N`` lines, ``S`` bytes, ``M`` integers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr_dro.errors import UserError

_BLOCK_BYTES = 1 << 20  # of a file that is parsed at a time; the parsing needs about 30 times as much
_SPACE, _NEWLINE = 0x20, 0x0A

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Numbers = NDArray[Any]  # of any unsigned type


class PackedStrings:
    """Strings one after the other in an array of bytes.

    Args:
        content: Their UTF-8 bytes, (S,).
        ends: Where each ends, (N,).
    """

    def __init__(self, content: Bytes, ends: Ints) -> None:
        self._content, self._ends = content, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> str:
        position = range(len(self))[position]
        start = self._ends[position - 1] if position else 0
        # As file names are decoded: what is not UTF-8 survives the way into a string and back.
        return os.fsdecode(self._content[start : self._ends[position]].tobytes())

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))

    def same_as(self, other: PackedStrings) -> bool:
        """Tell whether both hold the same strings in the same order."""
        return np.array_equal(self._ends, other._ends) and np.array_equal(self._content, other._content)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return self._content.nbytes + self._ends.nbytes


class PackedIntegers:
    """Lists of integers one after the other, in the smallest type that holds them.

    Args:
        values: The integers of all lists, (M,), not negative.
        ends: Where each list ends, (N,).
    """

    def __init__(self, values: Numbers, ends: Ints) -> None:
        self._values, self._ends = values, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> Ints:
        position = range(len(self))[position]
        start = self._ends[position - 1] if position else 0
        return self._values[start : self._ends[position]].astype(np.int64)

    @property
    def counts(self) -> Ints:
        """How many integers each list has, (N,)."""
        counts: Ints = np.diff(self._ends, prepend=0)
        return counts

    @property
    def repeats(self) -> Ints:
        """How many integers of each list equal the one before, (N,)."""
        equal = np.concatenate([[False], self._values[1:] == self._values[:-1]])
        begins = self._ends - self.counts
        equal[begins[self.counts > 0]] = False  # the one before is of another list
        sums = np.concatenate([[0], np.cumsum(equal)])
        repeats: Ints = sums[self._ends] - sums[begins]
        return repeats

    @property
    def single(self) -> Ints | None:
        """All integers (N,) if each list holds exactly one, else None."""
        alone = np.array_equal(self._ends, np.arange(1, len(self._ends) + 1))
        return self._values.astype(np.int64) if alone else None

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return self._values.nbytes + self._ends.nbytes


class _Block(NamedTuple):
    """Whole lines of a file: its keys, and its values with a line end after each."""

    keys: Bytes
    key_lengths: Ints
    values: Bytes
    value_lengths: Ints


class _GrowingArray:
    """An array that grows at its end; to join many small ones would take the memory twice and leave it in pieces."""

    def __init__(self, dtype: Any) -> None:
        self._bytes, self._dtype = bytearray(), np.dtype(dtype)

    def extend(self, values: Numbers) -> None:
        """Append values (N,); the type grows with them."""
        dtype = np.result_type(self._dtype, values)
        if dtype != self._dtype:
            self._bytes, self._dtype = bytearray(self.array().astype(dtype).tobytes()), dtype
        self._bytes += values.astype(dtype).tobytes()

    def array(self) -> Numbers:
        """Return the values; the last call, for what is handed out cannot grow."""
        return np.frombuffer(self._bytes, dtype=self._dtype)


class _GrowingStrings:
    def __init__(self) -> None:
        self._content, self._lengths = _GrowingArray(np.uint8), _GrowingArray(np.int64)

    def extend(self, content: Bytes, lengths: Ints) -> None:
        self._content.extend(content)
        self._lengths.extend(lengths)

    def packed(self) -> PackedStrings:
        return PackedStrings(self._content.array(), np.cumsum(self._lengths.array()))


def read_strings(path: Path) -> tuple[PackedStrings, PackedStrings]:
    """Read ``<key> <value>`` lines; a value is the rest of its line and may hold spaces.

    Raises:
        UserError: If the file is missing or a line has no key or no value; the message names file and line.
    """
    keys, values = _GrowingStrings(), _GrowingStrings()
    for block in _blocks(path):
        keys.extend(block.keys, block.key_lengths)
        values.extend(block.values[block.values != _NEWLINE], block.value_lengths)
    return keys.packed(), values.packed()


def read_integers(path: Path) -> tuple[PackedStrings, PackedIntegers]:
    """Read ``<key> <integer> <integer> ...`` lines; at least one integer each, none negative.

    Raises:
        UserError: If the file is missing or a line is not of this form; the message names file and line.
    """
    keys, values, counts = _GrowingStrings(), _GrowingArray(np.uint8), _GrowingArray(np.int64)
    line = 1
    for block in _blocks(path):
        numbers, count = _parse_integers(block, path, line)
        keys.extend(block.keys, block.key_lengths)
        values.extend(numbers)
        counts.extend(count)
        line += len(count)
    return keys.packed(), PackedIntegers(values.array(), np.cumsum(counts.array()))


def _parse_integers(block: _Block, path: Path, first_line: int) -> tuple[Numbers, Ints]:
    """Return a block's integers, smallest type, and how many each line has (N,)."""
    digit = (block.values >= ord("0")) & (block.values <= ord("9"))
    line_ends = block.values == _NEWLINE
    lines = np.cumsum(line_ends) - line_ends  # of each byte, from 0
    strange = ~(digit | line_ends | (block.values == _SPACE))
    begins = digit & ~np.concatenate([[False], digit[:-1]])
    counts = np.bincount(lines[begins], minlength=len(block.value_lengths))
    wrong = np.unique(np.concatenate([lines[strange], np.flatnonzero(counts == 0)]))
    if len(wrong):
        raise UserError(f"{path}:{first_line + wrong[0]}: not integers from 0 on after the first column")
    # A separator that is a space stands for any white space, line ends as well.
    numbers = np.fromstring(block.values.tobytes(), dtype=np.int64, sep=" ")
    return numbers.astype(np.min_scalar_type(numbers.max())), counts


def _blocks(path: Path) -> Iterator[_Block]:
    """Parse a file of two columns, some megabytes at a time."""
    line = 1
    try:
        with open(path, "rb") as file:
            while content := file.read(_BLOCK_BYTES) + file.readline():
                block = _parse_block(np.frombuffer(content.removesuffix(b"\n") + b"\n", dtype=np.uint8), path, line)
                yield block
                line += len(block.key_lengths)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run the earlier stages first") from None


def _parse_block(content: Bytes, path: Path, first_line: int) -> _Block:
    ends = np.flatnonzero(content == _NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    spaces = np.concatenate([np.flatnonzero(content == _SPACE), [len(content)]])
    separators = spaces[np.searchsorted(spaces, starts)]  # (N,) the first space from each line's start on
    wrong = np.flatnonzero((separators >= ends - 1) | (separators == starts))
    if len(wrong):
        raise UserError(f"{path}:{first_line + wrong[0]}: not a line of two columns, '<utterance> <value>'")
    edges = np.zeros(len(content), dtype=np.int8)
    edges[starts] = 1
    edges[separators] = -1
    in_key = np.cumsum(edges, dtype=np.int8).astype(bool)
    in_value = ~in_key
    in_value[separators] = False
    return _Block(content[in_key], separators - starts, content[in_value], ends - separators - 1)
