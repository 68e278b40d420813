"""Across languages: what goes together with a high error. That is association; it says nothing of causes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from asr_dro.analysis.facts import LanguageFacts
from asr_dro.analysis.statistics import spearman
from asr_dro.scoring.comparison import holm

NUMBERS = {
    "training_hours": "hours of training audio",
    "training_speakers": "training speakers",
    "characters_per_s": "characters per second",
    "duration_s": "length of utterances",
    "unknown_share": "share of characters outside of the vocabulary",
    "unseen_share": "share of characters that its training transcripts lack",
    "languages_of_script": "other languages of the same script",
    "train_loss_per_character": "training loss per character",
    "dev_to_train_loss": "loss on dev relative to training",
    "weight": "group weight",
    "language_accuracy": "share of utterances with the right language",
}


def associations(facts: Sequence[LanguageFacts]) -> list[dict[str, Any]]:
    """Correlate the languages' errors with each number that is known of them.

    Ranks do not change under a logarithm: hours and log hours are one question.

    Args:
        facts: All languages.

    Returns:
        For each number that differs between languages: ``name``, ``title``, ``n`` languages, ``rho`` (Spearman),
        ``interval`` (95 %), ``p`` (permutation), ``p_holm`` (adjusted for all of these questions); the closest
        association first. Empty if fewer than eight languages have an error rate.
    """
    scored = [one for one in facts if one.error is not None]
    found = []
    for name, title in NUMBERS.items():
        known = (one.numbers.get(name) for one in scored)
        values = [math.nan if value is None else float(value) for value in known]
        result = spearman([one.error or 0.0 for one in scored], values)
        if result.rho is not None:
            entry: dict[str, Any] = {"name": name, "title": title, "n": result.n, "rho": result.rho}
            found.append({**entry, "interval": result.interval, "p": result.p})
    adjusted = holm({entry["name"]: entry["p"] for entry in found})
    for entry in found:
        entry["p_holm"] = adjusted[entry["name"]]
    return sorted(found, key=lambda entry: (-abs(entry["rho"]), entry["name"]))
