"""Searches that are told each utterance's language: their accuracy of languages says nothing and is not shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr_dro.experiment import DECODED

GIVEN = "languages given"  # what tables say of such a decoding


def were_languages_given(folder: Path) -> bool:
    """Tell from what decoding left behind whether it was told the languages; no where that is not known.

    Args:
        folder: ``exp/<tag>/decode_<decode>/<split>``.
    """
    try:
        left = json.loads((folder / DECODED).read_text(encoding="utf-8"))
        return bool(left["config"]["languages"] == "given")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def without_given_languages(scores: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Take the accuracy of languages out of scores where languages were given; without text (task ``lid``) all is kept.

    Args:
        scores: What ``scores.json`` of this folder holds.
        folder: ``exp/<tag>/decode_<decode>/<split>``.
    """
    if scores.get("task") == "lid" or not were_languages_given(folder):
        return scores
    accuracy = dict.fromkeys(scores["lid_accuracy"])
    by_language = dict.fromkeys(scores["lid_accuracy"]["by_language"])
    return {**scores, "lid_accuracy": {**accuracy, "by_language": by_language}, "confusion": None}
