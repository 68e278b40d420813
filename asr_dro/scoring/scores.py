"""Scores of one split: per utterance, per language, and the numbers that compare languages.

The mean, the standard deviation and the worst value are taken over languages, each language counting once (macro).
``micro`` pools all utterances. Nothing is rounded here; only what is shown to a reader is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.error_rate import ErrorCounts, canonical, count_errors
from asr_dro.scoring.hypotheses import Hypothesis

DDOF = 1  # the standard deviation divides by n - 1


@dataclass(frozen=True, slots=True)
class ScoredUtterance:
    """One utterance with its error counts.

    Attributes:
        source: What the data directory says of it.
        reference: Its transcript in the form that is scored.
        hypothesis: What was recognised, in the same form.
        characters: Errors in characters.
        words: Errors in words.
    """

    source: Utterance
    reference: str
    hypothesis: Hypothesis
    characters: ErrorCounts
    words: ErrorCounts

    @property
    def language_is_right(self) -> bool:
        """Whether the tag names the language; a missing tag and a tag of an unknown language are wrong."""
        return self.hypothesis.language == self.source.language


def score_utterances(
    references: Iterable[Utterance], hypotheses: Mapping[str, Hypothesis], *, task: str = "lid+asr"
) -> list[ScoredUtterance]:
    """Align each hypothesis with its reference.

    Args:
        references: The references; their order is kept.
        hypotheses: Hypothesis by utterance id, one for each reference.
        task: ``DataConfig.task``; where it is ``lid`` there is no text to compare, and both texts are empty.

    Returns:
        One entry per reference.
    """
    scored = []
    for source in references:
        reference, hypothesis = canonical(source.text), hypotheses[source.utt_id]
        if task == "lid":
            reference, hypothesis = "", Hypothesis("", hypothesis.language)
        characters = count_errors(reference, hypothesis.text)
        words = count_errors(reference.split(), hypothesis.text.split())
        scored.append(ScoredUtterance(source, reference, hypothesis, characters, words))
    return scored


def summarise(
    utterances: Sequence[ScoredUtterance], *, task: str = "lid+asr", profile: str = "basic"
) -> dict[str, Any]:
    """Compute everything that ``scores.json`` holds about one split, but for what it was made from.

    Args:
        utterances: The scored utterances in any order; the result does not depend on it.
        task: ``DataConfig.task``; without language tags (``asr``) there is no accuracy of languages.
        profile: ``DataConfig.text``, recorded with the scores.

    Returns:
        JSON-ready scores: rates are fractions or ``None``, ``counts`` are the integers they come from.
    """
    by_language = _partition(utterances, lambda utterance: utterance.source.language)
    scores: dict[str, Any] = {
        "cer": _rates(by_language, _characters, "language"),
        "wer": _rates(by_language, _words, "language"),
        "lid_accuracy": _language_identification(by_language, tagged=task != "asr"),
        "n_utterances": len(utterances),
        "profile": profile,
        "task": task,
        "ddof": DDOF,
        "counts": {
            "by_language": {name: _counts(members, tagged=task != "asr") for name, members in by_language.items()}
        },
    }
    if any(utterance.source.group != utterance.source.language for utterance in utterances):
        by_group = _partition(utterances, lambda utterance: utterance.source.group)
        scores["groups"] = {
            "cer": _rates(by_group, _characters, "group"),
            "wer": _rates(by_group, _words, "group"),
        }
    return scores


def summarise_values(
    values: Mapping[str, float | None], *, key: str, worst: Callable[..., str] = max
) -> dict[str, Any]:
    """Compare languages (or groups) by one number each.

    Args:
        values: The number of each language, ``None`` where it has none; such a language takes no part.
        key: ``"language"`` or ``"group"``: names the keys ``worst_<key>`` and ``by_<key>``.
        worst: ``max`` for error rates, ``min`` for accuracies; the first name in alphabetical order wins a tie.

    Returns:
        ``mean``, ``sd`` (over languages, n - 1; ``None`` for fewer than two), ``worst``, ``worst_<key>``, ``by_<key>``.
    """
    known = {name: value for name, value in sorted(values.items()) if value is not None}
    worst_name = worst(known, key=known.__getitem__) if known else None
    return {
        "mean": math.fsum(known.values()) / len(known) if known else None,
        "sd": statistics.stdev(known.values()) if len(known) > DDOF else None,
        "worst": known[worst_name] if worst_name is not None else None,
        f"worst_{key}": worst_name,
        f"by_{key}": dict(sorted(values.items())),
    }


def _partition(
    utterances: Iterable[ScoredUtterance], key: Callable[[ScoredUtterance], str]
) -> dict[str, list[ScoredUtterance]]:
    """Split by a key; sorted by its values."""
    parts: dict[str, list[ScoredUtterance]] = {}
    for utterance in utterances:
        parts.setdefault(key(utterance), []).append(utterance)
    return dict(sorted(parts.items()))


def _characters(utterance: ScoredUtterance) -> ErrorCounts:
    return utterance.characters


def _words(utterance: ScoredUtterance) -> ErrorCounts:
    return utterance.words


def _rates(
    parts: Mapping[str, Sequence[ScoredUtterance]], counts: Callable[[ScoredUtterance], ErrorCounts], key: str
) -> dict[str, Any]:
    """Error rates of each part and over parts."""
    totals = {name: sum(map(counts, members), ErrorCounts()) for name, members in parts.items()}
    summary = summarise_values({name: _or_none(total.rate) for name, total in totals.items()}, key=key)
    by = summary.pop(f"by_{key}")
    return {**summary, "micro": _or_none(sum(totals.values(), ErrorCounts()).rate), f"by_{key}": by}


def _language_identification(parts: Mapping[str, Sequence[ScoredUtterance]], *, tagged: bool) -> dict[str, Any]:
    """Share of utterances whose tag is right: over all, and per language; ``None`` where there are no tags."""
    if not tagged:
        return {"micro": None, **summarise_values(dict.fromkeys(parts), key="language", worst=min)}
    right = {name: sum(utterance.language_is_right for utterance in members) for name, members in parts.items()}
    total = sum(len(members) for members in parts.values())
    summary = summarise_values({name: right[name] / len(parts[name]) for name in parts}, key="language", worst=min)
    return {"micro": sum(right.values()) / total if total else None, **summary}


def _counts(members: Sequence[ScoredUtterance], *, tagged: bool) -> dict[str, Any]:
    """Give the integers behind one language's rates, so that scores can be pooled without rounding."""
    counts: dict[str, Any] = {"n_utterances": len(members)}
    for name, of in (("cer", _characters), ("wer", _words)):
        total = sum(map(of, members), ErrorCounts())
        counts[name] = {
            "reference_length": total.reference_length,
            "substitutions": total.substitutions,
            "deletions": total.deletions,
            "insertions": total.insertions,
        }
    counts["n_language_right"] = sum(utterance.language_is_right for utterance in members) if tagged else None
    return counts


def _or_none(value: float) -> float | None:
    """Replace ``nan``, which JSON lacks."""
    return None if math.isnan(value) else value
