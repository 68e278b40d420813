"""Tables of clips: no quoting, columns by name, and nothing trusted.

A row that cannot be used never stops the run and never shifts its neighbours: it becomes a ``Quarantined``.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.corpora.corpus import Quarantined, Row, clip_name
from asr_dro.errors import UserError

REQUIRED_COLUMNS = ("client_id", "path", "sentence")
_OTHER_NAMES = {"accent": "accents", "accents": "accent"}  # releases 1 to 7 and 8 on
_LONGEST_PATH = 200  # bytes; file systems take 255, and names made from it are longer
_BOM = b"\xef\xbb\xbf"
_ORDINARY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_-]{0,190})(\.mp3)?").fullmatch  # what needs no closer look


@dataclass(frozen=True)
class Header:
    """Where the columns of a table are.

    Args:
        width: Number of columns.
        client_id: Position of the speaker.
        path: Position of the clip's file name.
        sentence: Position of the sentence.
        others: Positions of the columns asked for; None where the table has none and the locale's name stands in.
    """

    width: int
    client_id: int
    path: int
    sentence: int
    others: tuple[int | None, ...] = ()


def column_names(line: bytes) -> list[str]:
    """Return the names in a table's first line."""
    text = line.removeprefix(_BOM).rstrip(b"\r\n").decode("utf-8", errors="replace")
    return [name.strip() for name in text.split("\t")]


def read_header(table: Path, line: bytes, others: Sequence[str] = ()) -> Header:
    """Find the columns in a table's first line.

    Args:
        table: The table, for messages.
        line: Its first line.
        others: Further columns that are wanted; ``accent`` and ``accents`` are one column.

    Returns:
        The positions.

    Raises:
        UserError: If a column is missing or there twice; the message lists those that exist.
    """
    names = column_names(line)
    problems: list[str] = []
    positions: list[int | None] = []
    for column in (*REQUIRED_COLUMNS, *others):
        name = column if column in names else _OTHER_NAMES.get(column, column)
        if names.count(name) == 1:
            positions.append(names.index(name))
        elif name == "locale" and name not in names:
            positions.append(None)  # releases 1 to 4 say it in the name of the folder or archive only
        else:
            problems.append(f"column {column!r} {'is there twice' if name in names else 'is missing'}")
    if problems:
        raise UserError(f"{table}: {', '.join(problems)}; columns found: {', '.join(filter(None, names)) or 'none'}")
    client_id, path, sentence = (index for index in positions[:3] if index is not None)
    return Header(len(names), client_id, path, sentence, tuple(positions[3:]))


def read_fields(table: Path, header: Header) -> Iterator[list[str] | Quarantined]:
    """Yield one item for each line after the header: its fields, or what is wrong with it."""
    width = header.width
    with open(table, "rb") as file:  # lines end at LF only: str.splitlines() would also cut at U+2028 and VT
        file.readline()
        for number, line in enumerate(file, start=2):
            try:
                fields = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8").split("\t")
            except UnicodeDecodeError:
                yield Quarantined(f"{table.name}:{number}", "not UTF-8")
                continue
            if len(fields) == width:
                yield fields
            else:
                reason = f"{len(fields)} fields where the header has {width}"
                yield Quarantined(f"{table.name}:{number}", reason)


def count_rows(table: Path) -> int:
    """Return the number of lines after the header, 0 if there is no table."""
    try:
        with open(table, "rb") as file:
            return max(0, sum(1 for _ in file) - 1)
    except FileNotFoundError:
        return 0


def with_ending(path: str) -> str:
    """Return a clip's file name; the oldest releases leave out its ending."""
    return path if path.endswith(".mp3") or os.path.splitext(path)[1] else f"{path}.mp3"


class RowReader:
    """Reads the tables of one locale.

    Args:
        language: Label of the locale's language.
        locale: The locale's name.
        others: Columns for ``Row.columns``.
        clips: Folder of the clips; None if they are in an archive.
    """

    def __init__(self, language: str, locale: str, others: Sequence[str], clips: Path | None) -> None:
        self._language, self._locale, self._others = language, locale, tuple(others)
        self._clips = None if clips is None else os.path.realpath(clips)

    def header(self, table: Path) -> Header:
        """Read a table's header.

        Raises:
            UserError: If a column is missing or there twice, or the table cannot be read.
        """
        try:
            with open(table, "rb") as file:
                return read_header(table, file.readline(), self._others)
        except OSError as error:
            raise UserError(f"{table} cannot be read: {error.strerror}") from None

    def rows(self, table: Path, duration_s: Callable[[str], float | None] | None = None) -> Iterator[Row | Quarantined]:
        """Read one table.

        Args:
            table: The table.
            duration_s: Gives the length of a clip in seconds if it is known.

        Yields:
            Exactly one item for each line after the header.
        """
        header, seen = self.header(table), set[int]()
        client_id, path, sentence = header.client_id, header.path, header.sentence
        language, links, seconds = self._language, self._links, None
        columns: tuple[str, ...] = ()
        for number, fields in enumerate(read_fields(table, header), start=2):
            if isinstance(fields, Quarantined):
                yield fields
                continue
            clip, speaker = fields[path], fields[client_id]
            match = _ORDINARY(clip)
            if match and clip not in links:
                name, problem = match[1], ""
                clip = clip if match[2] else clip + ".mp3"
            else:
                problem = self._problem(clip)
                clip = clip if problem else with_ending(clip)
                name = clip_name(clip)
            key = hash(name)  # eight bytes in the place of a string: a locale may have two million clips
            if problem or not speaker or key in seen:
                yield Quarantined(
                    _shown(clip) or f"{table.name}:{number}",
                    problem or ("clip is there twice" if speaker else "no client_id"),
                )
                continue
            seen.add(key)
            if duration_s:
                seconds = duration_s(clip)
            if header.others:
                columns = tuple(self._locale if index is None else fields[index] for index in header.others)
            yield Row(clip, fields[sentence], speaker, language, seconds, columns)

    @functools.cached_property
    def _links(self) -> frozenset[str]:
        """Names in the clips folder that are symbolic links, read at once: a question for each clip takes longer."""
        if self._clips is None:
            return frozenset()
        with os.scandir(self._clips) as entries:
            links = [entry.name for entry in entries if entry.is_symlink()]
        return frozenset(links) | {name.removesuffix(".mp3") for name in links}

    def _problem(self, clip: str) -> str:
        """Return why a clip's path must not be followed; empty if it may be."""
        if not clip:
            return "no path"
        if not clip.isprintable() or clip.split() != [clip]:
            return "path with white space or control characters"
        if len(clip.encode()) > _LONGEST_PATH:
            return f"path longer than {_LONGEST_PATH} bytes"
        parts = clip.split("/")
        if clip.startswith("/") or ".." in parts or clip == ".":
            return "path outside the clips folder"
        if self._clips is None:
            return ""
        real = os.path.realpath(f"{self._clips}/{with_ending(clip)}")  # follows symbolic links
        return "" if real.startswith(self._clips + os.sep) else "path outside the clips folder"


def _shown(clip: str) -> str:
    return clip if len(clip) <= _LONGEST_PATH else clip[:_LONGEST_PATH] + "..."
