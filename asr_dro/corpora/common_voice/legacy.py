"""Reading a Common Voice release: tables without quoting, columns by name, and nothing trusted.

A row that cannot be used never stops the run and never shifts its neighbours: it becomes a :class:`Quarantined`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.data.data_dir import SPLITS
from asr_dro.data.languages import languages
from asr_dro.errors import UserError

REQUIRED_COLUMNS = ("client_id", "path", "sentence")
_LONGEST_PATH = 200  # bytes; file systems take 255, and names made from it are longer


@dataclass(frozen=True, slots=True)
class Row:
    """One usable row of a table.

    Args:
        clip: Path below ``clips/``.
        sentence: Raw sentence.
        client_id: Common Voice's name of the speaker.
    """

    clip: str
    sentence: str
    client_id: str

    @property
    def name(self) -> str:
        """Name for files and ids: the path without its ending; folders become part of the name."""
        return os.path.splitext(self.clip)[0].replace("/", "_")


@dataclass(frozen=True)
class Quarantined:
    """One row that cannot be used.

    Args:
        clip: Path of the clip, or file and line if the row has none.
        reason: What is wrong.
    """

    clip: str
    reason: str


@dataclass(frozen=True)
class LocaleFolder:
    """One language in one locale of a release.

    Args:
        language: ISO 639-3 code.
        path: The locale's folder.
    """

    language: str
    path: Path

    @property
    def clips(self) -> Path:
        """Folder of the clips."""
        return self.path / "clips"

    def table(self, split: str) -> Path:
        """Return the table of ``train``, ``dev`` or ``test``."""
        return self.path / f"{split}.tsv"


def _release_folders(source: Path) -> list[Path]:
    """Return the folders that may hold locales: ``source`` and releases unpacked below it."""
    if not source.is_dir():
        raise UserError(f"{source} is not a folder; set the corpus's variable in db.sh to an unpacked release")
    try:
        return [source, *sorted(path for path in source.glob("cv-corpus-*") if path.is_dir())]
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}") from None


def find_locales(source: Path, codes: Sequence[str]) -> list[LocaleFolder]:
    """Find the folders of every wanted language and check all of them before any work.

    Args:
        source: Folder with ``<locale>/`` or ``cv-corpus-*/<locale>/``.
        codes: ISO 639-3 codes.

    Returns:
        Locales sorted by language; a language may have several, such as zh-CN and zh-TW.

    Raises:
        UserError: With all problems at once: missing locales, tables, columns, folders of clips.
    """
    releases = _release_folders(source)
    found, problems = [], []
    for code in codes:
        names = languages()[code].folder_names
        folders = [release / name for name in names for release in releases if (release / name).is_dir()]
        if not folders:
            problems.append(f"no folder {' or '.join(names)} for language {code} ({languages()[code].name})")
        for name in names:
            same = [str(folder) for folder in folders if folder.name == name]
            if len(same) > 1:
                problems.append(f"several releases of {name}: {', '.join(same)}; give one of their parent folders")
        found += [LocaleFolder(code, folder) for folder in folders]
    for locale in found:
        problems += _locale_problems(locale)
    if problems:
        present = sorted({table.parent.name for release in releases for table in release.glob("*/train.tsv")})
        problems.append(f"Locales there: {' '.join(present) or 'none'}")
        raise UserError(f"{source} cannot be used:\n  " + "\n  ".join(problems))
    return found


def _locale_problems(locale: LocaleFolder) -> Iterator[str]:
    if not locale.clips.is_dir():
        yield f"{locale.clips} is not a folder"
    elif not os.access(locale.clips, os.R_OK | os.X_OK):
        yield f"{locale.clips} cannot be read: check its permissions"
    for split in SPLITS:
        try:
            with open(locale.table(split), "rb") as file:
                _columns(locale.table(split), file.readline())
        except OSError as error:
            yield f"{locale.table(split)} cannot be read: {error.strerror}"
        except UserError as error:
            yield str(error)


def _columns(table: Path, header: bytes) -> dict[str, int]:
    """Return the position of each column.

    Raises:
        UserError: If a required column is missing or there twice.
    """
    names = header.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n").decode("utf-8", errors="replace").split("\t")
    for column in REQUIRED_COLUMNS:
        if names.count(column) != 1:
            state = "is missing" if column not in names else "is there twice"
            raise UserError(f"{table}: column {column!r} {state}; columns found: {', '.join(names) or 'none'}")
    return {name: index for index, name in enumerate(names)} | {"": len(names)}


def _clip_problem(clip: str, real_clips: str) -> str:
    """Return why a clip's path must not be followed; empty if it may be."""
    if not clip:
        return "no path"
    if not clip.isprintable() or clip.split() != [clip]:
        return "path with white space or control characters"
    if len(clip.encode()) > _LONGEST_PATH:
        return f"path longer than {_LONGEST_PATH} bytes"
    if "/" not in clip and clip not in (".", "..") and not os.path.islink(f"{real_clips}/{clip}"):
        return ""  # the usual case, without asking about each folder on the way
    inside = not clip.startswith("/") and ".." not in clip.split("/")
    if inside and os.path.realpath(f"{real_clips}/{clip}").startswith(real_clips + os.sep):  # follows symbolic links
        return ""
    return "path outside the clips folder"


def read_split(locale: LocaleFolder, split: str) -> Iterator[Row | Quarantined]:
    """Read one table.

    Args:
        locale: Where the table is.
        split: ``train``, ``dev`` or ``test``.

    Yields:
        Exactly one item for each line after the header.

    Raises:
        UserError: If a required column is missing.
    """
    table, seen = locale.table(split), set[str]()
    real_clips = os.path.realpath(locale.clips)
    with open(table, "rb") as file:  # lines end at LF only: str.splitlines() would also cut at U+2028 and VT
        columns = _columns(table, file.readline())
        for number, line in enumerate(file, start=2):
            row = _parse(line, columns, f"{table.name}:{number}")
            if isinstance(row, Row):
                problem = _clip_problem(row.clip, real_clips)
                problem = problem or ("no client_id" if not row.client_id else "")
                problem = problem or ("clip is there twice" if row.name in seen else "")
                seen.add(row.name)
                yield Quarantined(row.clip or f"{table.name}:{number}", problem) if problem else row
            else:
                yield row


def _parse(line: bytes, columns: dict[str, int], where: str) -> Row | Quarantined:
    try:
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        return Quarantined(where, "not UTF-8")
    fields = text.split("\t")
    if len(fields) != columns[""]:
        return Quarantined(where, f"{len(fields)} fields where the header has {columns['']}")
    return Row(fields[columns["path"]], fields[columns["sentence"]], fields[columns["client_id"]])
