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
from asr_dro.report.scales import linear_scale

MAX_BARS = 40  # more languages than this get an overview, and bars for the worst ones only
N_WORST_BARS = 20
MAX_MATRIX = 24  # languages that a confusion matrix can show readably
N_CONFUSIONS = 20  # pairs of languages to list; half as many beside a matrix
NO_TAG = ""  # what utterances.tsv says where the hypothesis has no language tag


@dataclass(frozen=True, slots=True)
class Measure:
    """What languages are compared by: the CER, or for labels without text the share of wrong languages.

    Attributes:
        short: Name for heads of columns.
        long: Name for sentences.
        summary: ``mean``, ``sd``, ``worst``, ``worst_language``, ``micro``, ``by_language``: fractions.
    """

    short: str
    long: str
    summary: Mapping[str, Any]


def main_measure(scores: Mapping[str, Any]) -> Measure:
    """Choose what languages are compared by."""
    accuracy = scores["lid_accuracy"]
    if scores["cer"]["mean"] is not None or accuracy["micro"] is None:
        return Measure("CER", "character error rate", scores["cer"])
    summary: dict[str, Any] = {name: _wrong(accuracy[name]) for name in ("mean", "worst", "micro")}
    summary |= {name: accuracy[name] for name in ("sd", "worst_language")}
    summary["by_language"] = {name: _wrong(value) for name, value in accuracy["by_language"].items()}
    return Measure("LID error", "share of utterances that were given a wrong language", summary)


def _wrong(accuracy: float | None) -> float | None:
    return None if accuracy is None else 1 - accuracy


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """One language; error rates are fractions, ``None`` where unknown; ``error`` is that of the main measure."""

    code: str
    name: str
    train_s: float | None
    n_utterances: int
    error: float | None
    dev_error: float | None
    wer: float | None
    lid: float | None
    substitutions: float | None
    deletions: float | None
    insertions: float | None
    bar: Markup
    is_worst: bool


def language_rows(inputs: Inputs) -> list[LanguageRow]:
    """Collect what is known of each language, the worst first."""
    scores = inputs.main_scores
    summary = main_measure(scores).summary
    errors, worst = summary["by_language"], summary["worst_language"]
    dev = _dev_rates(inputs)
    top = max((rate for rate in errors.values() if rate is not None), default=1.0)
    rows = []
    for code, counts in scores["counts"]["by_language"].items():
        length = counts["cer"]["reference_length"]
        rows.append(
            LanguageRow(
                code=code,
                name=name_of(code),
                train_s=inputs.train_s.get(code),
                n_utterances=counts["n_utterances"],
                error=errors[code],
                dev_error=dev.get(code),
                wer=scores["wer"]["by_language"][code],
                lid=scores["lid_accuracy"]["by_language"][code],
                substitutions=counts["cer"]["substitutions"] / length if length else None,
                deletions=counts["cer"]["deletions"] / length if length else None,
                insertions=counts["cer"]["insertions"] / length if length else None,
                bar=plot.bar(errors[code], top=top, style="worst" if code == worst else ""),
                is_worst=code == worst,
            )
        )
    return sorted(rows, key=lambda row: (1.0 if row.error is None else -row.error, row.code))


def error_chart(inputs: Inputs, rows: list[LanguageRow]) -> dict[str, Any]:
    """Prepare the bars of the error per language.

    Args:
        inputs: The report's inputs.
        rows: The languages, worst first.

    Returns:
        ``overview`` (a chart of all, or empty), ``bars`` (row and its picture), ``n_hidden`` languages without a bar.
    """
    measure = main_measure(inputs.main_scores)
    mean = measure.summary["mean"]
    shown = [row for row in rows if row.error is not None]
    top = linear_scale([max(row.error or 0.0, row.dev_error or 0.0) for row in shown]).high
    overview = Markup()
    if len(shown) > MAX_BARS:
        columns = [
            (f"{row.name} ({row.code}): {percent(row.error)} %", row.error or 0.0, row.dev_error, _style(row))
            for row in shown
        ]
        label = f"{measure.long.capitalize()} of {len(shown)} languages, from the worst to the best"
        overview = plot.column_plot(columns, label=label, y_format=percent_tick, mean=mean)
        shown = shown[:N_WORST_BARS]
    bars = [(row, plot.bar(row.error, top=top, style=_style(row), marker=row.dev_error, mean=mean)) for row in shown]
    return {"overview": overview, "bars": bars, "n_hidden": len(rows) - len(shown), "has_dev": bool(_dev_rates(inputs))}


def headline(inputs: Inputs) -> dict[str, Any]:
    """Collect the numbers at the top of the report."""
    scores = inputs.main_scores
    summary = main_measure(scores).summary
    worst = summary["worst_language"]
    return {
        "split": inputs.sources.main_split,
        "mean": summary["mean"],
        "worst": summary["worst"],
        "worst_code": worst,
        "worst_name": name_of(worst) if worst else "",
        "sd": summary["sd"],
        "lid": scores["lid_accuracy"]["micro"],
        "wer": scores["wer"]["mean"],
        "n_languages": len(scores["cer"]["by_language"]),
        "n_utterances": scores["n_utterances"],
        "train_s": sum(inputs.train_s.values()) if inputs.train_s else None,
    }


def confusion(inputs: Inputs) -> dict[str, Any] | None:
    """Count which language is taken for which; ``None`` where labels have no language tag.

    Returns:
        ``pairs``: the most frequent mistakes (language, what it was taken for, utterances, share of the language);
        ``n_pairs``: how many different ones there are; ``matrix``: ``columns`` and ``rows`` of shares for few
        languages, ``None`` for many; ``n_wrong`` utterances.
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
    """Give the error of each language on dev, if dev was scored and is not what the report is about."""
    if inputs.sources.main_split == "dev" or "dev" not in inputs.scores:
        return {}
    rates: Mapping[str, float | None] = main_measure(inputs.scores["dev"]).summary["by_language"]
    return rates


def _style(row: LanguageRow) -> str:
    return "worst" if row.is_worst else ""
