"""The clips of one part while their audio is worked on: a table of the staging database.

Outcomes (clip, seconds, reason; one of the two is empty) come from worker processes, or from an earlier run's record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator

from asr_dro.corpora.corpus import clip_name

Outcome = tuple[str, float, str]  # clip, seconds (0 if it failed), reason (empty if it did not)

_PAGE = 10_000  # clips fetched at a time
_TABLE = """CREATE TABLE clip (
    clip TEXT PRIMARY KEY, name TEXT UNIQUE, duration_s REAL, reason TEXT, is_known INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID"""


class ClipTable:
    """The table.

    Args:
        connection: The staging database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.create_function("clip_name", 1, clip_name, deterministic=True)
        connection.execute(_TABLE)

    def fill(self, part: int, *, where: str, named: bool = False) -> None:
        """Replace the content by the clips of a part's rows.

        Args:
            part: Its position.
            where: Which rows, in SQL.
            named: Whether clips must not share a name, as their FLACs would; the later of two is left out.
        """
        name = "clip_name(clip)" if named else "NULL"
        self._connection.execute("DELETE FROM clip")
        self._connection.execute(
            "INSERT OR IGNORE INTO clip (clip, name, duration_s)"
            f" SELECT clip, {name}, duration_s FROM row WHERE part = ? AND {where} ORDER BY split, id",
            (part,),
        )

    def forget_durations(self) -> None:
        """Leave it to the audio how long the clips are that no earlier run knew."""
        self._connection.execute("UPDATE clip SET duration_s = NULL WHERE NOT is_known")

    def set(self, outcomes: Iterable[Outcome], *, is_known: bool = False) -> None:
        """Note outcomes; those ``is_known`` from an earlier run are not wanted any more."""
        self._connection.executemany(
            f"UPDATE clip SET duration_s = ?, reason = ?, is_known = {int(is_known)} WHERE clip = ?",
            ((None if reason else duration_s, reason or None, clip) for clip, duration_s, reason in outcomes),
        )

    def know(self, names: Iterable[str]) -> None:
        """Count clips as known by the names of their FLACs."""
        self._connection.executemany("UPDATE clip SET is_known = 1 WHERE name = ?", ((name,) for name in names))

    def know_packed(self, part: int) -> None:
        """Count the clips of a part as known that are in a pack."""
        statement = (
            "UPDATE clip SET is_known = 1 WHERE EXISTS (SELECT 1 FROM place WHERE part = ? AND clip = clip.clip)"
        )
        self._connection.execute(statement, (part,))

    def wanted_s(self, clip_s: float) -> float:
        """Add up the lengths in seconds of the clips that are not known.

        Args:
            clip_s: Length to assume where that of no clip is known; else it is their mean.
        """
        statement = (
            "SELECT total(coalesce(duration_s, (SELECT avg(duration_s) FROM clip), ?)) FROM clip"
            " WHERE NOT is_known AND reason IS NULL"
        )
        return float(self._connection.execute(statement, (clip_s,)).fetchone()[0])

    def set_missing(self) -> None:
        """Give clips without an outcome their reason: the source did not have them."""
        self._connection.execute("UPDATE clip SET reason = 'no such file' WHERE duration_s IS NULL AND reason IS NULL")

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes sorted by clip."""
        yield from self._connection.execute(
            "SELECT clip, coalesce(duration_s, 0.0), coalesce(reason, '') FROM clip ORDER BY clip"
        )

    def wanted(self) -> Iterator[tuple[str, float | None]]:
        """Yield clips that no earlier run knew, and their lengths in seconds if the corpus knows them."""
        statement = "SELECT clip, duration_s FROM clip WHERE clip > ? AND NOT is_known ORDER BY clip LIMIT ?"
        last = ""
        while page := self._connection.execute(statement, (last, _PAGE)).fetchall():  # outcomes are written meanwhile
            yield from page
            last = page[-1][0]

    def is_wanted(self, clip: str) -> bool:
        """Tell whether a clip is in the table and no earlier run knew it."""
        statement = "SELECT 1 FROM clip WHERE clip = ? AND NOT is_known"
        return self._connection.execute(statement, (clip,)).fetchone() is not None

    def count(self, *, wanted: bool) -> int:
        """Count the clips: all, or those that no earlier run knew."""
        where = "WHERE NOT is_known" if wanted else ""
        return int(self._connection.execute(f"SELECT count(*) FROM clip {where}").fetchone()[0])


class WantedClips(Collection[str]):
    """The clips that a reader is asked for, as a collection that takes no memory.

    Args:
        table: Where they are.
    """

    def __init__(self, table: ClipTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return self._table.count(wanted=True)

    def __contains__(self, clip: object) -> bool:
        return isinstance(clip, str) and self._table.is_wanted(clip)

    def __iter__(self) -> Iterator[str]:
        return (clip for clip, _ in self._table.wanted())
