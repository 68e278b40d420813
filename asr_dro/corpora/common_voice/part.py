"""One locale of a release: its rows and its clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.corpora.common_voice.archive import ArchiveAudio
from asr_dro.corpora.common_voice.durations import DURATION_TABLES, find_durations
from asr_dro.corpora.common_voice.held_out import REASONS, HeldOut, held_out_tables
from asr_dro.corpora.common_voice.tables import RowReader, count_rows
from asr_dro.corpora.corpus import AudioSource, EncodedClip, Part, Quarantined, Row
from asr_dro.data.config import DataConfig
from asr_dro.errors import UserError


@dataclass(frozen=True)
class FolderAudio(AudioSource):
    """The clips of a folder.

    Args:
        folder: The folder.
    """

    folder: Path

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        """Yield the wanted clips as paths, in the order in which they are wanted."""
        for clip in wanted:
            path = self.folder / clip
            try:
                yield EncodedClip(clip, path, path.stat().st_mtime_ns)
            except (FileNotFoundError, NotADirectoryError):
                continue

    def path(self, clip: str) -> Path:
        """Return the file of a clip."""
        return self.folder / clip


@dataclass(frozen=True)
class OpenedLocale:
    """A locale whose tables can be read.

    Args:
        locale: Its name, such as ``sv-SE``.
        origin: Its folder or archive.
        tables: Folder of the tables: ``origin`` or copies of what is in the archive.
        inside: Folder inside the archive; None if ``origin`` is a folder.
        delta: Name of the release if it is a delta; else empty.
    """

    locale: str
    origin: Path
    tables: Path
    inside: str | None = None
    delta: str = ""

    @property
    def clips(self) -> Path | None:
        """Folder of the clips; None if they are in an archive."""
        return self.origin / "clips" if self.inside is None else None

    @property
    def audio(self) -> AudioSource:
        """The clips."""
        return FolderAudio(self.origin / "clips") if self.inside is None else ArchiveAudio(self.origin, self.inside)

    def inputs(self, tables: Sequence[str]) -> list[Path]:
        """Return the archive, or the folder of clips, the named tables and those of durations."""
        if self.inside is not None:
            return [self.origin]
        return [self.origin / name for name in ("clips", *tables, *DURATION_TABLES)]


class LocalePart(Part):
    """One locale of one release.

    Args:
        opened: The locale.
        language: Label of its language.
        config: How it is read.
        held_out: All locales of the language, whose dev and test ``train: validated`` must not hear.
        remarks: What is known about it before it is read.
    """

    def __init__(
        self,
        opened: OpenedLocale,
        language: str,
        config: DataConfig,
        held_out: Sequence[OpenedLocale],
        remarks: Sequence[str] = (),
    ) -> None:
        self._opened, self._config = opened, config
        self._is_validated = config.train == "validated"
        self._siblings = list(held_out) if self._is_validated else []
        self._held_out = held_out_tables([sibling.tables for sibling in self._siblings])
        self._reader = RowReader(language, opened.locale, config.group_columns, opened.clips)
        self._first_remarks, self._validated = tuple(remarks), Counter[str]()
        self.name = f"{language}/{opened.locale}" + (f"+{opened.delta}" if opened.delta else "")

    @property
    def audio(self) -> AudioSource:
        """The audio of all splits."""
        return self._opened.audio

    def table(self, split: str) -> Path:
        """Return the table that ``train``, ``dev`` or ``test`` is read from."""
        name = "validated" if split == "train" and self._is_validated else split
        return self._opened.tables / f"{name}.tsv"

    def inputs(self) -> Sequence[Path]:
        """Return the archive, or the tables and the folder of clips; with ``validated`` what it is compared with."""
        own = self._opened.inputs([self.table(split).name for split in ("train", "dev", "test")])
        compared = [path for sibling in self._siblings for path in sibling.inputs(["dev.tsv", "test.tsv"])]
        return list(dict.fromkeys([*own, *compared]))

    def problems(self) -> Iterator[str]:
        """Yield what keeps this part from being read."""
        clips = self._opened.clips
        if clips is not None:
            try:
                next(clips.iterdir(), None)
            except NotADirectoryError:
                yield f"{clips} is not a folder"
            except OSError as error:
                yield f"{clips} cannot be read: {error.strerror}"
        for table in dict.fromkeys([self.table("train"), *self._evaluation_tables()]):
            try:
                self._reader.header(table)
            except UserError as error:
                hint = "; train: validated in the file of conf/data reads validated.tsv"
                can_be_validated = table.name == "train.tsv" and table.with_name("validated.tsv").exists()
                yield f"{error}{hint if can_be_validated and not table.exists() else ''}"

    def _evaluation_tables(self) -> list[Path]:
        """Return the tables of dev and test that are there and not empty; a locale with few speakers may lack them."""
        tables = {table for table in (self.table("dev"), self.table("test"), *self._held_out) if table.exists()}
        return sorted(table for table in tables if table.stat().st_size)

    def rows(self, split: str) -> Iterator[Row | Quarantined]:
        """Yield one item for each row of ``train``, ``dev`` or ``test``.

        With ``train: validated``, no row of train has a clip, speaker or sentence of dev or test.
        """
        table = self.table(split)
        if split != "train" and table not in self._evaluation_tables():
            return
        rows = self._reader.rows(table, find_durations(self._opened.tables))
        yield from self._without_held_out(rows) if split == "train" and self._is_validated else rows

    def _without_held_out(self, rows: Iterator[Row | Quarantined]) -> Iterator[Row | Quarantined]:
        held_out, counts, speakers = HeldOut(self._evaluation_tables()), Counter[str](), set[int]()
        for row in rows:
            if isinstance(row, Quarantined):
                counts["unusable"] += 1
                yield row
            elif reason := held_out.reason(row):
                counts[reason] += 1
                yield Quarantined(row.clip, reason)
            else:
                counts["used"] += 1
                speakers.add(hash(row.speaker))
                yield row
        assert speakers.isdisjoint(map(hash, held_out.speakers)), f"{self.name}: a speaker of dev or test is in train"
        self._validated = counts

    def remarks(self) -> Sequence[str]:
        """Return the sizes of what training may use, and which splits are missing."""
        remarks = list(self._first_remarks)
        if self._validated:
            remarks.append(self._about_validated())
        elif not self._is_validated and (validated := count_rows(self._opened.tables / "validated.tsv")):
            train = count_rows(self.table("train"))
            remarks.append(
                f"{self._opened.locale}: train.tsv has {train:,} clips; validated.tsv {validated:,} "
                "(train: validated in conf/data takes those without a speaker or sentence of dev or test)"
            )
        if not self._opened.delta:
            empty = [split for split in ("dev", "test") if not count_rows(self.table(split))]
            remarks += [f"{self._opened.locale}: {split}.tsv is missing or has no row" for split in empty]
        return remarks

    def _about_validated(self) -> str:
        counts, tables = self._validated, self._opened.tables
        clips, speakers, sentences = (counts[reason] for reason in REASONS)
        train = "" if self._opened.delta else f"train.tsv has {count_rows(tables / 'train.tsv'):,} clips; "
        unusable = f"; {counts['unusable']:,} are unusable" if counts["unusable"] else ""
        return (
            f"{self.name.partition('/')[2]}: {train}validated.tsv {counts.total():,}, "
            f"of which {counts['used']:,} have neither a clip ({clips:,}), a speaker ({speakers:,}) "
            f"nor a sentence ({sentences:,}) of dev or test{unusable}"
        )
