"""Results of finished batches, kept while a decoding goes on: a killed run need not do them again.

A part file is a log of JSON lines that only grows. Its first line says what it was made from; a batch is one line for
each utterance and then a line that ends it, written at once. Whatever follows the last end of a batch was cut off by a
kill. A line ``{"forget": [number, ...]}`` takes batches back.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

logger = logging.getLogger(__name__)

PARTS = ".parts"  # folder in decode_<decode>/
_END = {"batch", "audio_s", "seconds", "device"}  # keys of the line that ends a batch


class FinishedBatch(NamedTuple):
    """A batch in a part file.

    Attributes:
        path: The part file.
        places: Where each utterance's line begins, in bytes, by utterance id.
        failures: Why audio could not be read, by utterance id.
        audio_s: Seconds of its audio.
        seconds: Seconds that it took.
        device: Where.
    """

    path: Path
    places: dict[str, int]
    failures: dict[str, str]
    audio_s: float
    seconds: float
    device: str


class PartContent(NamedTuple):
    """What a part file holds: finished batches by number, and where the last whole line of them ends, in bytes."""

    batches: dict[int, FinishedBatch]
    end: int


def part_paths(folder: Path, split: str) -> list[Path]:
    """List the part files of a split, sorted."""
    return sorted(folder.glob(f"{split}.*.jsonl"))


def read_part(path: Path, made_from: str) -> PartContent:
    """Read a part file up to its first damaged line.

    Args:
        path: The file; a missing one holds nothing.
        made_from: Fingerprint of the inputs; a file that was made from others holds nothing.
    """
    batches: dict[int, FinishedBatch] = {}
    try:
        with open(path, "rb") as file:
            end = _read_batches(file, path, made_from, batches)
    except FileNotFoundError:
        return PartContent({}, 0)
    return PartContent(batches, end)


def _read_batches(file: IO[bytes], path: Path, made_from: str, batches: dict[int, FinishedBatch]) -> int:
    """Fill ``batches``; return where the last whole one ends, 0 if the file is of other inputs."""
    lines = _whole_lines(file)
    if next(lines, (0, 0, None))[2] != {"made_from": made_from}:
        return 0
    good_end = file.tell()
    places: dict[str, int] = {}
    failures: dict[str, str] = {}
    for start, end, line in lines:
        if "utt_id" in line:
            places[line["utt_id"]] = start
            failures |= {line["utt_id"]: line["failure"]} if "failure" in line else {}
        elif "forget" in line:
            for number in line["forget"]:
                batches.pop(number, None)
            good_end = end
        elif line.keys() == _END:
            numbers = line["audio_s"], line["seconds"], line["device"]
            batches[line["batch"]] = FinishedBatch(path, places, failures, *numbers)
            places, failures, good_end = {}, {}, end
        else:
            break
    return good_end


def _whole_lines(file: IO[bytes]) -> Iterator[tuple[int, int, Any]]:
    """Yield start, end and content of each line, up to the first that is no JSON object or has no end."""
    end = 0
    while (encoded := file.readline()).endswith(b"\n"):
        start, end = end, end + len(encoded)
        try:
            line = json.loads(encoded)
        except ValueError:
            return
        if not isinstance(line, dict):
            return
        yield start, end, line


class PartFile:
    """A part file that is written to; what a kill cut off is gone.

    Args:
        file: The open file, locked.
        path: Its path.
        batches: What it holds already, by number.
    """

    def __init__(self, file: IO[bytes], path: Path, batches: dict[int, FinishedBatch]) -> None:
        self._file, self.path, self.batches = file, path, batches

    def add(
        self, number: int, lines: Iterable[Mapping[str, Any]], *, audio_s: float, seconds: float, device: str
    ) -> None:
        """Write a finished batch.

        Args:
            number: Its number in the plan of the split.
            lines: A mapping for each utterance, with ``utt_id``.
            audio_s: Seconds of its audio.
            seconds: Seconds that it took.
            device: Where.
        """
        end = {"batch": number, "audio_s": round(audio_s, 3), "seconds": round(seconds, 4), "device": device}
        self._append([*lines, end])

    def forget(self, numbers: Iterable[int]) -> None:
        """Take batches back that this file holds."""
        if mine := sorted(set(numbers) & self.batches.keys()):
            self._append([{"forget": mine}])
            for number in mine:
                del self.batches[number]

    def _append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self._file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8"))
        self._file.flush()


@contextmanager
def open_part(path: Path, made_from: str) -> Iterator[PartFile]:
    """Open a part file to write on, for this process alone; another one that wants the same waits.

    Args:
        path: The file; one that was made from other inputs begins anew.
        made_from: Fingerprint of the inputs.

    Yields:
        The file, and what it holds already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_locked(path) as file:
        content = read_part(path, made_from)
        file.truncate(content.end)
        file.seek(0, os.SEEK_END)
        part = PartFile(file, path, content.batches)
        if not content.end:
            part._append([{"made_from": made_from}])
        yield part


@contextmanager
def _open_locked(path: Path) -> Iterator[IO[bytes]]:
    while True:
        with open(path, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("%s: another process is decoding this shard; waiting for it", path)
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # not merged and removed meanwhile
                yield file
                return
