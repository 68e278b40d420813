"""The analysis of one decoded split: ``analysis.json`` and ``suspects.tsv`` beside its scores."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asr_dro.analysis.associations import associations
from asr_dro.analysis.facts import LanguageFacts, collect, error_by_language
from asr_dro.analysis.findings import findings
from asr_dro.analysis.inputs import Inputs, LanguageUtterances, read_inputs
from asr_dro.analysis.losses import AlignmentLosses
from asr_dro.analysis.nbest import oracle_rates
from asr_dro.analysis.state import ANALYSIS, SUSPECTS
from asr_dro.analysis.statistics import FEWEST_TO_CORRELATE
from asr_dro.analysis.suspects import Suspect, find_suspects
from asr_dro.data.data_dir import format_duration
from asr_dro.data.done import write_if_changed
from asr_dro.experiment import DETAILS
from asr_dro.scoring.files import format_number
from asr_dro.scoring.table import language_name

logger = logging.getLogger(__name__)

MOST_SUSPECTS = 200  # in analysis.json; all are in suspects.tsv
FEWEST_BAD, MOST_BAD = 3, 15
BAD = 1.25  # times the median error of the languages
SUSPECT_COLUMNS = (
    *("utt_id", "language", "score", "kinds", "reasons", "speaker", "duration_s", "cer"),
    *("reference", "hypothesis", "hypothesis_language", "wav"),
)


def analyze(
    data_set: Path, experiment: Path, decode_dir: Path, split: str, losses: AlignmentLosses | None
) -> dict[str, Any]:
    """Analyse a split and write both files.

    Args:
        data_set: The prepared set.
        experiment: ``exp/<tag>``.
        decode_dir: ``exp/<tag>/decode_<decode>``.
        split: A scored split.
        losses: Losses of the references, from a pass with the model; None without one.

    Returns:
        What ``analysis.json`` holds.

    Raises:
        UserError: If an input is missing or cannot be understood.
    """
    inputs = read_inputs(data_set, experiment, decode_dir, split)
    facts = collect(inputs)
    if inputs.task != "lid":
        oracle = oracle_rates(decode_dir / split / DETAILS, inputs.utterances)
        for one in facts:
            one.numbers["oracle_error"] = oracle.get(one.language)
    scripts = {one.language: one.script for one in facts}
    suspects = find_suspects(inputs.utterances, scripts, losses.per_label if losses else None)
    for one in facts:
        own = [suspect for suspect in suspects if suspect.language == one.language]
        one.numbers["suspect_share"] = len(own) / one.n_utterances if one.n_utterances else None
        if losses is not None:
            ids = inputs.utterances[one.language].utt_ids
            one.numbers["infeasible_share"] = sum(utt_id in losses.infeasible for utt_id in ids) / len(ids)
    rows = [suspect_row(suspect, inputs.utterances[suspect.language]) for suspect in suspects]
    analysis = _summary(inputs, facts, rows, aligned=losses is not None)
    folder = decode_dir / split
    write_if_changed(folder / SUSPECTS, _table(rows))
    write_if_changed(folder / ANALYSIS, json.dumps(analysis, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return analysis


def bad_languages(facts: Sequence[LanguageFacts]) -> list[str]:
    """Choose the languages to explain: well above the median error, but no fewer than 3 and no more than 15."""
    scored = [(one.language, one.error) for one in facts if one.error]
    if not scored:
        return []
    limit = BAD * float(np.median([one.error for one in facts if one.error is not None]))
    n_above = sum(error >= limit for _, error in scored)
    return [language for language, _ in scored[: min(MOST_BAD, max(FEWEST_BAD, n_above))]]


def suspect_row(suspect: Suspect, members: LanguageUtterances) -> dict[str, Any]:
    """Describe a suspect with everything that a person needs to check it."""
    i = suspect.index
    cer, duration_s = float(members.error_rates[i]), float(members.duration_s[i])
    return {
        "utt_id": members.utt_ids[i],
        "language": suspect.language,
        "score": round(suspect.score, 3),
        "reasons": suspect.reasons,
        "speaker": members.speakers[i],
        "duration_s": duration_s if np.isfinite(duration_s) else None,
        "cer": cer if np.isfinite(cer) else None,
        "reference": members.references[i],
        "hypothesis": members.hypotheses[i],
        "hypothesis_language": members.tags[i],
        "wav": members.wavs[i],
    }


def _summary(
    inputs: Inputs, facts: Sequence[LanguageFacts], rows: Sequence[dict[str, Any]], *, aligned: bool
) -> dict[str, Any]:
    bad = set(bad_languages(facts))
    known = [error for error in error_by_language(inputs.scores).values() if error is not None]
    languages = []
    for one in facts:
        found = [asdict(finding) for finding in findings(one, facts, split=inputs.split)]
        entry = {"language": one.language, "name": language_name(one.language), "is_bad": one.language in bad}
        rest = {name: value for name, value in asdict(one).items() if name != "language"}
        languages.append({**entry, **rest, "findings": found})
    return {
        "made_from": inputs.scores.get("made_from"),  # the state of the scores, by which the report knows it
        "split": inputs.split,
        "task": inputs.task,
        "measure": "lid_error" if inputs.task == "lid" else "cer",
        "mean": sum(known) / len(known) if known else None,
        "n_utterances": sum(one.n_utterances for one in facts),
        "infeasible_training_utterances": inputs.epoch.get("infeasible_utterances"),
        "aligned": aligned,
        "languages": languages,
        "associations": associations(facts),
        "fewest_languages_to_associate": FEWEST_TO_CORRELATE,
        "n_suspects": len(rows),
        "suspects": list(rows[:MOST_SUSPECTS]),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["\t".join(SUSPECT_COLUMNS)]
    for row in rows:
        duration_s = row["duration_s"]
        values = {
            **row,
            "score": repr(row["score"]),
            "kinds": ",".join(row["reasons"]),
            "reasons": "; ".join(row["reasons"].values()),
            "duration_s": "" if duration_s is None else format_duration(duration_s),
            "cer": format_number(row["cer"]),
        }
        lines.append("\t".join(values[name] for name in SUSPECT_COLUMNS))
    return "\n".join(lines) + "\n"
