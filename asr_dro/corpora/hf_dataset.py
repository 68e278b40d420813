"""Saved Hugging Face datasets: audio or raw samples with text, and perhaps language, speaker and other columns.

``HF_DATASET`` is a folder that ``save_to_disk`` wrote, or one with parquet files as the hub has them. Text is read
without touching the audio; audio is read in batches and never as a whole.
"""

from __future__ import annotations

import contextlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_dro.corpora.corpus import AudioSource, CorpusRequest, EncodedClip, Part, Quarantined, Row, clip_name
from asr_dro.corpora.hf_columns import Columns, audio_of, check_rate, find_columns, values
from asr_dro.corpora.hf_tables import Table, find_tables
from asr_dro.corpora.manifest_languages import (
    Census,
    LanguageOfRows,
    check_group_columns,
    choose_languages,
    common_remarks,
    part_name,
    read_census,
    write_census,
)
from asr_dro.corpora.manifest_values import RowError, checked_label, checked_seconds, checked_string
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.errors import UserError

_CLIPS_AT_ONCE = 64  # of a parquet file; Arrow streams are mapped, not copied
_LONGEST_ID = 180  # bytes; file systems take 255, and names made from it are longer


def open_corpus(request: CorpusRequest) -> Sequence[Part]:
    """Open a saved dataset; the first time, its languages and ids are read.

    Args:
        request: ``source`` is the folder of a dataset, of a single split, or of parquet files.

    Returns:
        One part with all splits.

    Raises:
        UserError: If a file or column is missing, or a language that was asked for.
    """
    tables, remarks = find_tables(request.source)
    part = DatasetPart(request, tables, remarks)
    kept = request.cache / f"{part.name}.json"
    census = read_census(kept, part.inputs())
    if census is None:
        census = part.take_census()
        write_census(kept, census, part.inputs())
    part.use(census)
    return [part]


def _is_name(text: str) -> bool:
    return text.isprintable() and clip_name(text) != "" and len(text.encode()) <= _LONGEST_ID


class _Names:
    """Names of clips: ids where they are unique, else split and row.

    Args:
        column: Column of the ids; empty if rows are numbered.
    """

    def __init__(self, column: str) -> None:
        self.column = column

    def of(self, split: str, row: int, row_id: object) -> str:
        """Return the name of a row."""
        return str(row_id) if self.column else f"{split}-{row:08d}"

    def rows(self, split: str, table: Table, wanted: Collection[str]) -> array[int]:
        """Return the sorted numbers of the wanted rows of a split."""
        found = array("q")
        if self.column:
            for first, batch in table.batches([self.column]):
                ids = values(batch, self.column, {})
                found.extend(first + row for row, row_id in enumerate(ids) if str(row_id) in wanted)
            return found
        numbers = (clip.rpartition("-") for clip in wanted)
        return array("q", sorted(int(number) for name, _, number in numbers if name == split))


class DatasetAudio(AudioSource):
    """The audio columns of all splits.

    Args:
        folder: What relative paths start from.
        tables: The splits.
        columns: What their columns hold.
    """

    def __init__(self, folder: Path, tables: Mapping[str, Table], columns: Columns) -> None:
        self._folder = folder
        self._tables = tables
        self._columns = columns
        self.names = _Names("")

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        """Yield the wanted clips in the order of the tables; portions without any are not read."""
        wanted = frozenset(wanted) if isinstance(wanted, Sequence) else wanted  # asked once for each row that has an id
        for split, table in self._tables.items():
            rows = self.names.rows(split, table, wanted)

            def has_some(first: int, number: int, rows: array[int] = rows) -> bool:
                return bisect_left(rows, first) < bisect_left(rows, first + number)

            time_ns = max((path.stat().st_mtime_ns for path in table.files), default=0)
            columns = [column for column in (self._columns.audio, self._columns.rate, self.names.column) if column]
            for first, batch in table.batches(columns, has_some, rows_at_once=_CLIPS_AT_ONCE):
                chosen = rows[bisect_left(rows, first) : bisect_left(rows, first + batch.num_rows)]
                for row in chosen:
                    yield from self._clip(split, row, batch.slice(row - first, 1), time_ns)

    def _clip(self, split: str, row: int, batch: Any, time_ns: int) -> Iterator[EncodedClip]:
        ids = values(batch, self.names.column, {}) if self.names.column else [None]
        rate_hz = batch.column(self._columns.rate)[0].as_py() if self._columns.rate else SAMPLE_RATE_HZ
        content = audio_of(batch.column(self._columns.audio)[0], rate_hz, self._folder)
        if isinstance(content, Path):
            with contextlib.suppress(OSError, ValueError):  # ValueError: a NUL in the path
                yield EncodedClip(self.names.of(split, row, ids[0]), content, content.stat().st_mtime_ns)
        elif content is not None:
            yield EncodedClip(self.names.of(split, row, ids[0]), content, time_ns)


class DatasetPart(Part):
    """All splits of a dataset.

    Args:
        request: What was asked for.
        tables: The splits.
        remarks: What was found out about them.

    Raises:
        UserError: If a file cannot be read, or a column is missing.
    """

    def __init__(self, request: CorpusRequest, tables: Mapping[str, Table], remarks: Sequence[str]) -> None:
        self.name = part_name(request.source)
        self._request = request
        self._tables = tables
        self._remarks = list(remarks)
        schemas = {split: table.schema() for split, table in tables.items()}
        found = {split: find_columns(schema, request.source / split) for split, schema in schemas.items()}
        self._columns = found["train"]
        self._schema = schemas["train"]
        unlike = [split for split, columns in found.items() if columns != self._columns]
        if unlike:
            raise UserError(f"{request.source} has other columns in {', '.join(unlike)} than in train")
        for schema in schemas.values():
            check_group_columns(request, schema.names)
        self._audio = DatasetAudio(request.source, tables, self._columns)
        self._census = Census()
        self._languages = LanguageOfRows(frozenset(), "")

    @property
    def audio(self) -> AudioSource:
        """The audio column."""
        return self._audio

    def inputs(self) -> Sequence[Path]:
        """Return the tables and the files that name them."""
        paths = [path for table in self._tables.values() for path in (*table.states, *table.files)]
        return list(dict.fromkeys(paths))

    def use(self, census: Census) -> None:
        """Decide on languages and names by what is there.

        Raises:
            UserError: If a language that was asked for is not there.
        """
        self._audio.names = _Names(self._columns.id if census.notes.get("unique ids") else "")
        self._census, self._languages = census, choose_languages(self._request, census)

    def take_census(self) -> Census:
        """Count languages and find out whether ids can be names.

        Raises:
            UserError: If a file is damaged.
        """
        census = Census(columns=list(self._schema.names))
        for split, table in self._tables.items():
            column = self._columns.language
            for _, batch in table.batches([column or self._columns.text]):
                if column:
                    codes = (self._code(value) for value in values(batch, column, self._columns.classes))
                    census.add(split, Counter(code for code in codes if code is not None))
                else:
                    census.add(split, {"": batch.num_rows})
        census.notes["unique ids"] = self._ids_are_names()
        return census

    def _code(self, value: object) -> str | None:
        try:
            return checked_label(value, self._columns.language)
        except RowError:
            return None

    def _ids_are_names(self) -> bool:
        seen = set[int]()
        for table in self._tables.values() if self._columns.id else ():
            for _, batch in table.batches([self._columns.id]):
                for value in values(batch, self._columns.id, {}):
                    if not isinstance(value, (str, int)) or not _is_name(str(value)):
                        return False
                    name = hash(clip_name(str(value)))
                    if name in seen:
                        return False
                    seen.add(name)
        return bool(seen)

    def rows(self, split: str) -> Iterator[Row | Quarantined]:
        """Yield one item for each row; the audio column is not read."""
        columns, group = self._columns, self._request.config.group_columns
        wanted = [columns.text, columns.language, columns.speaker, columns.corpus, columns.duration, columns.rate]
        names = self._audio.names
        read = list(dict.fromkeys(name for name in (*wanted, names.column, *group) if name))
        for first, batch in self._tables[split].batches(read) if split in self._tables else ():
            found = {name: values(batch, name, columns.classes if name != names.column else {}) for name in read}
            for index in range(batch.num_rows):
                row = {name: found[name][index] for name in read}
                clip = names.of(split, first + index, row.get(names.column))
                item: Row | Quarantined | None
                try:
                    item = self._row(clip, row, group)
                except RowError as error:
                    item = Quarantined(clip, str(error), self._languages.default)
                if item is not None:
                    yield item

    def _row(self, clip: str, row: Mapping[str, object], group: Sequence[str]) -> Row | None:
        """Return a row, None if its language was not asked for.

        Raises:
            RowError: If it cannot be used.
        """
        columns = self._columns
        label = self._languages.label(checked_label(row.get(columns.language), columns.language))
        if label not in self._languages.wanted:
            return None
        if columns.rate:
            check_rate(row[columns.rate])
        return Row(
            clip=clip,
            sentence=checked_string(row[columns.text], columns.text),
            speaker=checked_label(row.get(columns.speaker), columns.speaker),
            language=label,
            duration_s=checked_seconds(row.get(columns.duration), "duration"),
            columns=tuple(checked_label(row[column], column) for column in group),
            corpus=checked_label(row.get(columns.corpus), "corpus"),
        )

    def remarks(self) -> Sequence[str]:
        """Return what is not there, or there and not used."""
        remarks = self._remarks + common_remarks(self._request, self._census, self._languages)
        if self._columns.id and not self._audio.names.column:
            remarks.append("the ids are not unique or no names; clips are named by split and row")
        if self._columns.audio == "input_values":
            hertz = "the column sampling_rate says" if self._columns.rate else f"{SAMPLE_RATE_HZ} Hz"
            remarks.append(f"input_values are taken at {hertz}; those beyond full scale are turned down to it")
        return [f"{self.name}: {remark}" for remark in remarks]
