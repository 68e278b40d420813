"""Where packed clips lie, while a set is prepared: a table of the staging database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from asr_dro.data.packing import Place

_TABLE = """CREATE TABLE place (
    part INTEGER NOT NULL, clip TEXT NOT NULL, time_ns INTEGER NOT NULL, samples INTEGER NOT NULL, wav TEXT NOT NULL,
    PRIMARY KEY (part, clip)
) WITHOUT ROWID"""


class PlaceTable:
    """The table.

    Args:
        connection: The staging database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(_TABLE)

    def fill(self, part: int, places: Iterable[Place]) -> None:
        """Replace the places of a part by those of the clips that are in the table of clips."""
        self._connection.execute("DELETE FROM place WHERE part = ?", (part,))
        self._connection.executemany(
            "INSERT OR REPLACE INTO place (part, clip, time_ns, samples, wav) SELECT ?, ?, ?, ?, ?"
            " WHERE EXISTS (SELECT 1 FROM clip WHERE clip = ?)",
            ((part, *place, place.clip) for place in places),
        )

    def add(self, part: int, places: Iterable[Place]) -> None:
        """Note where clips lie now."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO place (part, clip, time_ns, samples, wav) VALUES (?, ?, ?, ?, ?)",
            ((part, *place) for place in places),
        )

    def samples(self, part: int, clip: str, time_ns: int) -> int:
        """Return the number of samples of a clip that was packed as it is now, else 0."""
        statement = "SELECT samples FROM place WHERE part = ? AND clip = ? AND time_ns = ?"
        found = self._connection.execute(statement, (part, clip, time_ns)).fetchone()
        return int(found[0]) if found else 0

    def wav(self, part: int, clip: str) -> str | None:
        """Return the entry of a clip in ``wav.scp``; None if it is in no pack."""
        found = self._connection.execute("SELECT wav FROM place WHERE part = ? AND clip = ?", (part, clip)).fetchone()
        return str(found[0]) if found else None
