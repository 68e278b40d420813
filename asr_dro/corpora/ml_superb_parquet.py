"""ML-SUPERB 2.0 as parquet shards: columns ``id``, ``language``, ``audio`` (with its bytes) and ``text``.

Only row groups that hold a wanted language are opened, and of these only the columns that are needed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.corpora.corpus import AudioSource, CorpusRequest, EncodedClip, Quarantined
from asr_dro.corpora.ml_superb_labels import corpus_of, label_of
from asr_dro.corpora.ml_superb_part import Line, MlSuperbPart, Pair, Release, clip_of
from asr_dro.data.data_dir import SPLITS
from asr_dro.errors import UserError

COLUMNS = ("id", "language", "audio", "text")
DIALECTS = "dev_dialect"
_SPLIT_NAMES = ("train", "dev", "validation", "test", DIALECTS)
_TAG = re.compile(r"\s*\[(?:org_)?[a-z]{3}\]")
_LABEL = re.compile(r"[\w-]+", re.ASCII)
_ROWS_AT_ONCE = 32  # a row of 20 s has up to 640 kB
_READ_BYTES = 1 << 20


def split_of(path: Path) -> str | None:
    """Return the packaging's split that a shard belongs to: by its name, else by its folder's; None if neither is one.

    The packaging has ``data/train-00000-of-00027.parquet``, the hub's conversions ``default/train/0000.parquet``.
    """
    for name in (re.sub(r"-\d+(-of-\d+)?$", "", path.stem), path.parent.name):
        if name in _SPLIT_NAMES:
            return "dev" if name == "validation" else name
    return None


@dataclass(frozen=True)
class _Shard:
    path: Path
    row_groups: tuple[int, ...]


@dataclass
class _Places:
    """Row groups of one label in one corpus, by split."""

    shards: dict[str, list[_Shard]] = field(default_factory=lambda: {split: [] for split in SPLITS})


def _open(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _batches(file: Any, row_groups: Sequence[int], columns: Sequence[str], rows: int = 1024) -> Iterator[Any]:
    import pyarrow

    try:
        yield from file.iter_batches(rows, row_groups=list(row_groups), columns=list(columns))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"a parquet shard cannot be read to its end: {error}; download it again") from None


def _texts(batch: Any, column: str) -> list[str]:
    """Return a column of strings, null as empty; bytes that are not UTF-8 become surrogates."""
    values = batch.column(column)
    try:
        texts = values.to_pylist()
    except UnicodeDecodeError:
        texts = [
            value.as_buffer().to_pybytes().decode(errors="surrogateescape") if value.is_valid else ""
            for value in values
        ]
    return [text or "" for text in texts]


def _keys(batch: Any) -> list[tuple[str, str] | None]:
    """Return label and corpus of each row; None where it has no language."""
    return [_key(*row) for row in zip(_texts(batch, "id"), _texts(batch, "language"), strict=True)]


def _key(utterance: str, language: str) -> tuple[str, str] | None:
    label = label_of(utterance, language.strip())
    return (label, corpus_of(utterance, label)) if _LABEL.fullmatch(label) else None


class ParquetRelease(Release):
    """The parquet packaging.

    Args:
        root: Where it lies.
        shards: Its files by the packaging's split.
    """

    def __init__(self, root: Path, shards: Mapping[str, Sequence[Path]]) -> None:
        self.root = root
        self._test_name = "test" if shards.get("test") else DIALECTS
        self._places: dict[tuple[str, str], _Places] = {}
        self._without_language = 0
        problems = [problem for paths in shards.values() for path in paths for problem in _schema_problems(path)]
        if problems:
            raise UserError(f"{root} cannot be used:\n  " + "\n  ".join(problems))
        for split in SPLITS:
            for path in shards.get(self._test_name if split == "test" else split, ()):
                self._find_places(split, path)

    def _find_places(self, split: str, path: Path) -> None:
        groups: dict[tuple[str, str], list[int]] = {}
        with _open(path) as file:
            for group in range(file.num_row_groups):
                keys = [key for batch in _batches(file, [group], ("id", "language")) for key in _keys(batch)]
                self._without_language += keys.count(None)
                for key in {key for key in keys if key is not None}:
                    groups.setdefault(key, []).append(group)
        for key, found in groups.items():
            self._places.setdefault(key, _Places()).shards[split].append(_Shard(path, tuple(found)))

    @property
    def corpora(self) -> Mapping[str, Sequence[str]]:
        """The corpora of each label that is there; both sorted."""
        corpora: dict[str, list[str]] = {}
        for label, corpus in sorted(self._places):
            corpora.setdefault(label, []).append(corpus)
        return corpora

    @property
    def untrained(self) -> Collection[str]:
        """The labels that only dev or test have."""
        trained = {label for (label, _), places in self._places.items() if places.shards["train"]}
        return {label for label, _ in self._places} - trained

    def part(self, pair: Pair, request: CorpusRequest) -> ParquetPart:
        """Return the part of a pair."""
        return ParquetPart(self._places[pair.label, pair.corpus], pair, request)

    def problems(self, pair: Pair, request: CorpusRequest) -> Iterator[str]:
        """Yield nothing: shards are checked when they are found."""
        yield from ()

    def notes(self, request: CorpusRequest) -> Iterator[str]:
        """Say what this packaging has in place of the benchmark's lists."""
        if self._test_name == DIALECTS:
            yield f"{self.root}: this packaging has no test set; its language varieties ({DIALECTS}) serve as test"
        if request.duration == "10min":
            yield f"{self.root}: this packaging lacks the list of 10 minutes; they are drawn from its training set"
        if self._without_language:
            yield f"{self.root}: {self._without_language} rows have no language and are left out"


def _schema_problems(path: Path) -> Iterator[str]:
    from pyarrow import types

    with _open(path) as file:
        schema = file.schema_arrow
    missing = [column for column in COLUMNS if column not in schema.names]
    if missing:
        yield f"{path}: no column {', '.join(missing)}; columns there: {', '.join(schema.names)}"
        return
    for column in ("id", "language", "text"):
        kind = schema.field(column).type
        if not types.is_string(kind) and not types.is_large_string(kind):
            yield f"{path}: column {column} must hold strings, not {kind}"
    audio = schema.field("audio").type
    if not types.is_struct(audio) or audio.get_field_index("bytes") < 0:
        yield f"{path}: column audio must hold bytes, as the Hugging Face hub stores audio, not {audio}"


class _ShardAudio(AudioSource):
    def __init__(self, part: ParquetPart) -> None:
        self._part = part

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        missing = set(wanted)
        for split in reversed(SPLITS):  # an id counts in test before dev before train, as in the part's rows
            for shard in self._part.shards(split):
                time_ns = shard.path.stat().st_mtime_ns
                with _open(shard.path) as file:
                    for group in shard.row_groups:
                        for clip, content in self._of_group(file, group, missing):
                            yield EncodedClip(clip, content, time_ns)

    def _of_group(self, file: Any, group: int, missing: set[str]) -> Iterator[tuple[str, bytes]]:
        """Yield what is missing, and cross it off."""
        ids = (clip_of(utterance) for batch in _batches(file, [group], ("id",)) for utterance in _texts(batch, "id"))
        if missing.isdisjoint(ids):
            return  # its audio, most of the shard's bytes, stays unread
        for batch in _batches(file, [group], ("id", "language", "audio.bytes"), _ROWS_AT_ONCE):
            contents = batch.column("audio").field("bytes")
            for index, (utterance, key) in enumerate(zip(_texts(batch, "id"), _keys(batch), strict=True)):
                clip = clip_of(utterance)
                if clip in missing and key == self._part.key:
                    missing.remove(clip)
                    content = contents[index].as_py()
                    if content is not None:
                        yield clip, content


class ParquetPart(MlSuperbPart):
    """A language in one corpus, somewhere in the shards."""

    def __init__(self, places: _Places, pair: Pair, request: CorpusRequest) -> None:
        super().__init__(pair, request)
        self.draws_itself = request.duration in ("1h", "all")
        self._shards = places.shards

    @property
    def audio(self) -> AudioSource:
        """The bytes in the shards."""
        return _ShardAudio(self)

    def shards(self, split: str) -> Sequence[_Shard]:
        """Return shards and row groups of a split."""
        return self._shards[split]

    @property
    def key(self) -> tuple[str, str]:
        """Label and corpus of this part's rows."""
        return self.pair.label, self.pair.corpus

    def inputs(self) -> Sequence[Path]:
        """Return the shards that hold this part."""
        return sorted({shard.path for shards in self._shards.values() for shard in shards})

    def lines(self, split: str) -> Iterator[Line | Quarantined]:
        """Yield one item for each of the part's rows; the tag before the text is cut off."""
        number = 0
        for shard in self._shards[split]:
            with _open(shard.path) as file:
                for batch in _batches(file, shard.row_groups, ("id", "language", "text")):
                    rows = zip(_keys(batch), _texts(batch, "id"), _texts(batch, "text"), strict=True)
                    for utterance, text in [row[1:] for row in rows if row[0] == self.key]:
                        number += 1
                        yield _line(f"{self.name}, {split}:{number}", utterance, text)


def _line(where: str, utterance: str, text: str) -> Line | Quarantined:
    tag = _TAG.match(text)
    text = text[tag.end() :] if tag else text
    try:
        text.encode()
    except UnicodeEncodeError:  # a surrogate from _texts
        return Quarantined(where, "not UTF-8")
    return Line(where, utterance, text.strip())
