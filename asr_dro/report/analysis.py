"""What explains the errors: the section that shows ``analysis.json``, if ``asr_dro.bin.analyze`` wrote one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr_dro.analysis.text import (
    correlation_in_words,
    facts_in_words,
    kinds_in_words,
    p_in_words,
    why_no_associations,
)
from asr_dro.report.alignment import align
from asr_dro.report.formats import name_of, number
from asr_dro.report.utterances import audio_link

logger = logging.getLogger(__name__)

MOST_SUSPECTS = 30
N_CONFUSIONS = 8


def analysis_section(path: Path, report_dir: Path, *, made_from: object) -> dict[str, Any] | None:
    """Prepare the section.

    Args:
        path: ``analysis.json`` of the report's main split.
        report_dir: The folder of the report, from which audio is linked.
        made_from: What the scores that the report shows were made from; an analysis of others is left out.

    Returns:
        ``languages`` (the bad ones: ``code``, ``name``, ``error``, ``facts``, ``kinds``, ``findings``),
        ``associations`` (``title``, ``rho``, ``interval``, ``p``, ``n``, ``is_clear``), ``why_none``, ``suspects``,
        ``n_suspects``, ``n_more``, and ``left_out``, which is empty; only ``left_out``, which says why, where the file
        is of other scores or cannot be understood; None without the file.
    """
    try:
        analysis = json.loads(path.read_text(encoding="utf-8"))
        if analysis["made_from"] == made_from:
            return {"left_out": "", **_prepare(analysis, report_dir)}
        why = "it was made from other scores"
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError):
        why = "it is damaged, or another version wrote it"
    logger.warning("%s is left out of the report: %s; bin.analyze or stage 7 makes it again", path, why)
    return {"left_out": why}


def _prepare(analysis: Mapping[str, Any], report_dir: Path) -> dict[str, Any]:
    languages = [
        {
            "code": entry["language"],
            "name": name_of(entry["language"]),
            "error": entry["error"],
            "facts": facts_in_words(entry),
            "kinds": kinds_in_words(entry, N_CONFUSIONS),
            "findings": [_capital(finding["text"]) for finding in entry["findings"]],
        }
        for entry in analysis["languages"]
        if entry["is_bad"]
    ]
    return {
        "languages": languages,
        "associations": [_association(one) for one in analysis["associations"]],
        "why_none": _capital(why_no_associations(analysis)),
        "suspects": [_suspect(one, report_dir) for one in analysis["suspects"][:MOST_SUSPECTS]],
        "n_suspects": analysis["n_suspects"],
        "n_more": analysis["n_suspects"] - min(MOST_SUSPECTS, len(analysis["suspects"])),
    }


def _association(one: Mapping[str, Any]) -> dict[str, Any]:
    rho, interval = correlation_in_words(one)
    numbers = {"rho": rho, "interval": interval, "p": p_in_words(one["p_holm"]), "n": one["n"]}
    return {"title": _capital(one["title"]), "is_clear": one["p_holm"] < 0.05, **numbers}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _suspect(one: Mapping[str, Any], report_dir: Path) -> dict[str, Any]:
    reference, hypothesis = align(one["reference"], one["hypothesis"])
    return {
        "utt_id": one["utt_id"],
        "name": name_of(one["language"]),
        "reasons": list(one["reasons"].values()),
        "cer": number(one["cer"]),
        "duration_s": number(one["duration_s"]),
        "reference": reference,
        "hypothesis": hypothesis,
        "audio": audio_link(one["wav"], report_dir),
    }
