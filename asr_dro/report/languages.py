"""Sections on languages: headline, error of each language, table, error against hours of audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from asr_dro.report import plot
from asr_dro.report.formats import duration, interval_text, name_of, percent, percent_tick, script_of_language
from asr_dro.report.inputs import Inputs
from asr_dro.report.intervals import Interval, about_intervals, complement, interval_of, level_of
from asr_dro.report.scales import linear_scale
from asr_dro.report.scatter import Point, scatter_plot

MAX_BARS = 40  # more languages than this get an overview, and bars for the worst ones only
N_WORST_BARS = 20


@dataclass(frozen=True, slots=True)
class Measure:
    """What languages are compared by: the CER, or for labels without text the share of wrong languages.

    Attributes:
        short: Name for heads of columns.
        long: Name for sentences.
        summary: ``mean``, ``sd``, ``worst``, ``worst_language``, ``micro``, ``by_language``: fractions.
        intervals: Confidence intervals of the same numbers but for those of languages; only known ones.
        by_language: Confidence interval of each language; only known ones.
    """

    short: str
    long: str
    summary: Mapping[str, Any]
    intervals: Mapping[str, Interval]
    by_language: Mapping[str, Interval]


def main_measure(scores: Mapping[str, Any]) -> Measure:
    """Choose what languages are compared by."""
    accuracy = scores["lid_accuracy"]
    if scores["cer"]["mean"] is not None or accuracy["micro"] is None:
        return Measure("CER", "character error rate", scores["cer"], *_intervals(scores, "cer", scores["cer"]))
    summary: dict[str, Any] = {name: _wrong(accuracy[name]) for name in ("mean", "worst", "micro")}
    summary |= {name: accuracy[name] for name in ("sd", "worst_language")}
    summary["by_language"] = {name: _wrong(value) for name, value in accuracy["by_language"].items()}
    long = "share of utterances that were given a wrong language"
    return Measure("LID error", long, summary, *_intervals(scores, "lid_accuracy", summary))


def _intervals(
    scores: Mapping[str, Any], metric: str, summary: Mapping[str, Any]
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Read the known intervals of the summary and of the languages; those of an accuracy become its errors'."""

    def read(*path: str) -> Interval | None:
        found = interval_of(scores, metric, *path)
        return complement(found) if metric == "lid_accuracy" and path != ("sd",) else found

    over = {name: found for name in ("mean", "sd", "worst", "worst15", "micro") if (found := read(name))}
    each = {code: found for code in summary["by_language"] if (found := read("by_language", code))}
    return over, each


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
    interval: Interval | None
    script: str


def language_rows(inputs: Inputs) -> list[LanguageRow]:
    """Collect what is known of each language, the worst first."""
    scores = inputs.main_scores
    measure = main_measure(scores)
    errors, worst = measure.summary["by_language"], measure.summary["worst_language"]
    dev = _dev_rates(inputs)
    ends = [high for _, high in measure.by_language.values()]
    top = max([*(rate for rate in errors.values() if rate is not None), *ends], default=1.0)
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
                bar=plot.bar(
                    errors[code],
                    top=top,
                    style="worst" if code == worst else "",
                    interval=measure.by_language.get(code),
                ),
                is_worst=code == worst,
                interval=measure.by_language.get(code),
                script=script_of_language(code),
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
    tops = [max(row.error or 0.0, row.dev_error or 0.0, *(row.interval or (0.0,))) for row in shown]
    top = linear_scale(tops).high
    overview = Markup()
    if len(shown) > MAX_BARS:
        label = f"{measure.long.capitalize()} of {len(shown)} languages, from the worst to the best"
        overview = plot.column_plot(list(map(_column, shown)), label=label, y_format=percent_tick, mean=mean)
        shown = shown[:N_WORST_BARS]
    bars = [
        (row, plot.bar(row.error, top=top, style=_style(row), marker=row.dev_error, mean=mean, interval=row.interval))
        for row in shown
    ]
    return {"overview": overview, "bars": bars, "n_hidden": len(rows) - len(shown), "has_dev": bool(_dev_rates(inputs))}


def _column(row: LanguageRow) -> plot.Column:
    """Make a language's bar of the overview: with its interval or else its error on dev: both make a thicket."""
    marker = None if row.interval else row.dev_error
    return plot.Column(row.code, _note(row), row.error or 0.0, _style(row), marker, row.interval)


def _note(row: LanguageRow) -> str:
    """Write the tool tip of a language's mark."""
    interval = f" ({interval_text(row.interval)})" if row.interval else ""
    return f"{row.name} ({row.code}): {percent(row.error)} %{interval}"


def error_against_hours(inputs: Inputs, rows: list[LanguageRow]) -> dict[str, Any] | None:
    """Prepare the chart of error against hours of training audio.

    Args:
        inputs: The report's inputs.
        rows: The languages.

    Returns:
        ``chart`` (empty where there is nothing to see: fewer than three languages, or all with as much audio),
        ``n_without``: languages without audio or without an error rate; ``None`` if no amount of audio is known.
    """
    if not inputs.train_s:
        return None
    measure = main_measure(inputs.main_scores)
    points = [
        Point(
            code=row.code,
            name=row.name,
            note=f"{_note(row)}, {duration(row.train_s)} of training audio, {row.script or 'script not known'}",
            hours=row.train_s / 3600,
            error=row.error,
            script=row.script or "script not known",
            is_worst=row.is_worst,
        )
        for row in rows
        if row.error is not None and row.train_s
    ]
    label = f"{measure.long.capitalize()} of {len(points)} languages against their hours of training audio"
    chart = scatter_plot(points, label=label, error_name=f"{measure.short} on {inputs.sources.main_split}")
    return {"chart": chart, "n_without": len(rows) - len(points)}


def headline(inputs: Inputs) -> dict[str, Any]:
    """Collect the numbers at the top of the report."""
    scores = inputs.main_scores
    measure = main_measure(scores)
    summary, worst = measure.summary, measure.summary["worst_language"]
    return {
        "split": inputs.sources.main_split,
        "mean": summary["mean"],
        "worst": summary["worst"],
        "worst_code": worst,
        "worst_name": name_of(worst) if worst else "",
        "sd": summary["sd"],
        "intervals": measure.intervals,
        "level": level_of(scores),
        "about": about_intervals(scores, "cer" if measure.short == "CER" else "lid_accuracy"),
        "lid": scores["lid_accuracy"]["micro"],
        "wer": scores["wer"]["mean"],
        "n_languages": len(scores["cer"]["by_language"]),
        "n_utterances": scores["n_utterances"],
        "train_s": sum(inputs.train_s.values()) if inputs.train_s else None,
    }


def _dev_rates(inputs: Inputs) -> Mapping[str, float | None]:
    """Give the error of each language on dev, if dev was scored and is not what the report is about."""
    if inputs.sources.main_split == "dev" or "dev" not in inputs.scores:
        return {}
    rates: Mapping[str, float | None] = main_measure(inputs.scores["dev"]).summary["by_language"]
    return rates


def _style(row: LanguageRow) -> str:
    return "worst" if row.is_worst else ""
