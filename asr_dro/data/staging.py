"""The rows of a corpus while stage 1 works on them: a database on disk, so that memory does not grow with the corpus.

It holds nothing that could not be read again, so it is neither synced nor kept: a killed run's is thrown away.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from asr_dro.data.clip_table import ClipTable
from asr_dro.data.data_dir import SPLITS
from asr_dro.data.place_table import PlaceTable

_CACHE_KIB = 64 * 1024
_TRAIN = SPLITS.index("train")
_TABLE = """CREATE TABLE row (
    id INTEGER PRIMARY KEY,
    part INTEGER NOT NULL, split INTEGER NOT NULL, language TEXT NOT NULL, clip TEXT NOT NULL,
    utt_id TEXT, text TEXT, grp TEXT, corpus TEXT, duration_s REAL,
    reason TEXT,   -- why it is in quarantine
    failure TEXT,  -- why its length could not be measured, until the draw comes to it
    drawn INTEGER NOT NULL DEFAULT 1
)"""
_INDICES = (
    "CREATE INDEX row_by_part ON row (part, split)",
    "CREATE INDEX row_by_language ON row (split, language)",
    "CREATE INDEX row_by_utterance ON row (split, utt_id)",
)
_USABLE = "reason IS NULL AND drawn"
_UNMEASURED = f"{_USABLE} AND split = {_TRAIN} AND duration_s IS NULL"


class StagedRow(NamedTuple):
    """A row as it is read; ``utt_id``, ``text``, ``group`` and ``corpus`` are None for one in quarantine already.

    Args:
        part: Position of its part.
        split: Position in ``SPLITS``.
        language: Label.
        clip: Name in the part.
        utt_id: Unique in its split.
        text: Normalised transcript.
        group: Name of the group.
        corpus: Name of the corpus, if the row says it itself; else empty.
        duration_s: Seconds; None: not known yet.
        reason: Why it is in quarantine; None: it is not.
    """

    part: int
    split: int
    language: str
    clip: str
    utt_id: str | None
    text: str | None
    group: str | None
    corpus: str | None
    duration_s: float | None
    reason: str | None


class Candidate(NamedTuple):
    """A training row that may be drawn."""

    row: int
    part: int
    clip: str
    duration_s: float | None
    failure: str | None


class Balance(NamedTuple):
    """What became of the rows of one part and split."""

    part: int
    split: int
    rows: int
    utterances: int
    quarantined: int
    not_drawn: int


def draw_key(utt_id: str) -> bytes:
    """Return what training clips are sorted by when some are drawn: a fixed shuffle, the same whoever else is there."""
    return hashlib.sha256(utt_id.encode()).digest()


class Staging:
    """The database.

    Args:
        connection: To a new database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{_CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")  # never committed: nothing here is kept
        connection.execute(_TABLE)
        connection.create_function("draw_key", 1, draw_key, deterministic=True)
        self.clips = ClipTable(connection)
        self.places = PlaceTable(connection)

    def add(self, rows: Iterable[StagedRow]) -> None:
        """Add all rows of the corpus, then quarantine those with the name of an earlier one."""
        self._connection.executemany(
            "INSERT INTO row (part, split, language, clip, utt_id, text, grp, corpus, duration_s, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        for index in _INDICES:
            self._connection.execute(index)
        self._connection.execute(
            "UPDATE row SET reason = 'another clip of the corpus has this speaker and name' WHERE id IN (SELECT id FROM"
            " (SELECT id, row_number() OVER (PARTITION BY split, utt_id ORDER BY id) AS number FROM row"
            " WHERE utt_id IS NOT NULL) WHERE number > 1)"
        )

    def quarantine(self, problem: Callable[[int, float], str | None]) -> None:
        """Quarantine usable rows of known length for which ``problem(split, seconds)`` is a reason."""
        self._connection.create_function("problem", 2, problem, deterministic=True)
        self._connection.execute(
            f"UPDATE row SET reason = problem(split, duration_s) WHERE {_USABLE} AND duration_s IS NOT NULL"
            " AND problem(split, duration_s) IS NOT NULL"
        )

    def usable_rows(self, split: int) -> Iterator[tuple[int, str, str, str, str, str, str, float]]:
        """Yield part, clip, utt_id, text, language, group, corpus and seconds, sorted by utt_id as bytes of UTF-8."""
        yield from self._connection.execute(
            "SELECT part, clip, utt_id, text, language, grp, corpus, duration_s FROM row"
            f" WHERE split = ? AND {_USABLE} ORDER BY utt_id",
            (split,),
        )

    def quarantined_rows(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield language, split, clip and reason in the order of the corpus."""
        yield from self._connection.execute(
            "SELECT language, split, clip, reason FROM row WHERE reason IS NOT NULL ORDER BY id"
        )

    def balance(self) -> Iterator[Balance]:
        """Count what became of the rows, by part and split."""
        found = self._connection.execute(
            f"SELECT part, split, count(*), sum({_USABLE}), sum(reason IS NOT NULL), sum(reason IS NULL AND NOT drawn)"
            " FROM row GROUP BY part, split ORDER BY part, split"
        )
        return map(Balance._make, found)

    def n_usable(self) -> int:
        """Count the usable rows."""
        return int(self._connection.execute(f"SELECT count(*) FROM row WHERE {_USABLE}").fetchone()[0])

    def languages(self, split: int | None = None) -> set[str]:
        """Return the languages that have a usable row in a split, or any row at all."""
        where = "" if split is None else f"WHERE split = {split} AND {_USABLE}"
        return {language for (language,) in self._connection.execute(f"SELECT DISTINCT language FROM row {where}")}

    def start_clips(self, part: int, *, named: bool) -> None:
        """Fill the table of clips with those of a part's usable rows (see :meth:`ClipTable.fill`)."""
        self.clips.fill(part, where=_USABLE, named=named)

    def finish_clips(self, part: int) -> None:
        """Give a part's usable rows the lengths of their clips, and those without one a reason."""
        self.clips.set_missing()
        self._connection.execute(  # a clip that is not in the table was left out there
            "UPDATE row SET duration_s = (SELECT duration_s FROM clip WHERE clip.clip = row.clip),"
            " reason = nullif(coalesce((SELECT coalesce(reason, '') FROM clip WHERE clip.clip = row.clip),"
            f" 'another clip of the part has this name'), '') WHERE part = ? AND {_USABLE}",
            (part,),
        )

    def unmeasured_clip(self, part: int) -> str | None:
        """Return a training clip of a part whose length is not known; None if there is none."""
        found = self._connection.execute(f"SELECT clip FROM row WHERE part = ? AND {_UNMEASURED} LIMIT 1", (part,))
        return next((clip for (clip,) in found), None)

    def start_measuring(self, part: int) -> None:
        """Fill the table of clips with a part's training clips of unknown length."""
        self.clips.fill(part, where=_UNMEASURED)

    def finish_measuring(self, part: int) -> None:
        """Give a part's training rows the lengths of their clips; failures count when the draw comes to them."""
        self.clips.set_missing()
        self._connection.execute(
            "UPDATE row SET failure = (SELECT reason FROM clip WHERE clip.clip = row.clip),"
            " duration_s = (SELECT duration_s FROM clip WHERE clip.clip = row.clip)"
            f" WHERE part = ? AND {_UNMEASURED}",
            (part,),
        )

    def start_draw(self, language: str, parts: Collection[int]) -> Iterator[Candidate]:
        """Take a language's training rows in some parts out of the set; yield them in the order of the draw."""
        where = f"split = {_TRAIN} AND language = ? AND reason IS NULL AND part IN ({','.join(map(str, parts))})"
        self._connection.execute(f"UPDATE row SET drawn = 0 WHERE {where}", (language,))
        rows = self._connection.execute(  # sorted as a whole before the first one comes, so writing meanwhile is safe
            f"SELECT id, part, clip, duration_s, failure FROM row WHERE {where} ORDER BY draw_key(utt_id)", (language,)
        )
        return map(Candidate._make, rows)

    def draw(self, drawn: Iterable[tuple[int, float]], failed: Iterable[tuple[int, str]]) -> None:
        """Take rows back into the set with their lengths in seconds, or into quarantine with their reasons."""
        self._connection.executemany(
            "UPDATE row SET drawn = 1, duration_s = ? WHERE id = ?", ((duration_s, row) for row, duration_s in drawn)
        )
        self._connection.executemany("UPDATE row SET reason = ? WHERE id = ?", ((why, row) for row, why in failed))


@contextmanager
def new_staging(path: Path) -> Iterator[Staging]:
    """Yield an empty database in a file of its own, which is removed at the end.

    The caller holds the folder exclusively; shared file systems are bad at SQLite's own locks, so it has none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?nolock=1", uri=True, isolation_level=None)
    try:
        yield Staging(connection)
    finally:
        connection.close()
        path.unlink(missing_ok=True)
