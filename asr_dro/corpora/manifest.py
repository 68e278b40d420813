"""Manifests: JSON lines that name audio files, with their text and perhaps language, speaker and other columns.

``MANIFEST`` is a folder with ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` (or ``.json`` as NeMo writes them; dev
may be ``valid`` or ``validation``), or one file whose lines say their ``split``.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_dro.corpora.corpus import AudioSource, CorpusRequest, EncodedClip, Part, Quarantined, Row
from asr_dro.corpora.manifest_languages import (
    SPLIT_NAMES,
    Census,
    LanguageOfRows,
    check_group_columns,
    choose_languages,
    common_remarks,
    label_of,
    part_name,
    read_census,
    write_census,
)
from asr_dro.corpora.manifest_lines import Entry, Segment, parse_entry, parse_object, read_lines
from asr_dro.corpora.manifest_values import RowError, checked_label
from asr_dro.data.data_dir import SPLITS
from asr_dro.errors import UserError

_ENDINGS = (".jsonl", ".json")
_MOST_COLUMNS = 1000  # lines with keys of their own must not fill the memory
_LONGEST_COLUMN = 100
_MOST_PROBLEMS = 3
_FIRST = ("test", "dev", "train")  # a clip in several splits stays in the first of them


def open_corpus(request: CorpusRequest) -> Sequence[Part]:
    """Open a manifest; the first time, every line is read to learn its languages.

    Args:
        request: ``source`` is a folder with a manifest for each split, or one manifest.

    Returns:
        One part with all splits.

    Raises:
        UserError: If a file or column is missing, or a language that was asked for.
    """
    try:
        part = ManifestPart(request, _find_files(request.source))
        kept = request.cache / f"{part.name}.json"
        census = read_census(kept, part.inputs())
        if census is None:
            census = part.take_census()
            write_census(kept, census, part.inputs())
    except OSError as error:
        raise UserError(f"{error.filename or request.source} cannot be read: {error.strerror}") from None
    part.use(census)
    return [part]


def _find_files(source: Path) -> dict[str, Path]:
    """Return the manifest of each split; a single one is under ``""``."""
    if not source.is_dir():
        if not source.exists():
            raise UserError(f"{source} does not exist; set MANIFEST to a folder with manifests, or to one manifest")
        _check_lines(source)
        return {"": source}
    found: dict[str, list[Path]] = {}
    for stem, split in SPLIT_NAMES.items():
        for path in (source / f"{stem}{ending}" for ending in _ENDINGS):
            if path.exists():
                found.setdefault(split, []).append(path)
    problems = [
        f"several manifests for {split}: {', '.join(path.name for path in paths)}; keep one of them"
        for split, paths in found.items()
        if len(paths) > 1
    ]
    if "train" not in found:
        there = sorted(path.name for path in source.iterdir() if path.suffix in _ENDINGS)
        problems.append(
            f"no train.jsonl; manifests are named train, dev and test with the ending .jsonl or .json. "
            f"Manifests there: {', '.join(there[:10]) or 'none'}"
        )
    if problems:
        raise UserError(f"{source} cannot be used:\n  " + "\n  ".join(problems))
    for paths in found.values():
        _check_lines(paths[0])
    return {split: paths[0] for split, paths in found.items()}


def _check_lines(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if start.startswith(b"["):
        raise UserError(f"{path} is a JSON list; a manifest has one object in each line (jq -c '.[]' makes them of it)")


class ManifestAudio(AudioSource):
    """Files and segments of files; a clip's name says which.

    Args:
        folder: What relative paths start from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        """Yield the paths of the wanted clips, in their order."""
        for clip in wanted:
            segment = Segment.of_clip(clip)
            path = self._folder / segment.path
            with contextlib.suppress(OSError):  # it is not there
                yield EncodedClip(clip, path, os.stat(path).st_mtime_ns, segment.start_s, segment.length_s)

    def path(self, clip: str) -> Path | None:
        """Return the clip's file; None for a segment."""
        segment = Segment.of_clip(clip)
        return self._folder / segment.path if segment.length_s is None else None


class ManifestPart(Part):
    """All splits of a manifest.

    Args:
        request: What was asked for.
        files: The manifest of each split; a single one is under ``""``.
    """

    def __init__(self, request: CorpusRequest, files: Mapping[str, Path]) -> None:
        self.name = part_name(request.source)
        self._request = request
        self._files = files
        self._folder = next(iter(files.values())).absolute().parent
        self._audio = ManifestAudio(self._folder)
        self._census = Census()
        self._languages = LanguageOfRows(frozenset(), "")
        self._clips: dict[str, set[int]] = {}

    @property
    def audio(self) -> AudioSource:
        """The files that the lines name."""
        return self._audio

    def inputs(self) -> Sequence[Path]:
        """Return the manifests."""
        return list(self._files.values())

    def use(self, census: Census) -> None:
        """Decide on languages and columns by what is there.

        Raises:
            UserError: If something that was asked for is not there.
        """
        if "" in self._files and not any(census.total(split) for split in SPLITS) and not census.unknown:
            reasons = "\n  ".join(census.problems)
            raise UserError(
                f"{self._request.source} has no usable line that says its `split` (train, dev or test); give a folder "
                f"with train.jsonl, dev.jsonl and test.jsonl, or add it to each line\n  {reasons}"
            )
        check_group_columns(self._request, census.columns)
        self._census, self._languages = census, choose_languages(self._request, census)

    def take_census(self) -> Census:
        """Read every line once.

        Raises:
            OSError: If a file cannot be read.
        """
        census, columns = Census(), dict[str, None]()
        codes: Counter[tuple[str, str]] = Counter()
        for name in self._files:
            for where, split, entry in self._entries(name, columns):
                if isinstance(entry, Entry):
                    codes[split, _short(entry.code)] += 1
                elif len(census.problems) < _MOST_PROBLEMS:
                    census.problems.append(f"{where}: {entry}")
                if len(codes) > _MOST_COLUMNS:
                    _move(codes, census)
        _move(codes, census)
        census.columns = sorted(columns)
        return census

    def _entries(self, name: str, columns: dict[str, None] | None = None) -> Iterator[tuple[str, str, Entry | str]]:
        """Yield file and line, the split, and what the line holds or why it cannot be used.

        Args:
            name: Key of the file.
            columns: Where to note the names of all columns, while nobody wants the values of any.
        """
        path, folder = self._files[name], str(self._folder)
        group = () if columns is not None else self._request.config.group_columns
        for number, line in read_lines(path):
            where, split = f"{path.name}:{number}", name or "train"
            try:
                values = parse_object(line)
                if columns is not None and len(columns) < _MOST_COLUMNS:
                    columns.update(
                        dict.fromkeys(key for key in values if len(key) < _LONGEST_COLUMN and key.isprintable())
                    )
                split = name or _split_of(values)
                yield where, split, parse_entry(values, folder, group)
            except RowError as error:
                yield where, split, str(error)

    def rows(self, split: str) -> Iterator[Row | Quarantined]:
        """Yield one item for each line; in a single manifest, lines without a split are rows of train."""
        only_language = self._languages.default
        taken = self._taken(split)
        seen = set[int]()
        name = "" if "" in self._files else split
        for where, in_split, entry in self._entries(name) if name in self._files else ():
            if in_split != split:
                continue
            if isinstance(entry, str):
                yield Quarantined(where, entry, only_language)
                continue
            try:
                label = self._languages.label(entry.code)
            except RowError as error:
                yield Quarantined(where, str(error))
                continue
            if label not in self._languages.wanted:
                continue
            clip = entry.segment.clip
            key = hash(clip)
            if key in seen or key in taken:
                again = "there twice" if key in seen else "in dev or test too" if split == "train" else "in test too"
                yield Quarantined(where, f"the clip is {again}", label)
                continue
            seen.add(key)
            yield Row(clip, entry.text, entry.speaker, label, entry.duration_s, entry.columns, entry.corpus)
        self._clips[split] = seen if split != "train" else set()  # nobody asks for those of train

    def _taken(self, split: str) -> set[int]:
        """Return hashes of the clips that earlier splits keep: no clip is both trained on and tested."""
        taken = set[int]()
        for earlier in _FIRST[: _FIRST.index(split)]:
            if earlier not in self._clips:
                for _ in self.rows(earlier):
                    pass  # reading them to the end notes their clips
            taken |= self._clips[earlier]
        return taken

    def remarks(self) -> Sequence[str]:
        """Return what is not there, or there and not used."""
        return [f"{self.name}: {remark}" for remark in common_remarks(self._request, self._census, self._languages)]


def _split_of(values: Mapping[str, Any]) -> str:
    name = checked_label(values.get("split"), "split")
    if name in SPLIT_NAMES:
        return SPLIT_NAMES[name]
    raise RowError(f"split is {ascii(name)[:40]}; allowed: {', '.join(SPLIT_NAMES)}")


def _short(code: str) -> str:
    return code if label_of(code) else code[:40]


def _move(codes: Counter[tuple[str, str]], census: Census) -> None:
    for (split, code), lines in codes.items():
        census.add(split, {code: lines})
    codes.clear()
