"""Table of the corpora that a test set was gathered from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asr_dro.report.formats import number
from asr_dro.report.inputs import Inputs
from asr_dro.report.intervals import interval_of


def corpus_rows(inputs: Inputs) -> list[dict[str, Any]]:
    """List the corpora, the one with most errors first.

    Args:
        inputs: The report's inputs; older scores do not tell corpora apart.

    Returns:
        ``name``, ``cer``, ``interval`` (of the CER, or ``None``), ``wer``, ``lid``, ``n_languages``, ``n_utterances``;
        nothing if there is one corpus only.
    """
    scores = inputs.main_scores
    corpora = scores.get("by_corpus")
    if not isinstance(corpora, Mapping) or len(corpora) < 2:
        return []
    pairs = (scores.get("counts") or {}).get("by_language_and_corpus") or {}
    rows = [
        {
            "name": name,
            **{key: number(rates.get(key)) for key in ("cer", "wer", "lid", "n_utterances")},
            "interval": interval_of(scores, "cer", "by_corpus", name),
            "n_languages": sum(name in of for of in pairs.values()) if pairs else None,
        }
        for name, rates in corpora.items()
        if isinstance(rates, Mapping)
    ]
    return sorted(rows, key=lambda row: (1.0 if row["cer"] is None else -row["cer"], row["name"]))


def largest_gap(inputs: Inputs) -> dict[str, Any] | None:
    """Name the language whose corpora differ most, ``{"language", "points"}``; ``None`` if none has several."""
    macro = ((inputs.main_scores.get("macro_corpus") or {}).get("cer")) or {}
    language, points = macro.get("largest_gap_language"), number(macro.get("largest_gap"))
    return {"language": language, "points": points} if language and points else None
