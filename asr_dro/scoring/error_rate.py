"""Edit-distance counts for characters and words.

What is counted, exactly:

- Both texts are brought to Unicode NFC and every run of white space becomes one space, none at the ends (`canonical`).
- A **character** is a code point of that text. Spaces count. A combining mark that has no precomposed form counts as a
  character of its own, as in jiwer and in sclite on UTF-8 text.
- A **word** is what lies between spaces.
- The number of errors is the Levenshtein distance (weights 1/1/1). How it splits into substitutions, deletions and
  insertions is a tie-break: ours is that of rapidfuzz (and hence of jiwer). sclite aligns with weights 4/3/3, which
  gives a different split and sometimes a slightly larger total.
- Rates of a set are total errors over total reference length (micro), never a mean of utterance rates. An empty
  reference contributes its insertions to the errors and nothing to the length; an empty hypothesis is all deletions.
  A set whose references are all empty has no rate: ``nan`` here, ``null`` in JSON.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Editops, Indel, Levenshtein
from rapidfuzz.process import cpdist

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Errors against a reference; counts of different utterances can be added.

    Attributes:
        reference_length: Characters or words in the reference.
        substitutions: Reference units replaced by another one.
        deletions: Reference units without a counterpart in the hypothesis.
        insertions: Hypothesis units without a counterpart in the reference.
    """

    reference_length: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.reference_length + other.reference_length,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together: the Levenshtein distance of one pair."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference unit: a fraction, above 1 with many insertions; ``nan`` if the reference is empty."""
        return self.errors / self.reference_length if self.reference_length else math.nan


def canonical(text: str) -> str:
    """Bring a text to NFC with single spaces (any Unicode white space) between words and none at the ends."""
    # of all white space only the space is printable; most texts need nothing, and to see that takes less than to do it
    if not text.isprintable() or "  " in text or text[:1] == " " or text[-1:] == " ":
        text = " ".join(text.split())
    return unicodedata.normalize("NFC", text)


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Count the edits that turn ``reference`` into ``hypothesis``.

    Args:
        reference: A string (units are code points) or a list of words.
        hypothesis: The same kind of sequence.

    Returns:
        The counts of one minimal alignment.
    """
    if reference == hypothesis:
        return ErrorCounts(len(reference))
    operations = Levenshtein.editops(reference, hypothesis)
    substitutions, surplus = _substitutions(operations), len(reference) - len(hypothesis)
    insertions = (len(operations) - substitutions - surplus) // 2  # deletions less insertions are the surplus
    return ErrorCounts(len(reference), substitutions, insertions + surplus, insertions)


def count_errors_of_texts(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """Count the errors of many pairs of texts in characters: the counts of :func:`count_errors`, sooner.

    Args:
        references: P texts.
        hypotheses: The hypothesis of each.

    Returns:
        P counts.
    """
    distances, substitutions, _ = levenshtein_substitutions(references, hypotheses)
    n, m = lengths(references), lengths(hypotheses)
    insertions = (distances - substitutions - n + m) // 2  # deletions less insertions is what the reference has more
    columns = (n, substitutions, insertions + n - m, insertions)
    return list(map(ErrorCounts, *(column.tolist() for column in columns)))


def levenshtein_substitutions(
    references: Sequence[str], hypotheses: Sequence[str]
) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Count the substitutions of many pairs of texts, aligning only those where it matters how.

    An alignment with M matches and S substitutions has n + m - 2M - S errors, and at least |n - m| insertions or
    deletions. So those of the least number of errors d have S = n + m - d - 2M, which is at least i - d, where i is
    the distance without substitutions (M at its most), and at most d - |n - m|. Where the two are equal, so are all.

    Args:
        references: P texts.
        hypotheses: The hypothesis of each.

    Returns:
        ``(P,)`` each: Levenshtein distance; substitutions in the alignment of :func:`count_errors`; whether that
        alignment has as many matches as any, of whatever number of errors.
    """
    if not len(references):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    distances, without = (
        cpdist(references, hypotheses, scorer=scorer, dtype=np.int64)
        for scorer in (Levenshtein.distance, Indel.distance)
    )
    least = without - distances
    substitutions = distances - abs(lengths(references) - lengths(hypotheses))
    for i in np.nonzero(least < substitutions)[0].tolist():
        substitutions[i] = _substitutions(Levenshtein.editops(references[i], hypotheses[i]))
    return distances, substitutions, substitutions == least


def lengths(texts: Sequence[str]) -> Ints:
    """Return the length of each text."""
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _substitutions(operations: Editops) -> int:
    return [tag for tag, _, _ in operations.as_list()].count("replace")


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Count character errors of one pair of texts (any form: both are made canonical)."""
    return count_errors(canonical(reference), canonical(hypothesis))
