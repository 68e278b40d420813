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

import functools
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_dro.corpora.ml_superb_labels import few_shot_utterances
from asr_dro.scoring.material import Material
from asr_dro.scoring.summaries import macro_over_corpora

_TAGS = re.compile(r"\[[a-z]{3}\]"), re.compile(r"\[[a-z]{3}_[a-z]{3}\]")  # looked for in this order: [org_jpn]


def score_ml_superb(material: Material) -> dict[str, Any]:
    """Score as ML-SUPERB does.

    Args:
        material: The scored split.

    Returns:
        ``all``, ``normal`` and ``few_shot``, each with ``cer``, its counts, ``lid_accuracy`` and ``n_utterances``.
    """
    few_shot = few_shot_utterances()
    is_few_shot = np.array([utterance.source.language in few_shot for utterance in material.utterances], bool)
    is_right = np.array(
        [
            _is_recognised(material.lines[utterance.source.utt_id], utterance.source.language)
            for utterance in material.utterances
        ],
        bool,
    )
    parts = {"all": np.ones_like(is_few_shot), "normal": ~is_few_shot, "few_shot": is_few_shot}
    return {name: _pooled(part, is_right, material) for name, part in parts.items()}


def score_ml_superb2(material: Material) -> dict[str, Any]:
    """Score as the recipe of CTC-DRO does for ML-SUPERB 2.0.

    An empty reference has no weight there, and its insertions do not count.

    Args:
        material: The scored split.

    Returns:
        ``micro``; ``all`` and ``normal`` (without the few-shot languages, as published), each with what
        :func:`~asr_dro.scoring.summaries.macro_over_corpora` gives.
    """
    totals: dict[str, dict[str, list[int]]] = {}
    if material.has_text:
        length, *errors = material.characters_like_sclite
        for utterance, n, n_errors in zip(material.utterances, length.tolist(), sum(errors).tolist(), strict=True):
            if n:
                by_corpus = totals.setdefault(utterance.source.language, {})
                total = by_corpus.setdefault(merged_corpus(utterance.source.corpus or material.corpus), [0, 0])
                total[0] += n_errors
                total[1] += n
    rates = {
        language: {corpus: n_errors / n for corpus, (n_errors, n) in by_corpus.items()}
        for language, by_corpus in totals.items()
    }
    normal = {language: of_language for language, of_language in rates.items() if language not in few_shot_utterances()}
    both = [sum(column) for column in zip(*(pair for one in totals.values() for pair in one.values()), strict=True)]
    micro = both[0] / both[1] if both else None
    return {"micro": micro, "all": macro_over_corpora(rates), "normal": macro_over_corpora(normal)}


@functools.cache
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


def _is_recognised(line: str, language: str) -> bool:
    tag = f"[{language}]"
    if line.startswith(tag) and _TAGS[0].fullmatch(tag):  # the first of its kind, which goes before others
        return True
    return recognised_tag(line) == tag


def _pooled(part: npt.NDArray[np.bool_], is_right: npt.NDArray[np.bool_], material: Material) -> dict[str, Any]:
    length, *errors = material.characters_like_sclite[:, part].sum(axis=1).tolist()
    n_utterances = int(part.sum())
    return {
        "cer": sum(errors) / length if length else None,
        "reference_length": length,
        **dict(zip(("substitutions", "deletions", "insertions"), errors, strict=True)),
        "lid_accuracy": int((part & is_right).sum()) / n_utterances if n_utterances and material.has_accuracy else None,
        "n_utterances": n_utterances,
    }
