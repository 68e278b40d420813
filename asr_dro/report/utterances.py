"""The worst utterances of each language, with what was said, what was recognised, and the audio."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from asr_dro.data.pack_format import split_place
from asr_dro.report.alignment import MAX_GRAPHEMES, align
from asr_dro.report.formats import name_of, number
from asr_dro.report.inputs import Inputs

MAX_UTTERANCES = 300  # in the whole report: what keeps the file small with many languages
MOST_PER_LANGUAGE = 5
FEWEST_PER_LANGUAGE = 2
MAX_ALL_GRAPHEMES = 100_000  # of all texts together: with many languages, long texts are cut earlier


@dataclass(frozen=True, slots=True)
class WorstUtterance:
    """One utterance to look at and listen to.

    Attributes:
        row: Its row of ``utterances.tsv``.
        cer: Character error rate, a fraction.
        duration_s: Seconds, ``None`` if unknown.
        reference: What was said, differences marked.
        hypothesis: What was recognised, differences marked.
        taken_for: Label that was recognised if it is wrong, ``"no language"`` if there is none; empty if it is
            right or labels have no tags.
        audio: Link relative to the report, empty if the audio is not a file.
    """

    row: dict[str, str]
    cer: float
    duration_s: float | None
    reference: Markup
    hypothesis: Markup
    taken_for: str
    audio: str


def worst_utterances(inputs: Inputs, languages: list[str]) -> list[dict[str, Any]]:
    """Pick the worst utterances of each language.

    Args:
        inputs: The report's inputs.
        languages: Codes in the order of the report.

    Returns:
        One entry per language with errors: ``code``, ``name``, ``n_utterances``, ``n_with_errors``, ``worst``.
    """
    tagged = inputs.main_scores.get("task") != "asr"
    by_language: dict[str, list[dict[str, str]]] = {code: [] for code in languages}
    for row in inputs.utterances:
        by_language.setdefault(row["language"], []).append(row)
    n_shown = max(FEWEST_PER_LANGUAGE, min(MOST_PER_LANGUAGE, MAX_UTTERANCES // max(len(by_language), 1)))
    most = min(MAX_GRAPHEMES, MAX_ALL_GRAPHEMES // (2 * n_shown * max(len(by_language), 1)))
    entries = []
    for code, rows in by_language.items():
        wrong = sorted(
            (row for row in rows if _cer(row) > 0), key=lambda row: (-_cer(row), -_errors(row), row["utt_id"])
        )
        if wrong:
            worst = [_prepare(row, inputs.sources.exp_dir, most, tagged=tagged) for row in wrong[:n_shown]]
            entries.append(
                {
                    "code": code,
                    "name": name_of(code),
                    "n_utterances": len(rows),
                    "n_with_errors": len(wrong),
                    "worst": worst,
                }
            )
    return entries


def audio_link(wav: str, report_dir: Path) -> str:
    """Make the link from the report to an audio file.

    Args:
        wav: Entry of ``wav.scp``, relative to the current directory or absolute.
        report_dir: The folder of the report.

    Returns:
        A quoted relative URL; empty for nothing, for a command (Kaldi's trailing ``|``) and for a clip in a pack, which
        no browser plays.
    """
    if not wav or wav.rstrip().endswith("|") or split_place(wav):
        return ""
    return quote(os.path.relpath(wav, report_dir).replace(os.sep, "/"))


def _prepare(row: dict[str, str], report_dir: Path, max_graphemes: int, *, tagged: bool) -> WorstUtterance:
    reference, hypothesis = align(row["reference"], row["hypothesis"], max_graphemes)
    label = row.get("hypothesis_language", "")
    return WorstUtterance(
        row=row,
        cer=_cer(row),
        duration_s=number(row.get("duration_s")),
        reference=reference,
        hypothesis=hypothesis,
        taken_for="" if label == row["language"] or not tagged else (name_of(label) if label else "no language"),
        audio=audio_link(row.get("wav", ""), report_dir),
    )


def _cer(row: dict[str, str]) -> float:
    return number(row["cer"]) or 0.0


def _errors(row: dict[str, str]) -> int:
    return sum(int(row.get(name) or 0) for name in ("char_sub", "char_del", "char_ins"))
