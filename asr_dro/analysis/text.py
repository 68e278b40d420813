"""The analysis as text for a terminal."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from asr_dro.analysis.associations import describe, too_few
from asr_dro.scoring.table import percent

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
    lines += [line for one in analysis["associations"] for line in _item(describe(one))]
    if not analysis["associations"]:
        lines += _item(too_few(sum(entry["error"] is not None for entry in entries)))
    lines += ["", *_suspects(analysis, None if languages is None else set(languages))]
    return "\n".join(lines) + "\n"


def facts_in_words(entry: Mapping[str, Any]) -> str:
    """Say what is known of a language's data in one line."""
    numbers = entry["numbers"]
    parts = []
    for name, unit in (
        ("training_hours", "h"),
        ("training_utterances", "utterances"),
        ("training_speakers", "speakers"),
    ):
        if numbers.get(name) is not None:
            parts.append(f"{numbers[name]:.3g} {unit}" if name == "training_hours" else f"{numbers[name]:,.0f} {unit}")
    text = f"training: {', '.join(parts)}" if parts else ""
    parts = [f"{entry['n_utterances']:,} utterances"]
    if numbers.get("duration_s") is not None:
        parts.append(f"{numbers['duration_s']:.1f} s in the mean")
    if numbers.get("characters_per_s") is not None:
        parts.append(f"{numbers['characters_per_s']:.1f} characters/s")
    here = f"scored: {', '.join(parts)}"
    script = f"script: {entry['script']}" if entry["script"] else ""
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
