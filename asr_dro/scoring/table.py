"""The table of scores that a terminal shows."""

from __future__ import annotations

import unicodedata
from typing import Any

from asr_dro.data.languages import languages

NAME_WIDTH = 24


def format_table(scores: dict[str, Any], *, title: str) -> str:
    """Lay out the scores of one split for the terminal; percent with one decimal.

    Args:
        scores: What ``scores.json`` holds.
        title: First words of the headline, e.g. the split.

    Returns:
        Lines with a final line break; the worst language is marked, by CER or, where there is none, by LID.
    """
    cer, wer, lid = scores["cer"], scores["wer"], scores["lid_accuracy"]
    counts = scores["counts"]["by_language"]
    worst, measure = (cer["worst_language"], "CER") if cer["worst_language"] else (lid.get("worst_language"), "LID")
    lines = [
        f"{title}: {len(counts)} languages, {scores['n_utterances']} utterances",
        _row("language", "CER %", "WER %", "LID %", "utterances"),
    ]
    for language in cer["by_language"]:
        values = [percent(metric["by_language"][language]) for metric in (cer, wer, lid)]
        mark = f"  <- worst {measure}" if language == worst and len(counts) > 1 else ""
        label = f"{language}  {language_name(language)}".rstrip()
        lines.append(_row(label, *values, str(counts[language]["n_utterances"])) + mark)
    lines.append(_row("mean of languages", *(percent(metric["mean"]) for metric in (cer, wer, lid)), ""))
    lines.append(_row("sd over languages", *(percent(metric["sd"]) for metric in (cer, wer, lid)), ""))
    lines.append(_row("all utterances (micro)", *(percent(metric["micro"]) for metric in (cer, wer, lid)), ""))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def percent(fraction: float | None, decimals: int = 1) -> str:
    """Format a fraction as percent, ``-`` if there is none."""
    return "-" if fraction is None else f"{100 * fraction:.{decimals}f}"


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
