"""Section on language identification: which language is taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from asr_dro.report.inputs import Inputs

MAX_MATRIX = 24  # languages that a confusion matrix can show readably
N_CONFUSIONS = 20  # pairs of languages to list; half as many beside a matrix
N_TAKEN_FOR = 3  # languages to name beside each of many
NO_TAG = ""  # what utterances.tsv says where the hypothesis has no language tag


def confusion(inputs: Inputs) -> dict[str, Any] | None:
    """Count which language is taken for which; ``None`` where labels have no language tag.

    Returns:
        ``pairs``: the most frequent mistakes (language, what it was taken for, utterances, share of the language);
        ``n_pairs``: how many different ones there are; ``matrix``: ``columns`` and ``rows`` of shares for few
        languages, ``None`` for many; ``languages``: a row for each language with mistakes, for many languages;
        ``n_wrong`` utterances.
    """
    if inputs.main_scores["lid_accuracy"]["micro"] is None:
        return None
    totals = Counter(row["language"] for row in inputs.utterances)
    counts = Counter((row["language"], row.get("hypothesis_language", NO_TAG)) for row in inputs.utterances)
    wrong = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    ordered = sorted(wrong.items(), key=lambda item: (-item[1], -item[1] / totals[item[0][0]], item[0]))
    has_matrix = len(totals) <= MAX_MATRIX
    pairs = [
        {"language": true, "taken_for": taken, "n": n, "share": n / totals[true]}
        for (true, taken), n in ordered[: N_CONFUSIONS // 2 if has_matrix else N_CONFUSIONS]
    ]
    return {
        "pairs": pairs,
        "n_pairs": len(wrong),
        "matrix": _matrix(totals, counts) if has_matrix else None,
        "languages": [] if has_matrix else _languages(totals, wrong),
        "n_wrong": sum(wrong.values()),
    }


def _languages(totals: Mapping[str, int], wrong: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Say of each language how often it is missed, what it is taken for, and how often others are taken for it."""
    missed, gained = Counter[str](), Counter[str]()
    labels: dict[str, list[tuple[int, str]]] = {}
    for (true, taken), n in wrong.items():
        labels.setdefault(true, []).append((n, taken))
        missed[true] += n
        gained[taken] += n
    rows = []
    for code in sorted(totals):
        taken_for = sorted(labels.get(code, ()), key=_most_first)
        if taken_for or gained[code]:
            top = [{"code": taken, "share": n / totals[code]} for n, taken in taken_for[:N_TAKEN_FOR]]
            row = {"code": code, "missed": missed[code], "share": missed[code] / totals[code], "gained": gained[code]}
            rows.append({**row, "taken_for": top, "n_more": max(0, len(taken_for) - N_TAKEN_FOR)})
    return sorted(rows, key=lambda row: (-row["share"], row["code"]))


def _most_first(item: tuple[int, str]) -> tuple[int, str]:
    return -item[0], item[1]


def _matrix(totals: Mapping[str, int], counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Lay out shares: a row per language, a column per label that was recognised, "none" last."""
    foreign = {taken for _, taken in counts} - set(totals) - {NO_TAG}
    columns = [*sorted(totals), *sorted(foreign), *([NO_TAG] if any(taken == NO_TAG for _, taken in counts) else [])]
    rows = [
        {
            "language": true,
            "cells": [
                {
                    "n": counts.get((true, taken), 0),
                    "share": counts.get((true, taken), 0) / totals[true],
                    "taken": taken,
                }
                for taken in columns
            ],
        }
        for true in sorted(totals)
    ]
    return {"columns": columns, "rows": rows}
