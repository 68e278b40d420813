"""Tables of what a test set consists of beside languages: the corpora it was gathered from, and groups."""

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
    """Name the language whose corpora differ most.

    Returns:
        ``language``, ``points``, ``interval`` (or ``None``); ``None`` if no language has several corpora.
    """
    macro = ((inputs.main_scores.get("macro_corpus") or {}).get("cer")) or {}
    language, points = macro.get("largest_gap_language"), number(macro.get("largest_gap"))
    if not language or not points:
        return None
    interval = interval_of(inputs.main_scores, "macro_corpus", "cer", "largest_gap")
    return {"language": language, "points": points, "interval": interval}


def group_table(inputs: Inputs) -> dict[str, Any] | None:
    """List the groups, the one with most errors first.

    Returns:
        ``rows`` with ``name``, ``cer``, ``interval`` and ``wer``; ``mean`` and ``worst`` of the CER, with
        ``mean_interval``, ``worst_interval`` and ``worst_group``. ``None`` if the groups are the languages.
    """
    scores = inputs.main_scores
    groups = scores.get("groups")
    if not isinstance(groups, Mapping):
        return None
    cer, wer = groups["cer"], groups["wer"]
    rows = [
        {
            "name": name,
            "cer": number(rate),
            "interval": interval_of(scores, "groups", "cer", "by_group", name),
            "wer": number(wer["by_group"].get(name)),
        }
        for name, rate in cer["by_group"].items()
    ]
    over = {name: number(cer[name]) for name in ("mean", "worst")}
    over_intervals = {f"{name}_interval": interval_of(scores, "groups", "cer", name) for name in over}
    rows.sort(key=lambda row: (1.0 if row["cer"] is None else -row["cer"], row["name"]))
    return {"rows": rows, **over, **over_intervals, "worst_group": cer["worst_group"]}
