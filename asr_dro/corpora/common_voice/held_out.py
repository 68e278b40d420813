"""What training must not hear: the clips, speakers and sentences of dev and test.

Sentences are compared by their letters, marks, digits and symbols: Unicode NFC and case folding, without punctuation,
white space or invisible characters. So "Hello." and "hello" are one sentence, and so are "well-known" and "well known".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr_dro.corpora.common_voice.tables import count_rows, read_fields, read_header, with_ending
from asr_dro.corpora.corpus import Quarantined, Row

REASONS = ("clip of dev or test", "speaker of dev or test", "sentence of dev or test")


class _Silent(dict[int, str]):
    """A table for ``str.translate`` that drops what does not count; each character is worked out when it comes."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        self[code_point] = kept = "" if unicodedata.category(character)[0] in "PZC" else character
        return kept


_SILENT = _Silent()


def sentence_key(sentence: str) -> str:
    """Return what two sentences have in common if they are one to a listener; empty if nothing can be heard."""
    return unicodedata.normalize("NFC", sentence).casefold().translate(_SILENT)


class HeldOut:
    """Clips, speakers and sentences of dev and test.

    Args:
        tables: ``dev.tsv`` and ``test.tsv`` of all locales of a language; those that are missing are empty. Rows that
            cannot be used count as well.
    """

    def __init__(self, tables: Iterable[Path]) -> None:
        self.clips: set[str] = set()
        self.speakers: set[str] = set()
        self.sentences: set[str] = set()
        for table in tables:
            if count_rows(table):
                self._add(table)
        self.speakers.discard("")
        self.sentences.discard("")

    def _add(self, table: Path) -> None:
        with open(table, "rb") as file:
            header = read_header(table, file.readline())
        for fields in read_fields(table, header):
            if not isinstance(fields, Quarantined):
                self.clips.add(with_ending(fields[header.path]))
                self.speakers.add(fields[header.client_id])
                self.sentences.add(sentence_key(fields[header.sentence]))

    def reason(self, row: Row) -> str:
        """Return why training must not hear a row, one of ``REASONS``; empty if it may."""
        if row.clip in self.clips:
            return REASONS[0]
        if row.speaker in self.speakers:
            return REASONS[1]
        return REASONS[2] if sentence_key(row.sentence) in self.sentences else ""


def held_out_tables(folders: Sequence[Path]) -> list[Path]:
    """Return the tables of dev and test in each folder."""
    return [folder / f"{split}.tsv" for folder in folders for split in ("dev", "test")]
