"""Writing a Common Voice release: the tables of one locale, with the columns of releases 17 to 25."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.data.data_dir import SPLITS
from asr_dro.fileio import atomic_open

CLIP_COLUMNS = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "variant", "locale", "segment",
)  # fmt: skip
OTHER_TABLES = ("invalidated", "other")


@dataclass(frozen=True)
class ReleasedClip:
    """One clip of a release.

    Args:
        table: ``train``, ``dev``, ``test``, ``invalidated`` or ``other``.
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


def _row(clip: ReleasedClip, locale: str) -> tuple[str, ...]:
    up_votes, down_votes = _VOTES.get(clip.table, (2, 0))
    sentence_id = hashlib.sha256(f"{locale} {clip.sentence}".encode()).hexdigest()
    known: Mapping[str, str] = {
        "client_id": clip.client_id,
        "path": clip.path,
        "sentence_id": sentence_id,
        "sentence": clip.sentence,
        "sentence_domain": "general",
        "up_votes": str(up_votes),
        "down_votes": str(down_votes),
        "locale": locale,
    }
    return tuple(known.get(column, "") for column in CLIP_COLUMNS)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table without any quoting: quotation marks in sentences stay bare, as in real releases."""
    with atomic_open(path) as file:
        for row in (header, *rows):
            file.write("\t".join(row) + "\n")


def write_tables(folder: Path, locale: str, clips: Sequence[ReleasedClip]) -> None:
    """Write the tables of one locale next to its ``clips/``."""
    for table in (*SPLITS, *OTHER_TABLES):
        rows = (_row(clip, locale) for clip in clips if clip.table == table)
        _write_table(folder / f"{table}.tsv", CLIP_COLUMNS, rows)
    validated = [clip for clip in clips if clip.table in SPLITS]
    _write_table(folder / "validated.tsv", CLIP_COLUMNS, (_row(clip, locale) for clip in validated))
    durations = ((clip.path, str(clip.duration_ms)) for clip in clips)
    _write_table(folder / "clip_durations.tsv", ("clip", "duration[ms]"), durations)
    with atomic_open(folder / "validated_sentences.tsv") as file:  # quoted as in RFC 4180, unlike the tables of clips
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("sentence_id", "sentence", "variant", "sentence_domain", "source", "is_used", "clips_count"))
        for clip in validated:
            sentence_id = hashlib.sha256(f"{locale} {clip.sentence}".encode()).hexdigest()
            writer.writerow((sentence_id, clip.sentence, "", "general", "Unicode CLDR", "1", "1"))
