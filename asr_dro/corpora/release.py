"""Writing a Common Voice release: the tables of one locale as each era laid them out, and the archives."""

from __future__ import annotations

import csv
import hashlib
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asr_dro.data.data_dir import SPLITS
from asr_dro.fileio import atomic_open

OTHER_TABLES = ("invalidated", "other")


@dataclass(frozen=True)
class Era:
    """What releases of some years have in common.

    Args:
        name: Their numbers.
        columns: Columns of the tables of clips, in their order.
        durations: Name of the table of lengths; empty if there is none.
        has_locale_folder: Whether the tables lie in a folder called as the locale.
        has_endings: Whether the tables name clips with their ``.mp3``.
        has_sentences: Whether there is a table of sentences.
    """

    name: str
    columns: tuple[str, ...]
    durations: str = ""
    has_locale_folder: bool = True
    has_endings: bool = True
    has_sentences: bool = False


_OLDEST = ("client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent")
_SINCE_8 = (*_OLDEST[:-1], "accents", "locale", "segment")
_SINCE_13 = (*_OLDEST[:-1], "accents", "variant", "locale", "segment")
CLIP_COLUMNS = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "variant", "locale", "segment",
)  # fmt: skip
NEWEST = Era("17-25", CLIP_COLUMNS, "clip_durations.tsv", has_sentences=True)
ERAS = (
    Era("1-4", _OLDEST, has_locale_folder=False, has_endings=False),
    Era("5.1-7", (*_OLDEST, "locale", "segment")),
    Era("8-12", _SINCE_8),
    Era("13", _SINCE_13),
    Era("14-15", _SINCE_13, "times.txt"),
    Era("16.1", _SINCE_13, "clip_durations.tsv"),
    NEWEST,
)


@dataclass(frozen=True)
class ReleasedClip:
    """One clip of a release.

    Args:
        table: ``train``, ``dev``, ``test``, ``invalidated`` or ``other``; ``validated`` for one that is in no split.
        path: File name in ``clips/``.
        sentence: What the table says is spoken.
        client_id: 128 hexadecimal digits that stand for the speaker.
        duration_ms: Length of the clip in milliseconds.
    """

    table: str
    path: str
    sentence: str
    client_id: str
    duration_ms: int


_VOTES = {"invalidated": (0, 2), "other": (1, 0)}  # up, down; anything else was validated by two listeners


def _row(clip: ReleasedClip, locale: str, era: Era) -> tuple[str, ...]:
    up_votes, down_votes = _VOTES.get(clip.table, (2, 0))
    sentence_id = hashlib.sha256(f"{locale} {clip.sentence}".encode()).hexdigest()
    known: Mapping[str, str] = {
        "client_id": clip.client_id,
        "path": clip.path if era.has_endings else clip.path.removesuffix(".mp3"),
        "sentence_id": sentence_id,
        "sentence": clip.sentence,
        "sentence_domain": "general",
        "up_votes": str(up_votes),
        "down_votes": str(down_votes),
        "locale": locale,
    }
    return tuple(known.get(column, "") for column in era.columns)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table without any quoting: quotation marks in sentences stay bare, as in real releases."""
    with atomic_open(path) as file:
        for row in (header, *rows):
            file.write("\t".join(row) + "\n")


def write_tables(
    folder: Path, locale: str, clips: Sequence[ReleasedClip], *, era: Era = NEWEST, is_delta: bool = False
) -> None:
    """Write the tables of one locale next to its ``clips/``.

    Args:
        folder: Folder of the locale.
        locale: Its name.
        clips: Everything that the tables speak of.
        era: How they are laid out.
        is_delta: Whether to leave out the splits, as releases of what is new do.
    """
    for table in OTHER_TABLES if is_delta else (*SPLITS, *OTHER_TABLES):
        rows = (_row(clip, locale, era) for clip in clips if clip.table == table)
        _write_table(folder / f"{table}.tsv", era.columns, rows)
    validated = [clip for clip in clips if clip.table not in OTHER_TABLES]
    _write_table(folder / "validated.tsv", era.columns, (_row(clip, locale, era) for clip in validated))
    if era.durations == "times.txt":
        with atomic_open(folder / era.durations) as file:
            file.writelines(f"`cv-corpus/{locale}/clips/{clip.path}` = {clip.duration_ms}\n" for clip in clips)
    elif era.durations:
        durations = ((clip.path, str(clip.duration_ms)) for clip in clips)
        _write_table(folder / era.durations, ("clip", "duration[ms]"), durations)
    if era.has_sentences:
        _write_sentences(folder / "validated_sentences.tsv", locale, validated)


def _write_sentences(path: Path, locale: str, clips: Sequence[ReleasedClip]) -> None:
    with atomic_open(path) as file:  # quoted as in RFC 4180, unlike the tables of clips
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("sentence_id", "sentence", "variant", "sentence_domain", "source", "is_used", "clips_count"))
        for clip in clips:
            sentence_id = hashlib.sha256(f"{locale} {clip.sentence}".encode()).hexdigest()
            writer.writerow((sentence_id, clip.sentence, "", "general", "Unicode CLDR", "1", "1"))


def write_archive(archive: Path, folder: Path, inside: str) -> None:
    """Pack the folder of a locale as releases are downloaded.

    Args:
        archive: The archive, compressed unless its name ends in ``.tar``.
        folder: Folder of the locale.
        inside: Its name in the archive, such as ``cv-corpus-25.0-2026-03-06/fi``; empty for the oldest releases.
    """
    with atomic_open(archive, "wb") as file:
        mode: Literal["w|", "w|gz"] = "w|" if archive.suffix == ".tar" else "w|gz"
        with tarfile.open(fileobj=file, mode=mode) as packed:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    packed.add(path, arcname=f"{inside}/{path.relative_to(folder)}".lstrip("/"))
