"""Counts of utterances added up: by language, corpus and group in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from asr_dro.scoring.error_rate import ErrorCounts

if TYPE_CHECKING:
    from asr_dro.scoring.scores import ScoredUtterance

NO_LANGUAGE = "null"  # key of the confusion for utterances without a recognised language; no label is so long


class Cell(NamedTuple):
    """What utterances are counted by."""

    language: str
    corpus: str
    group: str


class Tally:
    """What is known of some utterances together: whole numbers, so that the order of adding makes no difference.

    Attributes:
        n_utterances: How many there are.
        n_right: Those whose language was recognised.
        characters: Errors in characters.
        words: Errors in words.
    """

    __slots__ = ("characters", "n_right", "n_utterances", "words")

    def __init__(self) -> None:
        self.n_utterances, self.n_right = 0, 0
        self.characters, self.words = ErrorCounts(), ErrorCounts()

    def add(self, other: Tally) -> None:
        """Add the counts of other utterances."""
        self.n_utterances += other.n_utterances
        self.n_right += other.n_right
        self.characters += other.characters
        self.words += other.words

    def as_mapping(self, *, tagged: bool) -> dict[str, Any]:
        """Give the integers behind rates, so that scores can be pooled without rounding."""
        counts: dict[str, Any] = {"n_utterances": self.n_utterances}
        for name, errors in (("cer", self.characters), ("wer", self.words)):
            counts[name] = {
                "reference_length": errors.reference_length,
                "substitutions": errors.substitutions,
                "deletions": errors.deletions,
                "insertions": errors.insertions,
            }
        return {**counts, "n_language_right": self.n_right if tagged else None}

    def rates(self, *, tagged: bool) -> dict[str, Any]:
        """Give CER, WER and LID as fractions (None where there is none), and the number of utterances."""
        return {
            "cer": or_none(self.characters.rate),
            "wer": or_none(self.words.rate),
            "lid": self.n_right / self.n_utterances if tagged and self.n_utterances else None,
            "n_utterances": self.n_utterances,
        }


def tally_cells(utterances: Iterable[ScoredUtterance], *, corpus: str) -> dict[Cell, Tally]:
    """Count utterances by language, corpus and group.

    Args:
        utterances: In any order.
        corpus: The corpus of those that do not know theirs.

    Returns:
        Tallies, sorted by cell.
    """
    members: dict[tuple[str, str, str], list[ScoredUtterance]] = {}
    for utterance in utterances:
        source = utterance.source
        members.setdefault((source.language, source.corpus or corpus, source.group), []).append(utterance)
    return {Cell(*key): _tally(members[key]) for key in sorted(members)}


def tally_by(cells: Mapping[Cell, Tally], key: Callable[[Cell], str]) -> dict[str, Tally]:
    """Add up the tallies of cells with the same key; sorted by it."""
    found: dict[str, Tally] = {}
    for cell, tally in cells.items():
        found.setdefault(key(cell), Tally()).add(tally)
    return dict(sorted(found.items()))


def count_confusion(utterances: Iterable[ScoredUtterance]) -> dict[str, dict[str, int]]:
    """Count which language was recognised for each language; ``null`` for none. Both sorted."""
    found: dict[str, dict[str, int]] = {}
    for utterance in utterances:
        row = found.setdefault(utterance.source.language, {})
        recognised = utterance.hypothesis.language or NO_LANGUAGE
        row[recognised] = row.get(recognised, 0) + 1
    return {language: dict(sorted(found[language].items())) for language in sorted(found)}


def or_none(value: float) -> float | None:
    """Replace ``nan``, which JSON lacks."""
    return None if math.isnan(value) else value


def _tally(members: Iterable[ScoredUtterance]) -> Tally:
    # plain sums: adding frozen objects one by one would cost as much as aligning the words
    tally = Tally()
    characters, words = [0, 0, 0, 0], [0, 0, 0, 0]
    for member in members:
        tally.n_utterances += 1
        tally.n_right += member.hypothesis.language == member.source.language
        for totals, counts in ((characters, member.characters), (words, member.words)):
            totals[0] += counts.reference_length
            totals[1] += counts.substitutions
            totals[2] += counts.deletions
            totals[3] += counts.insertions
    tally.characters, tally.words = ErrorCounts(*characters), ErrorCounts(*words)
    return tally
