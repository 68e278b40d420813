"""Lengths of clips as a release's tables have them, in twelve bytes a clip."""

from __future__ import annotations

import functools
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

from asr_dro.corpora.common_voice.tables import column_names, with_ending

DURATION_TABLES = ("clip_durations.tsv", "times.txt")  # releases 16.1 on; 14 and 15
_LONGEST_MS = 2**32 - 1
# Both forms are known: "<path> = <milliseconds>", the path perhaps in grave accents, and "<path><tab><milliseconds>"
_TIME = re.compile(rb"([^/`\t]+?)`?\s*[=\t]\s*(\d+)\s*$").search


def _from_table(file: Iterator[bytes]) -> Iterator[tuple[str, int]]:
    names = column_names(next(file, b""))
    if "clip" not in names or "duration[ms]" not in names:
        return
    clip, duration, width = names.index("clip"), names.index("duration[ms]"), len(names)
    for line in file:
        fields = line.split(b"\t")
        if len(fields) == width and fields[duration].strip().isdigit():
            yield fields[clip].strip().decode("utf-8", errors="replace"), int(fields[duration])


def _from_times(file: Iterator[bytes]) -> Iterator[tuple[str, int]]:
    for line in file:
        if match := _TIME(line):
            yield match[1].strip().decode("utf-8", errors="replace"), int(match[2])


class Durations:
    """Lengths of clips; call it with a clip's file name.

    Clips are known by a hash of 64 bits: among two million, one in ten million releases has two that are taken for
    each other.

    Args:
        table: ``clip_durations.tsv`` or ``times.txt``.
    """

    def __init__(self, table: Path) -> None:
        import numpy as np

        keys, milliseconds = array("q"), array("I")
        read = _from_times if table.suffix == ".txt" else _from_table
        with open(table, "rb") as file:
            for clip, duration_ms in read(file):
                if 0 < duration_ms <= _LONGEST_MS:  # 0: the release could not measure it
                    keys.append(hash(with_ending(clip)))
                    milliseconds.append(duration_ms)
        order = np.argsort(np.frombuffer(keys, np.int64), kind="stable")
        sorted_keys = np.frombuffer(keys, np.int64)[order]
        self._keys, self._milliseconds, self._begins = array("q"), array("I"), array("I")
        self._keys.frombytes(sorted_keys.tobytes())
        self._milliseconds.frombytes(np.frombuffer(milliseconds, np.uint32)[order].tobytes())
        self._shift = min(63, max(44, 66 - len(keys).bit_length()))  # hashes are spread evenly: about four to a bucket
        buckets = np.arange(2 ** (64 - self._shift) + 1, dtype=np.int64)
        counts = np.searchsorted((sorted_keys >> self._shift) + len(buckets) // 2, buckets)
        self._begins.frombytes(counts.astype(np.uint32).tobytes())

    def __len__(self) -> int:
        return len(self._keys)

    def __call__(self, clip: str) -> float | None:
        """Return the length of ``clip`` in seconds, None if it is not known."""
        key = hash(clip)
        bucket = (key >> self._shift) + len(self._begins) // 2
        end = self._begins[bucket + 1]
        index = bisect_left(self._keys, key, self._begins[bucket], end)
        if index < end and self._keys[index] == key:
            return self._milliseconds[index] / 1000
        return None


@functools.lru_cache(maxsize=1)  # the three splits of one locale share it; the next locale takes its place
def _durations(table: Path, _size_and_time: tuple[int, int]) -> Durations:
    return Durations(table)


def find_durations(tables: Path) -> Callable[[str], float | None] | None:
    """Return the lengths of a locale's clips, None if its release has no table of them.

    Args:
        tables: Folder of the tables.
    """
    for name in DURATION_TABLES:
        table = tables / name
        if table.is_file():
            status = table.stat()
            return _durations(table, (status.st_size, status.st_mtime_ns))
    return None
