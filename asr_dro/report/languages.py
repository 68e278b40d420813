"""Sections on languages: headline, error of each language, table, which language is taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from asr_dro.report import plot
from asr_dro.report.formats import name_of, percent, percent_tick
from asr_dro.report.inputs import Inputs

MAX_BARS = 40  # more languages than this get an overview, and bars for the worst ones only
N_WORST_BARS = 20
MAX_MATRIX = 24  # languages that a confusion matrix can show readably
N_CONFUSIONS = 20  # pairs of languages to list; half as many beside a matrix
NO_TAG = ""  # what utterances.tsv says where the hypothesis has no language tag


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """One language; error rates are fractions of the reference length, ``None`` where unknown."""

    code: str
    name: str
    train_s: float | None
    n_utterances: int
    cer: float | None
    dev_cer: float | None
    wer: float | None
    lid: float | None
    substitutions: float | None
    deletions: float | None
    insertions: float | None
    bar: Markup
    is_worst: bool


def language_rows(inputs: Inputs) -> list[LanguageRow]:
    """Collect what is known of each language, the worst CER first."""
    scores = inputs.main_scores
    cer = scores["cer"]["by_language"]
    dev = _dev_rates(inputs)
    top = max((rate for rate in cer.values() if rate is not None), default=1.0)
    rows = []
    for code, counts in scores["counts"]["by_language"].items():
        length = counts["cer"]["reference_length"]
        rows.append(
            LanguageRow(
                code=code,
                name=name_of(code),
                train_s=inputs.train_s.get(code),
                n_utterances=counts["n_utterances"],
                cer=cer[code],
                dev_cer=dev.get(code),
                wer=scores["wer"]["by_language"][code],
                lid=scores["lid_accuracy"]["by_language"][code],
                substitutions=counts["cer"]["substitutions"] / length if length else None,
                deletions=counts["cer"]["deletions"] / length if length else None,
                insertions=counts["cer"]["insertions"] / length if length else None,
                bar=plot.bar(cer[code], top=top, style="worst" if code == scores["cer"]["worst_language"] else ""),
                is_worst=code == scores["cer"]["worst_language"],
            )
        )
    return sorted(rows, key=lambda row: (1.0 if row.cer is None else -row.cer, row.code))


def error_chart(inputs: Inputs, rows: list[LanguageRow]) -> dict[str, Any]:
    """Prepare the bars of the error per language.

    Args:
        inputs: The report's inputs.
        rows: The languages, worst first.

    Returns:
        ``overview`` (a chart of all, or empty), ``bars`` (row and its picture), ``n_hidden`` languages without a bar.
    """
    mean = inputs.main_scores["cer"]["mean"]
    shown = [row for row in rows if row.cer is not None]
    top = plot.linear_scale([max(row.cer or 0.0, row.dev_cer or 0.0) for row in shown]).high
    overview = Markup()
    if len(shown) > MAX_BARS:
        columns = [
            (f"{row.name} ({row.code}): {percent(row.cer)} %", row.cer or 0.0, row.dev_cer, _style(row))
            for row in shown
        ]
        label = f"Character error rate of {len(shown)} languages, from the worst to the best"
        overview = plot.column_plot(columns, label=label, y_format=percent_tick, mean=mean)
        shown = shown[:N_WORST_BARS]
    bars = [(row, plot.bar(row.cer, top=top, style=_style(row), marker=row.dev_cer, mean=mean)) for row in shown]
    return {"overview": overview, "bars": bars, "n_hidden": len(rows) - len(shown), "has_dev": bool(_dev_rates(inputs))}


def headline(inputs: Inputs) -> dict[str, Any]:
    """Collect the numbers at the top of the report."""
    scores = inputs.main_scores
    worst = scores["cer"]["worst_language"]
    return {
        "split": inputs.sources.main_split,
        "mean": scores["cer"]["mean"],
        "worst": scores["cer"]["worst"],
        "worst_code": worst,
        "worst_name": name_of(worst) if worst else "",
        "sd": scores["cer"]["sd"],
        "lid": scores["lid_accuracy"]["micro"],
        "wer": scores["wer"]["mean"],
        "n_languages": len(scores["cer"]["by_language"]),
        "n_utterances": scores["n_utterances"],
        "train_s": sum(inputs.train_s.values()) if inputs.train_s else None,
    }


def confusion(inputs: Inputs) -> dict[str, Any]:
    """Count which language is taken for which.

    Returns:
        ``pairs``: the most frequent mistakes (language, what it was taken for, utterances, share of the language);
        ``n_pairs``: how many different ones there are; ``matrix``: ``columns`` and ``rows`` of shares for few
        languages, ``None`` for many; ``n_wrong`` utterances.
    """
    totals = Counter(row["language"] for row in inputs.utterances)
    counts = Counter((row["language"], row.get("hypothesis_language", NO_TAG)) for row in inputs.utterances)
    wrong = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    ordered = sorted(wrong.items(), key=lambda item: (-item[1], -item[1] / totals[item[0][0]], item[0]))
    has_matrix = len(totals) <= MAX_MATRIX
    pairs = [
        {"language": true, "taken_for": taken, "n": n, "share": n / totals[true]}
        for (true, taken), n in ordered[: N_CONFUSIONS // 2 if has_matrix else N_CONFUSIONS]
    ]
    matrix = _matrix(totals, counts) if has_matrix else None
    return {"pairs": pairs, "n_pairs": len(wrong), "matrix": matrix, "n_wrong": sum(wrong.values())}


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


def _dev_rates(inputs: Inputs) -> Mapping[str, float | None]:
    """Give the CER of each language on dev, if dev was scored and is not what the report is about."""
    if inputs.sources.main_split == "dev" or "dev" not in inputs.scores:
        return {}
    rates: Mapping[str, float | None] = inputs.scores["dev"]["cer"]["by_language"]
    return rates


def _style(row: LanguageRow) -> str:
    return "worst" if row.is_worst else ""
