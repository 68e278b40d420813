"""Outcomes of systems for tests of intervals and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.error_rate import ErrorCounts
from asr_dro.scoring.hypotheses import Hypothesis
from asr_dro.scoring.outcomes import Ints, Outcomes, outcomes_of
from asr_dro.scoring.scores import ScoredUtterance


class Row(NamedTuple):
    """One utterance: its name, where it belongs, character errors and characters, recognised language."""

    utt: str
    language: str
    errors: int
    length: int
    speaker: str = ""
    corpus: str = ""
    group: str = ""
    recognised: str | None = None


def scored(rows: Sequence[Row]) -> list[ScoredUtterance]:
    """Make scored utterances; words have the same counts as characters."""
    utterances = []
    for row in rows:
        source = Utterance(
            row.utt,
            f"{row.utt}.flac",
            row.utt,
            row.speaker or row.utt,
            row.language,
            row.group or row.language,
            1.0,
            row.corpus,
        )
        counts = ErrorCounts(row.length, row.errors)
        hypothesis = Hypothesis("", row.recognised or row.language)
        utterances.append(ScoredUtterance(source, row.utt, hypothesis, counts, counts))
    return utterances


def outcomes_of_rows(rows: Sequence[Row]) -> Outcomes:
    """Make outcomes of rows."""
    return outcomes_of(scored(rows))


def outcomes(languages: Sequence[str], counts: Ints, speakers: Sequence[str] | None = None) -> Outcomes:
    """Make outcomes; ``counts`` is ``(N, 2)``, character errors and characters."""
    utt_ids = [f"u{number}" for number in range(len(languages))]
    all_counts = np.zeros((len(languages), 6), dtype=np.int64)
    all_counts[:, :2], all_counts[:, 5] = counts, 1
    return Outcomes(
        utt_ids, languages, ["all"] * len(utt_ids), languages, speakers or utt_ids, utt_ids, all_counts, False
    )


def overdispersed(rate: float, number: int, rng: np.random.Generator) -> Ints:
    """Draw ``(number, 2)`` errors and lengths: each utterance has a rate of its own around ``rate``."""
    lengths = np.maximum(1, rng.lognormal(3.6, 0.5, number)).astype(np.int64)
    errors = rng.binomial(lengths, rng.beta(4 * rate, 4 * (1 - rate), number))
    return np.stack([errors, lengths], axis=1)


def inside(value: float, interval: Sequence[float]) -> bool:
    """Tell whether an interval, its ends included, holds a value."""
    return interval[0] <= value <= interval[1]
