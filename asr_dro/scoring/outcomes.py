"""What a system did with each utterance, as arrays of integers: the input of everything that resamples utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr_dro.errors import UserError, first_of
from asr_dro.experiment import UTTERANCES
from asr_dro.scoring.files import iterate_tsv

if TYPE_CHECKING:
    from asr_dro.scoring.scores import ScoredUtterance

Ints = NDArray[np.int64]

METRICS = ("cer", "wer", "lid")  # character and word error rate, share of utterances whose language is right
_CHARACTERS, _WORDS = ("char_sub", "char_del", "char_ins"), ("word_sub", "word_del", "word_ins")
_COUNTS = ("ref_chars", *_CHARACTERS, "ref_words", *_WORDS)
_COLUMNS = ("utt_id", "language", "group", "speaker", "reference", "hypothesis_language", *_COUNTS)


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of one system on N utterances.

    Attributes:
        utt_ids: Names of the utterances, each once.
        languages: Language of each utterance.
        corpora: Corpus of each utterance.
        groups: Group of each utterance; the language by default.
        speakers: Speaker of each utterance.
        references: Reference of each utterance, in the form that was scored.
        counts: ``(N, 6)``: a numerator and a denominator for each of ``METRICS``: character errors and characters, word
            errors and words, right language (1 or 0) and 1.
        is_tagged: Whether any hypothesis names a language.
    """

    utt_ids: Sequence[str]
    languages: Sequence[str]
    corpora: Sequence[str]
    groups: Sequence[str]
    speakers: Sequence[str]
    references: Sequence[str]
    counts: Ints
    is_tagged: bool

    def of_metric(self, metric: str) -> Ints:
        """Return numerators and denominators of one of ``METRICS``, ``(N, 2)``."""
        first = 2 * METRICS.index(metric)
        return self.counts[:, first : first + 2]


def outcomes_of(utterances: Sequence[ScoredUtterance], corpus: str = "all") -> Outcomes:
    """Take the outcomes from scored utterances.

    Args:
        utterances: The utterances in any order.
        corpus: The corpus of utterances that do not know theirs.

    Returns:
        Outcomes in the same order.
    """
    characters, words = [item.characters for item in utterances], [item.words for item in utterances]
    columns = (
        *([item.errors for item in characters], [item.reference_length for item in characters]),
        *([item.errors for item in words], [item.reference_length for item in words]),
        *([item.language_is_right for item in utterances], [1] * len(utterances)),
    )
    return Outcomes(
        utt_ids=[item.source.utt_id for item in utterances],
        languages=[item.source.language for item in utterances],
        corpora=[item.source.corpus or corpus for item in utterances],
        groups=[item.source.group for item in utterances],
        speakers=[item.source.speaker for item in utterances],
        references=[item.reference for item in utterances],
        counts=np.stack([np.array(column, dtype=np.int64) for column in columns], axis=1),
        is_tagged=any(item.hypothesis.language is not None for item in utterances),
    )


def read_outcomes(path: Path) -> Outcomes:
    """Read the outcomes that stage 6 left behind.

    Args:
        path: ``utterances.tsv`` or the folder that holds it.

    Returns:
        Outcomes in the file's order.

    Raises:
        UserError: If the file or one of its columns is missing, a count is no number, or an utterance is there twice.
    """
    path = path / UTTERANCES if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{path}: no such file; score this split first (stage 6)")
    rows = list(iterate_tsv(path, _COLUMNS))
    try:
        numbers = np.array([[int(row[name]) for name in _COUNTS] for row in rows], dtype=np.int64)
    except ValueError as error:
        raise UserError(f"{path}: counts of errors must be whole numbers ({error}); score this split again") from error
    numbers = numbers.reshape(-1, len(_COUNTS))
    utt_ids = [row["utt_id"] for row in rows]
    if twice := [utt for utt, times in Counter(utt_ids).items() if times > 1]:
        raise UserError(f"{path}: {len(twice)} utterances are there more than once: {first_of(sorted(twice))}")
    right = np.array([row["hypothesis_language"] == row["language"] for row in rows], dtype=np.int64)
    counts = (numbers[:, 1:4].sum(1), numbers[:, 0], numbers[:, 5:8].sum(1), numbers[:, 4], right, np.ones_like(right))
    return Outcomes(
        utt_ids=utt_ids,
        languages=[row["language"] for row in rows],
        corpora=[row.get("corpus") or "all" for row in rows],
        groups=[row["group"] for row in rows],
        speakers=[row["speaker"] for row in rows],
        references=[row["reference"] for row in rows],
        counts=np.stack(counts, axis=1),
        is_tagged=any(row["hypothesis_language"] for row in rows),
    )
