"""ML-SUPERB's releases 7 and 8: ``<corpus>/<label>/`` with transcript lists and ``wav/<utterance>.wav``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from asr_dro.corpora.corpus import AudioSource, CorpusRequest, EncodedClip, Quarantined
from asr_dro.corpora.ml_superb_labels import KNOWN_CORPORA, few_shot_utterances
from asr_dro.corpora.ml_superb_part import Line, MlSuperbPart, Pair, Release

_LISTS = {"dev": "transcript_10min_dev.txt", "test": "transcript_10min_test.txt"}
_TRAIN_LISTS = {"10min": "transcript_10min_train.txt", "1h": "transcript_1h_train.txt"}
_BY_TABS = re.compile(r"(\S+)\t(\S*)\t(.*)", re.DOTALL)


class FolderRelease(Release):
    """A release as folders.

    Args:
        root: The folder that holds the corpora.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        found = sorted(
            (folder.name, folder.parent.name)
            for corpus in root.iterdir()
            if corpus.is_dir() and _is_plain(corpus.name)
            for folder in corpus.iterdir()
            if _is_plain(folder.name) and is_pair(folder)
        )
        self._corpora: dict[str, list[str]] = {}
        for label, name in found:
            self._corpora.setdefault(label, []).append(name)

    @property
    def corpora(self) -> Mapping[str, Sequence[str]]:
        """The corpora of each label that is there; both sorted."""
        return self._corpora

    @property
    def untrained(self) -> Collection[str]:
        """None: a folder without a training list is a problem of its own."""
        return ()

    def part(self, pair: Pair, request: CorpusRequest) -> FolderPart:
        """Return the part of a pair."""
        return FolderPart(self.root / pair.corpus / pair.label, pair, request)

    def problems(self, pair: Pair, request: CorpusRequest) -> Iterator[str]:
        """Yield what of a pair's folder is missing or unreadable."""
        part = self.part(pair, request)
        for table in [part.table("train"), *(path for path in map(part.table, _LISTS) if path.exists())]:
            try:
                with open(table, "rb"):
                    pass
            except FileNotFoundError:
                there = [name for name in _TRAIN_LISTS.values() if (part.folder / name).exists()]
                yield f"{table} is missing; training lists there: {', '.join(there) or 'none'}"
            except OSError as error:
                yield f"{table} cannot be read: {error.strerror}"

    def notes(self, request: CorpusRequest) -> Iterator[str]:
        """Say how much of the benchmark is there."""
        there = {corpus for names in self._corpora.values() for corpus in names}
        known = [corpus for corpus in KNOWN_CORPORA if corpus in there]
        lacking = [corpus for corpus in KNOWN_CORPORA if corpus not in there]
        note = f"{self.root}: {len(known)} of the {len(KNOWN_CORPORA)} known corpora of ML-SUPERB are there"
        yield note + (f"; not there: {', '.join(lacking)}" if lacking else "")


def is_pair(folder: Path) -> bool:
    """Return whether a folder holds a language of a corpus."""
    return any((folder / name).exists() for name in (*_TRAIN_LISTS.values(), *_LISTS.values()))


def _is_plain(name: str) -> bool:
    return name.isprintable() and name.split() == [name] and not name.startswith(".")


class _WavFolder(AudioSource):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        for clip in wanted:
            path = self._folder / clip
            try:
                yield EncodedClip(clip, path, path.stat().st_mtime_ns)
            except OSError:
                continue  # left out: stage 1 says that there is no such file

    def path(self, clip: str) -> Path | None:
        return self._folder / clip


class FolderPart(MlSuperbPart):
    """A language's folder in one corpus."""

    def __init__(self, folder: Path, pair: Pair, request: CorpusRequest) -> None:
        super().__init__(pair, request)
        self.folder = folder
        self._train_list = _TRAIN_LISTS["10min" if request.duration == "10min" else "1h"]
        if pair.label in few_shot_utterances() and (folder / _TRAIN_LISTS["1h"]).exists():
            self._train_list = _TRAIN_LISTS["1h"]  # holds the other list: the five are the same for any duration

    @property
    def audio(self) -> AudioSource:
        """The folder ``wav``."""
        return _WavFolder(self.folder / "wav")

    def table(self, split: str) -> Path:
        """Return the list of a split; dev and test have one each, whatever the duration."""
        return self.folder / (self._train_list if split == "train" else _LISTS[split])

    def inputs(self) -> Sequence[Path]:
        """Return the lists that are there and the folder of the audio."""
        paths = [self.table("train"), *map(self.table, _LISTS), self.folder / "wav"]
        return [path for path in paths if path.exists()]

    def lines(self, split: str) -> Iterator[Line | Quarantined]:
        """Yield one item for each line of the list; a list that is missing has none."""
        table = self.table(split)
        if not table.exists():
            return
        with open(table, "rb") as file:  # lines end at LF only: str.splitlines() would also cut at U+2028 and VT
            for number, line in enumerate(file, start=1):
                yield _parse(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"{table.name}:{number}")

    def remarks(self) -> Sequence[str]:
        """Name lists that are missing, and the few-shot utterances."""
        missing = [table.name for table in map(self.table, _LISTS) if not table.exists()]
        return [*super().remarks(), *([f"{self.name}: no {' and no '.join(missing)}"] if missing else [])]


def _parse(line: bytes, where: str) -> Line | Quarantined:
    """Cut a line into utterance, a field that nobody reads, and text, at tabs or at white space.

    At white space alone, a line with an empty second field between tabs would lose the first word of its text.
    """
    try:
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        return Quarantined(where, "not UTF-8")
    match = _BY_TABS.fullmatch(text)
    fields = list(match.groups()) if match else text.split(maxsplit=2)
    if len(fields) < 3:
        return Quarantined(where, f"{len(fields)} fields where a list has utterance, a second one, and text")
    return Line(where, fields[0], fields[2])
