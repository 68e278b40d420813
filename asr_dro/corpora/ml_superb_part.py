"""What both packagings of ML-SUPERB share: how lines of a transcript list become rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from asr_dro.corpora.corpus import CorpusRequest, Part, Quarantined, Row
from asr_dro.corpora.ml_superb_labels import corpus_of, few_shot_utterances
from asr_dro.data.data_dir import SPLITS

GROUP_COLUMNS = ("corpus", "label")
OFFICIAL_DURATIONS = ("10min", "1h", "all")
_ENDING = ".wav"
_LONGEST_ID = 200  # bytes; file systems take 255, and names made from it are longer


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript list that has all its fields.

    Args:
        where: List and line, for messages.
        utterance: The utterance's id.
        text: Raw transcript.
    """

    where: str
    utterance: str
    text: str


@dataclass(frozen=True, order=True)
class Pair:
    """A language in one of the corpora, the unit of the benchmark.

    Args:
        language: The label asked for, after repairs.
        corpus: The corpus, such as ``commonvoice``.
        label: The benchmark's own label.
    """

    language: str
    corpus: str
    label: str

    @property
    def name(self) -> str:
        """Name of the part: that of the benchmark, so that sets with and without repairs share audio."""
        return f"{self.label}/{self.corpus}"


class Release(ABC):
    """A packaging of ML-SUPERB."""

    @property
    @abstractmethod
    def corpora(self) -> Mapping[str, Sequence[str]]:
        """The corpora of each label that is there; both sorted."""

    @property
    @abstractmethod
    def untrained(self) -> Collection[str]:
        """The labels that are there without training data."""

    @abstractmethod
    def part(self, pair: Pair, request: CorpusRequest) -> MlSuperbPart:
        """Return the part of a pair."""

    @abstractmethod
    def problems(self, pair: Pair, request: CorpusRequest) -> Iterator[str]:
        """Yield why a pair cannot be read, found before any work."""

    @abstractmethod
    def notes(self, request: CorpusRequest) -> Iterator[str]:
        """Yield what a user should know about the release as a whole."""


def clip_of(utterance: str) -> str:
    """Return the clip's name of an utterance."""
    return utterance + _ENDING


class MlSuperbPart(Part):
    """A language in one corpus of ML-SUPERB."""

    def __init__(self, pair: Pair, request: CorpusRequest) -> None:
        self.pair = pair
        self.name = pair.name
        self.corpus = pair.corpus
        self.draws_itself = request.duration in OFFICIAL_DURATIONS
        self._group_columns = request.config.group_columns
        few_shot = few_shot_utterances().get(pair.label)
        self._few_shot = None if few_shot is None else {clip_of(utterance) for utterance in few_shot}
        self._used_in_training = 0

    @abstractmethod
    def lines(self, split: str) -> Iterator[Line | Quarantined]:
        """Yield exactly one item for each line of the split's list."""

    def rows(self, split: str) -> Iterator[Row | Quarantined]:
        """Yield exactly one item for each line of the split's list.

        An id counts once: in test before dev before train, so that nothing is trained on that is scored.
        """
        values = {"corpus": self.pair.corpus, "label": self.pair.label}
        columns = tuple(values[column] for column in self._group_columns)
        taken = self._taken_by_later_splits(split)
        seen: set[str] = set()
        used = 0
        for line in self.lines(split):
            if isinstance(line, Quarantined):
                yield replace(line, language=self.pair.language)
                continue
            clip, problem = clip_of(line.utterance), _id_problem(line.utterance)
            if problem:
                yield Quarantined(line.where, problem, self.pair.language)
                continue
            problem = "utterance is there twice" if clip in seen else taken.get(clip, "")
            seen.add(clip)
            if split == "train" and self._few_shot is not None and clip not in self._few_shot:
                problem = problem or "few-shot language: not one of its five training utterances"
            problem = problem or ("" if line.text.strip() else "no transcript")
            if problem:
                yield Quarantined(clip, problem, self.pair.language)
                continue
            used += 1
            yield Row(clip, line.text, speaker="", language=self.pair.language, columns=columns)
        if split == "train":
            self._used_in_training = used

    def remarks(self) -> Sequence[str]:
        """Say how many of the few-shot utterances are here."""
        if self._few_shot is None:
            return ()
        named = sum(corpus_of(clip, self.pair.label) == self.pair.corpus for clip in self._few_shot)
        return [f"{self.name}: few-shot; {self._used_in_training} of its {named} training utterances are there"]

    def _taken_by_later_splits(self, split: str) -> dict[str, str]:
        later = SPLITS[SPLITS.index(split) + 1 :]
        return {
            clip_of(line.utterance): f"utterance is also in {other}"
            for other in reversed(later)
            for line in self.lines(other)
            if isinstance(line, Line)
        }


def _id_problem(utterance: str) -> str:
    """Return why an id cannot name a file; empty if it can."""
    if not utterance:
        return "no utterance id"
    if "/" in utterance or not utterance.strip("."):
        return "utterance id is a path"
    if not utterance.isprintable() or utterance.split() != [utterance]:
        return "utterance id with white space or control characters"
    if len(utterance.encode()) > _LONGEST_ID:
        return f"utterance id longer than {_LONGEST_ID} bytes"
    return ""
