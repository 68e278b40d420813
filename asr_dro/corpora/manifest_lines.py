"""Lines of a manifest: JSON objects that name a file, or a segment of one, and what is said in it.

A clip's name holds its path, so that the audio is found again without the manifest::

    wavs/long.wav, offset 1.5, duration 2  ->  wavs/long@1_5+2-0f3a5c7e9b1d.wav

The digest tells apart what would be one name for a file of ours: ``a/b.wav``, ``a_b.wav`` and ``a/b.flac``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.corpora.manifest_values import RowError, checked_label, checked_seconds, checked_string

LONGEST_LINE_BYTES = 1_000_000
_LONGEST_PATH = 180  # bytes; file systems take 255, and names made from it are longer
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DIGEST = 12  # hexadecimal digits
_SEGMENT = re.compile(r"(.*)@([0-9]+(?:_[0-9]+)?)\+([0-9]+(?:_[0-9]+)?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file, or a part of one.

    Args:
        path: Its path, relative to the manifest's folder or absolute.
        start_s: Where the clip begins.
        length_s: Its length; None: the whole file.
    """

    path: str
    start_s: float = 0.0
    length_s: float | None = None

    @property
    def clip(self) -> str:
        """Name of the clip, from which :meth:`of_clip` makes the segment again."""
        stem, ending = os.path.splitext(self.path)
        marks = "" if self.length_s is None else f"@{_mark(self.start_s)}+{_mark(self.length_s)}"
        digest = hashlib.sha256(f"{self.path}\0{marks}".encode()).hexdigest()[:_DIGEST]
        return f"{stem}{marks}-{digest}{ending}"

    @classmethod
    def of_clip(cls, clip: str) -> Segment:
        """Return the segment whose clip this is.

        Raises:
            ValueError: If it is no clip's name.
        """
        stem, ending = os.path.splitext(clip)
        stem = stem[: -_DIGEST - 1]
        candidates = [cls(stem + ending)]
        if match := _SEGMENT.fullmatch(stem):  # or the file's own name looks so: the digest decides
            start_s, length_s = (float(match[group].replace("_", ".")) for group in (2, 3))
            candidates.append(cls(match[1] + ending, start_s, length_s))
        for segment in candidates:
            if segment.clip == clip:
                return segment
        raise ValueError(f"{clip!r} is not the name of a clip")


def _mark(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".").replace(".", "_")


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable line.

    Args:
        segment: Where the audio is.
        text: Raw transcript.
        code: Its language as the line says it; empty if it does not.
        speaker: Empty if it is not known.
        duration_s: None if it is not known.
        columns: Values of the columns asked for.
        corpus: Name of the corpus; empty if the line does not say it.
    """

    segment: Segment
    text: str
    code: str
    speaker: str
    duration_s: float | None
    columns: tuple[str, ...]
    corpus: str = ""


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line that is not blank; of a huge one only the beginning.

    A huge line is longer than ``LONGEST_LINE_BYTES`` as yielded, too.
    """
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE_BYTES + 1):
            number += 1
            rest = line
            while len(rest) > LONGEST_LINE_BYTES and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST_LINE_BYTES + 1)
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if not line.isspace() and line:
                yield number, line


def parse_object(line: bytes) -> dict[str, Any]:
    """Parse a line.

    Raises:
        RowError: If it is not a JSON object in UTF-8.
    """
    if len(line) > LONGEST_LINE_BYTES:
        raise RowError(f"line longer than {LONGEST_LINE_BYTES:,} bytes")
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise RowError("not UTF-8") from None
    except (ValueError, RecursionError):  # ValueError: also numbers with thousands of digits
        raise RowError("not JSON") from None
    if not isinstance(values, dict):
        raise RowError("not a JSON object")
    return values


def parse_entry(values: Mapping[str, Any], folder: str, columns: Sequence[str]) -> Entry:
    """Check the values of a line.

    Args:
        values: The JSON object.
        folder: Folder of the manifest: absolute paths below it become relative.
        columns: Names of further columns whose values are wanted.

    Raises:
        RowError: If anything in it cannot be used.
    """
    path = _checked_path(values.get("audio_filepath"), folder)
    text = checked_string(values.get("text"), "text")
    offset_s = checked_seconds(values.get("offset"), "offset", zero=True)
    duration_s = checked_seconds(values.get("duration"), "duration")
    if offset_s is not None and duration_s is None:
        raise RowError("offset without duration")
    code = values.get("lang")
    return Entry(
        segment=Segment(path) if offset_s is None else Segment(path, round(offset_s, 6), round(duration_s or 0.0, 6)),
        text=text,
        code=checked_label(values.get("language") if code is None else code, "lang"),
        speaker=checked_label(values.get("speaker"), "speaker"),
        duration_s=duration_s,
        columns=tuple(checked_label(values.get(column), column) for column in columns),
        corpus=checked_label(values.get("corpus"), "corpus"),
    )


def _checked_path(value: object, folder: str) -> str:
    path = checked_string(value, "audio_filepath")
    if not path:
        raise RowError("no audio_filepath")
    if not path.isprintable():
        raise RowError("audio_filepath with control characters")
    if "://" in path:
        raise RowError("audio_filepath is an address, not a file")
    if ".." not in path.split("/"):  # behind a symbolic link, ".." is not the folder before it
        path = os.path.normpath(path)
    path = path.removeprefix(folder + "/")
    if len(path.encode()) > _LONGEST_PATH:
        raise RowError(f"audio_filepath longer than {_LONGEST_PATH} bytes")
    return path
