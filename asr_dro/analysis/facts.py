"""What is known of each language: numbers that can be laid beside the other languages'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asr_dro.analysis import parts
from asr_dro.analysis.inputs import Inputs, LanguageUtterances, finite_numbers
from asr_dro.analysis.statistics import Floats
from asr_dro.analysis.writing import count_scripts, family, usual_script

Numbers = dict[str, float | None]


@dataclass
class LanguageFacts:
    """One language.

    Attributes:
        language: Its label.
        error: CER, or where labels hold languages alone the share of wrong languages; None if nothing was scored.
        n_utterances: Of the split.
        numbers: What can be compared with other languages, by name; None where it is unknown.
        script: ISO 15924 code of its texts, empty if unknown.
        script_shares: Share of each script in its letters.
        tags: See ``parts.by_tag``; None without language tags.
        length: See ``parts.by_length``.
        speakers: See ``parts.worse_parts``.
        corpora: The same for corpora.
        confusions: See ``parts.confusions``.
    """

    language: str
    error: float | None
    n_utterances: int
    numbers: Numbers
    script: str
    script_shares: dict[str, float]
    tags: dict[str, Any] | None = None
    length: dict[str, float] | None = None
    speakers: list[dict[str, Any]] = field(default_factory=list)
    corpora: list[dict[str, Any]] = field(default_factory=list)
    confusions: list[dict[str, Any]] = field(default_factory=list)


def error_by_language(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what languages are compared by: the CER, or without text the share of wrong languages."""
    if scores.get("task") != "lid":
        return dict(scores["cer"]["by_language"])
    accuracy = scores["lid_accuracy"]["by_language"]
    return {language: None if value is None else 1 - value for language, value in accuracy.items()}


def collect(inputs: Inputs) -> list[LanguageFacts]:
    """Gather the facts of all languages, the worst first; those without an error rate last."""
    errors = error_by_language(inputs.scores)
    facts = [_of_language(inputs, name, members, errors.get(name)) for name, members in inputs.utterances.items()]
    _add_script_mates(facts)
    return sorted(facts, key=lambda one: (one.error is None, -(one.error or 0.0), one.language))


def _of_language(inputs: Inputs, language: str, utterances: LanguageUtterances, error: float | None) -> LanguageFacts:
    letters = count_scripts("".join(utterances.references))
    total = letters.total()
    numbers = _training_numbers(inputs, language) | _split_numbers(utterances)
    numbers |= _unknown_characters(inputs, language, utterances) | _loss_numbers(inputs, language)
    facts = LanguageFacts(
        language=language,
        error=error,
        n_utterances=len(utterances),
        numbers=numbers,
        script=usual_script(language, letters),
        script_shares={script: n / total for script, n in letters.most_common(3)},
    )
    if inputs.other_scores is not None:
        numbers["other_error"] = error_by_language(inputs.other_scores).get(language)
    if inputs.task != "asr":
        facts.tags = parts.by_tag(language, utterances)
        numbers["language_accuracy"] = facts.tags["accuracy"]
    if inputs.task != "lid":
        numbers |= parts.error_kinds(utterances)
        numbers["other_script_share"] = _other_script(utterances, facts.script)
        facts.length = parts.by_length(utterances)
        facts.speakers = parts.worse_parts(utterances, utterances.speakers)
        facts.corpora = parts.worse_parts(utterances, utterances.corpora) if utterances.corpora else []
        facts.confusions = parts.confusions(utterances)
    return facts


def _other_script(utterances: LanguageUtterances, script: str) -> float | None:
    """Return the share of the recognised letters that are not of the language's script; None without letters."""
    letters = count_scripts("".join(utterances.hypotheses))
    total = letters.total()
    return 1 - sum(n for name, n in letters.items() if family(name) == family(script)) / total if total else None


def _training_numbers(inputs: Inputs, language: str) -> Numbers:
    names = ("hours", "utterances", "speakers", "duration_s", "characters_per_s")
    if not inputs.training:
        return dict.fromkeys(f"training_{name}" for name in names)
    data = inputs.training.get(language)
    if data is None or not data.n_utterances:
        return {"training_hours": 0.0, "training_utterances": 0, "training_speakers": 0}
    return {
        "training_hours": data.seconds / 3600,
        "training_utterances": data.n_utterances,
        "training_speakers": len(data.speakers),
        "training_duration_s": data.seconds / data.n_utterances,
        "training_characters_per_s": data.characters / data.seconds if data.seconds > 0 else None,
    }


def _split_numbers(utterances: LanguageUtterances) -> Numbers:
    return {
        "duration_s": _mean(utterances.duration_s),
        "characters_per_s": _median(utterances.characters_per_s),
    }


def _unknown_characters(inputs: Inputs, language: str, utterances: LanguageUtterances) -> Numbers:
    """Count characters that the vocabulary lacks, and those that the language's own training transcripts lack."""
    numbers: Numbers = {}
    row = (inputs.out_of_vocabulary or {}).get(language)
    if row is not None:
        n, total = int(row["out_of_vocabulary"]), int(row["characters"])
        errors = float(utterances.errors.sum())
        numbers["unknown_share"] = n / total if total else 0.0
        # A character that cannot be written is substituted or deleted: at least one error each.
        numbers["unknown_error_share"] = min(1.0, n / errors) if errors else None
    data = inputs.training.get(language)
    if data is not None:
        counts = Counter("".join("".join(utterances.references).split()))
        total = counts.total()
        unseen = sum(n for character, n in counts.items() if character not in data.alphabet)
        numbers["unseen_share"] = unseen / total if total else None
    return numbers


def _loss_numbers(inputs: Inputs, language: str) -> Numbers:
    """Take losses and weights of the group that is named like the language; other groupings have none."""
    numbers: Numbers = {}
    train, dev = (_losses(inputs.epoch.get(part)).get(language) for part in ("train", "dev"))
    data = inputs.training.get(language)
    if train is not None and data is not None and data.characters:
        numbers["train_loss_per_character"] = train * data.n_utterances / data.characters
    if train is not None and dev is not None and train > 0:
        numbers["dev_to_train_loss"] = dev / train
    if language in inputs.weights:
        numbers["weight"] = inputs.weights[language] * len(inputs.weights)  # 1: as much as the mean
    return numbers


def _losses(part: Any) -> dict[str, float]:
    by_group = part.get("loss_by_group") if isinstance(part, Mapping) else None
    return finite_numbers(by_group.items()) if isinstance(by_group, Mapping) else {}


def _add_script_mates(facts: list[LanguageFacts]) -> None:
    """Count for each language the others of its script, and their hours of training audio."""
    members: dict[str, list[LanguageFacts]] = {}
    for one in facts:
        members.setdefault(family(one.script), []).append(one)
    for one in facts:
        others = [other for other in members[family(one.script)] if other is not one and one.script]
        one.numbers["languages_of_script"] = float(len(others)) if one.script else None
        hours = [other.numbers.get("training_hours") for other in others]
        one.numbers["hours_of_script"] = (
            None if not one.script or None in hours else sum(hour for hour in hours if hour is not None)
        )


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None
