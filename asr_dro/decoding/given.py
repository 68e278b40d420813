"""Searches that are told each utterance's language: what they write as a language is no result."""

from __future__ import annotations

import json
from pathlib import Path

from asr_dro.experiment import DECODED


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
