"""The analysis in words, for a terminal and for the report; it needs none of what computes it."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from asr_dro.scoring.table import percent, signed
from asr_dro.scripts import script_name

WIDTH = 116
N_SUSPECTS = 10
N_CONFUSIONS = 6
_MARK = "  - "


def format_analysis(analysis: Mapping[str, Any], *, languages: Sequence[str] | None = None) -> str:
    """Lay out an analysis: languages with what stands out, what goes together across languages, suspects.

    Args:
        analysis: What ``analysis.json`` holds.
        languages: Those to show; None: the bad ones.

    Returns:
        Lines with a final line break.
    """
    entries = analysis["languages"]
    shown = [entry for entry in entries if (entry["is_bad"] if languages is None else entry["language"] in languages)]
    measure = "CER" if analysis["measure"] == "cer" else "LID error"
    lines = [f"{analysis['split']}: {len(entries)} languages, mean {measure} {percent(analysis['mean'])} %"]
    for entry in shown:
        lines += ["", *_language(entry, measure, analysis["mean"])]
    lines += ["", "Across languages (association, not cause; p-values adjusted by Holm's method)"]
    lines += [line for one in analysis["associations"] for line in _item(_association(one))]
    if not analysis["associations"]:
        lines += _item(why_no_associations(analysis))
    lines += ["", *_suspects(analysis, None if languages is None else set(languages))]
    return "\n".join(lines) + "\n"


def why_no_associations(analysis: Mapping[str, Any]) -> str:
    """Say why there are no associations across languages."""
    n = sum(entry["error"] is not None for entry in analysis["languages"])
    fewest = analysis["fewest_languages_to_associate"]
    if n >= fewest:
        return "all that is known of the languages is the same in all of them"
    return f"{n} languages are too few to say what goes together with errors; it takes {fewest}"


def correlation_in_words(one: Mapping[str, Any]) -> tuple[str, str]:
    """Write a correlation, and its interval."""
    low, high = (signed(value, 2) for value in one["interval"])
    return signed(one["rho"], 2), f"{low} to {high}"


def p_in_words(value: float) -> str:
    """Write a p-value as a comparison or a number."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def time_in_words(hours: float) -> str:
    """Write hours, in minutes where they are few."""
    return f"{hours:.3g} h" if hours >= 1 or hours == 0 else f"{60 * hours:.2g} min"


def facts_in_words(entry: Mapping[str, Any]) -> str:
    """Say what is known of a language's data in one line."""
    numbers = entry["numbers"]
    parts = []
    for name, unit in (
        ("training_hours", ""),
        ("training_utterances", "utterances"),
        ("training_speakers", "speakers"),
    ):
        if numbers.get(name) is not None:
            parts.append(f"{numbers[name]:,.0f} {unit}" if unit else time_in_words(numbers[name]))
    text = f"training: {', '.join(parts)}" if parts else ""
    parts = [f"{entry['n_utterances']:,} utterances"]
    if numbers.get("duration_s") is not None:
        parts.append(f"{numbers['duration_s']:.1f} s in the mean")
    if numbers.get("characters_per_s") is not None:
        parts.append(f"{numbers['characters_per_s']:.1f} characters/s")
    here = f"scored: {', '.join(parts)}"
    script = f"script: {script_name(entry['script'])}" if entry["script"] else ""
    return "; ".join(part for part in (text, here, script) if part)


def kinds_in_words(entry: Mapping[str, Any], n: int = N_CONFUSIONS) -> str:
    """Say how errors split into kinds and which characters they hit; empty without text or errors."""
    numbers = entry["numbers"]
    if numbers.get("substitution_share") is None:
        return ""
    shares = [f"{percent(numbers[f'{kind}_share'], 0)} % {kind}s" for kind in ("substitution", "deletion", "insertion")]
    text = f"errors: {', '.join(shares)}"
    pairs = [_confusion(one) for one in entry["confusions"][:n]]
    return f"{text}; most frequent: {', '.join(pairs)}" if pairs else text


def _language(entry: Mapping[str, Any], measure: str, mean: float | None) -> list[str]:
    error = entry["error"]
    title = f"{entry['name'] or entry['language']} ({entry['language']}): "
    title += "nothing to score" if error is None else f"{measure} {percent(error)} %"
    title += f", {error / mean:.1f} times the mean" if error and mean else ""
    lines = [title, *_item(facts_in_words(entry), mark="    ")]
    if kinds := kinds_in_words(entry):
        lines += _item(kinds, mark="    ")
    for finding in entry["findings"]:
        lines += _item(finding["text"])
    return lines if entry["findings"] else [*lines, *_item("nothing known stands out against the other languages")]


def _suspects(analysis: Mapping[str, Any], languages: set[str] | None) -> list[str]:
    found = [one for one in analysis["suspects"] if languages is None or one["language"] in languages]
    if not found:
        return ["No transcript is suspect."]
    lines = [
        f"Doubtful transcripts: {analysis['n_suspects']} of {analysis['n_utterances']} (all in suspects.tsv); listen:"
    ]
    for one in found[:N_SUSPECTS]:
        lines += _item(f"{one['utt_id']}: {'; '.join(one['reasons'].values())}")
        for name, key in (("said", "reference"), ("recognised", "hypothesis"), ("audio", "wav")):
            lines.append(f"      {name:<10} {_printable(one[key])}".rstrip())
    return lines


def _association(one: Mapping[str, Any]) -> str:
    rho, interval = correlation_in_words(one)
    numbers = f"rho {rho} (95 % {interval}), p {p_in_words(one['p_holm'])}, n = {one['n']}"
    return f"{one['title']}: {numbers}" + ("" if one["p_holm"] < 0.05 else "; may be chance")


def _confusion(one: Mapping[str, Any]) -> str:
    said, recognised = (_visible(one[key]) for key in ("said", "recognised"))
    if not said:
        return f"+{recognised} {one['n']}"
    return f"{said}→{recognised} {one['n']}" if recognised else f"-{said} {one['n']}"


def _visible(character: str) -> str:
    """Return a character so that a reader can tell it: marks on a circle, what has no shape by its number."""
    if character == " ":
        return "␣"
    if character and not character.isprintable():
        return f"U+{ord(character):04X}"
    return f"\N{DOTTED CIRCLE}{character}" if character and unicodedata.combining(character) else character


def _printable(text: str) -> str:
    """Replace what would steer the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _item(text: str, mark: str = _MARK) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
