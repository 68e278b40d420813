"""Small Common Voice releases of every era, with empty clips: readers of tables open no audio."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr_dro.corpora.common_voice import open_corpus
from asr_dro.corpora.common_voice.part import LocalePart
from asr_dro.corpora.corpus import CorpusRequest, Quarantined, Row
from asr_dro.corpora.release import NEWEST, Era, ReleasedClip, write_archive, write_tables
from asr_dro.data.config import DataConfig

RELEASE = "cv-corpus-25.0-2026-03-06"
DELTA = "cv-corpus-26.0-delta-2026-06-05"
SENTENCES = ('"Hyvää yötä', "Niin on.", "ἀρχή ἐν", "שלום \u200fעולם", "tab-free \\ backslash", "None")


def client(name: str) -> str:
    return hashlib.sha512(name.encode()).hexdigest()


def clip(table: str, number: int, sentence: str = "", speaker: str = "") -> ReleasedClip:
    """Return a clip whose speaker and sentence are in no other table, unless they are given."""
    return ReleasedClip(
        table,
        f"common_voice_fi_{number:08d}.mp3",
        sentence or f"{SENTENCES[number % len(SENTENCES)]} {table} {number}",
        client(speaker or f"{table} {number % 2}"),
        1000 + number,
    )


CLIPS = [
    clip(table, 10 * order + number)
    for order, table in enumerate(("train", "dev", "test", "invalidated", "other"))
    for number in range(4)
]


def write_locale(
    folder: Path,
    clips: Sequence[ReleasedClip] = CLIPS,
    *,
    locale: str = "fi",
    era: Era = NEWEST,
    is_delta: bool = False,
) -> Path:
    """Write the tables and clips of a locale into ``folder``."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for one in clips:
        (folder / "clips" / one.path).write_bytes(one.path.encode())
    write_tables(folder, locale, clips, era=era, is_delta=is_delta)
    return folder


def write_packed(archive: Path, clips: Sequence[ReleasedClip] = CLIPS, *, inside: str = f"{RELEASE}/fi") -> Path:
    """Write an archive of a locale; nothing else stays."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    folder = write_locale(archive.parent.parent / f"unpacked {archive.name}", clips)
    write_archive(archive, folder, inside)
    return archive


def parts_of(
    source: Path, *languages: str, only: dict[str, frozenset[str]] | None = None, **config: Any
) -> list[LocalePart]:
    """Open a corpus; its cache lies beside it."""
    request = CorpusRequest(
        source, languages or ("fin",), DataConfig(**config), source.parent / "cache", only=only or {}
    )
    return list(open_corpus(request))


def rows_of(part: LocalePart, split: str) -> list[Row]:
    """Return the usable rows."""
    return [row for row in part.rows(split) if isinstance(row, Row)]


def quarantined_of(part: LocalePart, split: str) -> list[tuple[str, str]]:
    """Return clip and reason of the others."""
    return [(row.clip, row.reason) for row in part.rows(split) if isinstance(row, Quarantined)]
