"""Scores as the public scorers of ML-SUPERB give them.

``ml_superb``: sclite's character error rate over all utterances together, and the share of right languages, for all
utterances, for those of normal and for those of few-shot languages. Source: ESPnet, recipe ``ml_superb``: ``score.sh``,
``split_results.py``, ``lid.py``.

``ml_superb2``: the same alignments; the rate of each language and corpus, the mean over a language's corpora, mean and
standard deviation (n - 1) over languages, and the largest gap between two corpora of one language. Source: the recipe
of CTC-DRO, ``score_macro.sh`` and ``multi_superb_score_sd.py``.

Both scorers take their rates from sclite's report, where they are rounded to 0.1 %; the second does so for each single
utterance. Nothing is rounded here, so a figure may differ by 0.05 points of percent, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from asr_dro.corpora.ml_superb_labels import few_shot_utterances
from asr_dro.scoring.error_rate import ErrorCounts
from asr_dro.scoring.material import Material
from asr_dro.scoring.scores import ScoredUtterance
from asr_dro.scoring.summaries import macro_over_corpora
from asr_dro.scoring.tallies import or_none

_TAGS = re.compile(r"\[[a-z]{3}\]"), re.compile(r"\[[a-z]{3}_[a-z]{3}\]")  # looked for in this order: [org_jpn]
_Scored = Sequence[tuple[ScoredUtterance, ErrorCounts]]


def score_ml_superb(material: Material) -> dict[str, Any]:
    """Score as ML-SUPERB does.

    Args:
        material: The scored split.

    Returns:
        ``all``, ``normal`` and ``few_shot``, each with ``cer``, its counts, ``lid_accuracy`` and ``n_utterances``.
    """
    scored = list(zip(material.utterances, material.characters_like_sclite, strict=True))
    few_shot = few_shot_utterances()
    parts = {
        "all": scored,
        "normal": [pair for pair in scored if pair[0].source.language not in few_shot],
        "few_shot": [pair for pair in scored if pair[0].source.language in few_shot],
    }
    return {name: _pooled(part, material) for name, part in parts.items()}


def score_ml_superb2(material: Material) -> dict[str, Any]:
    """Score as the recipe of CTC-DRO does for ML-SUPERB 2.0.

    An empty reference has no weight there, and its insertions do not count.

    Args:
        material: The scored split.

    Returns:
        ``micro``; ``all`` and ``normal`` (without the few-shot languages, as published), each with what
        :func:`~asr_dro.scoring.summaries.macro_over_corpora` gives.
    """
    totals: dict[str, dict[str, ErrorCounts]] = {}
    if material.has_text:
        for utterance, counts in zip(material.utterances, material.characters_like_sclite, strict=True):
            if counts.reference_length:
                by_corpus = totals.setdefault(utterance.source.language, {})
                corpus = merged_corpus(utterance.source.corpus or material.corpus)
                by_corpus[corpus] = by_corpus.get(corpus, ErrorCounts()) + counts
    rates = {
        language: {corpus: counts.rate for corpus, counts in by_corpus.items()}
        for language, by_corpus in totals.items()
    }
    normal = {language: of_language for language, of_language in rates.items() if language not in few_shot_utterances()}
    pooled = _sum(counts for by_corpus in totals.values() for counts in by_corpus.values())
    return {"micro": or_none(pooled.rate), "all": macro_over_corpora(rates), "normal": macro_over_corpora(normal)}


def merged_corpus(corpus: str) -> str:
    """Return one name for both of Google's corpora, ``googlei18n_asr`` and ``googlei18n_tts``; others stay."""
    return "googlei18n" if re.fullmatch(r"googlei18n[-_](asr|tts)", corpus) else corpus


def recognised_tag(line: str) -> str:
    """Return the tag that the benchmark's scorer finds in a hypothesis, wherever it stands; ``[UNK]`` if none."""
    if "[" in line:
        for pattern in _TAGS:
            if match := pattern.search(line):
                return match[0]
    return "[UNK]"


def _pooled(part: _Scored, material: Material) -> dict[str, Any]:
    total = _sum(counts for _, counts in part)
    right = sum(
        recognised_tag(material.lines[utterance.source.utt_id]) == f"[{utterance.source.language}]"
        for utterance, _ in part
    )
    return {
        "cer": or_none(total.rate) if material.has_text else None,
        "reference_length": total.reference_length,
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
        "lid_accuracy": right / len(part) if part and material.is_tagged else None,
        "n_utterances": len(part),
    }


def _sum(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    totals = [0, 0, 0, 0]
    for one in counts:
        totals[0] += one.reference_length
        totals[1] += one.substitutions
        totals[2] += one.deletions
        totals[3] += one.insertions
    return ErrorCounts(*totals)
