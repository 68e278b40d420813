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

from rapidfuzz.distance import Levenshtein


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
    return unicodedata.normalize("NFC", " ".join(text.split()))


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
    tags = [tag for tag, _, _ in Levenshtein.editops(reference, hypothesis).as_list()]
    substitutions, surplus = tags.count("replace"), len(reference) - len(hypothesis)
    insertions = (len(tags) - substitutions - surplus) // 2  # deletions less insertions is what the reference has more
    return ErrorCounts(len(reference), substitutions, insertions + surplus, insertions)


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Count character errors of one pair of texts (any form: both are made canonical)."""
    return count_errors(canonical(reference), canonical(hypothesis))
