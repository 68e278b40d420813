"""The table of scores that a terminal shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from asr_dro.data.languages import languages
from asr_dro.scoring.files import GIVEN
from asr_dro.scoring.summaries import N_WORST

NAME_WIDTH = 24


def format_table(scores: dict[str, Any], *, title: str) -> str:
    """Lay out the scores of one split for the terminal; percent with one decimal.

    The worst language comes last, next to the summary: that is what a terminal still shows of 143 rows.

    Args:
        scores: What ``scores.json`` holds.
        title: First words of the headline, e.g. the split.

    Returns:
        Lines with a final line break; the worst language is marked, by CER or, where there is none, by LID.
    """
    cer, wer, lid = scores["cer"], scores["wer"], scores["lid_accuracy"]
    counts, is_given = scores["counts"]["by_language"], scores.get("languages") == GIVEN
    worst, measure = (cer["worst_language"], "CER") if cer["worst_language"] else (lid.get("worst_language"), "LID")
    lines = [
        f"{title}: {len(counts)} languages, {scores['n_utterances']} utterances",
        _row("language", "CER %", "WER %", "LID %", "utterances"),
    ]
    for language in _from_best_to_worst(
        cer if cer["worst_language"] else lid, best=min if cer["worst_language"] else max
    ):
        rates = [percent(metric["by_language"][language]) for metric in (cer, wer)]
        values = [*rates, GIVEN if is_given else percent(lid["by_language"][language])]
        mark = f"  <- worst {measure}" if language == worst and len(counts) > 1 else ""
        label = f"{language}  {language_name(language)}".rstrip()
        lines.append(_row(label, *values, str(counts[language]["n_utterances"])) + mark)
    return "\n".join(line.rstrip() for line in [*lines, *_summary(scores)]) + "\n"


def format_profile(scores: dict[str, Any], name: str) -> str:
    """Lay out what one metric profile says, one number per line; languages are left to ``scores.json``.

    Args:
        scores: What ``scores.json`` holds.
        name: The profile.

    Returns:
        Lines with a final line break; rates in percent with two decimals.
    """
    lines = [f"  profile {name}"]
    for key, value in _flat(scores["profiles"][name]):
        shown = percent(value, 2) + " %" if isinstance(value, float) else "-" if value is None else str(value)
        lines.append(f"    {key:<28} {shown:>10}")
    return "\n".join(lines) + "\n"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            if not key.startswith("by_"):
                yield from _flat(value, f"{prefix}{key} ")
        else:
            yield prefix + key, value


def _from_best_to_worst(metric: dict[str, Any], *, best: Callable[..., Any]) -> list[str]:
    """Order languages by their number, those without one at the end."""
    rates = metric["by_language"]
    known = sorted((name for name in rates if rates[name] is not None), key=rates.__getitem__, reverse=best is max)
    return known + [name for name in rates if rates[name] is None]


def _summary(scores: dict[str, Any]) -> Iterator[str]:
    """Yield the rows that compare languages, with the interval of the CER where it is known."""
    metrics = [scores[name] for name in ("cer", "wer", "lid_accuracy")]
    n_worst = metrics[0].get("n_worst15") or metrics[2].get("n_worst15")
    labels = {
        "mean": "mean of languages",
        "sd": "sd over languages",
        "worst15": f"mean of the worst {n_worst}",
        "best": "best language",
        "worst": "worst language",
        "micro": "all utterances (micro)",
    }
    if len(scores["counts"]["by_language"]) <= N_WORST:
        del labels["worst15"]  # it is the mean
    intervals = scores.get("intervals") or {}
    for key, label in labels.items():
        if all(key in metric for metric in metrics):  # older scores lack some
            interval = (intervals.get("cer") or {}).get(key)
            note = f"  CER {percent(interval[0])} to {percent(interval[1])}" if interval else ""
            yield _row(label, *(percent(metric[key]) for metric in metrics), "") + note
    if intervals.get("cer"):
        yield f"  CER a to b: {percent(intervals['level'], 0)} % bootstrap interval"


def percent(fraction: float | None, decimals: int = 1) -> str:
    """Format a fraction as percent, ``-`` if there is none."""
    return "-" if fraction is None else f"{100 * fraction:.{decimals}f}"


def signed(value: float, decimals: int) -> str:
    """Format a number that may be negative: with its sign, the true minus; without one if it is zero as shown."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def language_name(code: str) -> str:
    """Give the English name of a language, empty if unknown."""
    language = languages().get(code)
    return language.name if language else ""


def _row(label: str, *values: str) -> str:
    """Lay out one line: label, three numbers, number of utterances."""
    cer, wer, lid, n_utterances = values
    return f"  {_fit(label)} {cer:>6} {wer:>6} {lid:>6} {n_utterances:>11}"


def _fit(label: str) -> str:
    """Cut or pad to the column's width; combining marks take no room on a terminal."""
    shown = ""
    width = 0
    for character in label:
        width += not unicodedata.combining(character)
        if width > NAME_WIDTH:
            return shown[:-1] + "…"
        shown += character
    return shown + " " * (NAME_WIDTH - width)
