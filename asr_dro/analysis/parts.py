"""A language's errors taken apart: by kind, character, recognised language, speaker, corpus and length.

Legend: ``N`` utterances of a language.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from asr_dro.analysis.inputs import LanguageUtterances, count_tags
from asr_dro.analysis.statistics import Floats

N_CONFUSIONS = 12
N_TAKEN_FOR = 5
MOST_ALIGNED = 300_000  # reference characters of a language: more would change no order worth knowing
FEWEST_UTTERANCES = 5  # of a part, and of the rest: fewer say nothing of it
_WORSE = 1.5  # times the rest's error rate
_SHARE_OF_ERRORS = 0.1  # that a part must add beyond its due
_Z = 3.0


def error_kinds(utterances: LanguageUtterances) -> dict[str, float | None]:
    """Say how errors split into kinds, and how long hypotheses are beside references."""
    errors, characters = float(utterances.errors.sum()), float(utterances.reference_length.sum())
    kinds = {
        "substitution_share": utterances.substitutions,
        "deletion_share": utterances.deletions,
        "insertion_share": utterances.insertions,
    }
    shares: dict[str, float | None] = {
        name: float(values.sum()) / errors if errors else None for name, values in kinds.items()
    }
    recognised = characters - float(utterances.deletions.sum()) + float(utterances.insertions.sum())
    shares["length_ratio"] = recognised / characters if characters else None
    n_empty = sum(not text for text in utterances.hypotheses)
    shares["empty_share"] = n_empty / len(utterances) if characters else None
    return shares


def confusions(utterances: LanguageUtterances) -> list[dict[str, Any]]:
    """List the commonest character errors.

    Returns:
        ``said`` (empty: inserted), ``recognised`` (empty: deleted), ``n``; the commonest first.
    """
    counts: Counter[tuple[str, str]] = Counter()
    n_characters = 0.0
    for index in np.flatnonzero(utterances.errors > 0):
        reference, hypothesis = utterances.references[index], utterances.hypotheses[index]
        for tag, source, target in Levenshtein.editops(reference, hypothesis).as_list():
            said = "" if tag == "insert" else reference[source]
            counts[said, "" if tag == "delete" else hypothesis[target]] += 1
        n_characters += len(reference)
        if n_characters > MOST_ALIGNED:
            break
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:N_CONFUSIONS]
    return [{"said": said, "recognised": recognised, "n": n} for (said, recognised), n in ordered]


def by_tag(language: str, utterances: LanguageUtterances) -> dict[str, Any]:
    """Compare utterances that were given the right language with the others.

    Returns:
        ``accuracy``; ``taken_for``: wrong labels with their ``share``, the commonest first; ``cer_right`` and
        ``cer_wrong``: CER of both parts, None where a part has no characters; ``error_share``: share of the errors
        that lies in utterances with a wrong language.
    """
    n = len(utterances)
    tags = count_tags(utterances)
    wrong = np.array([tag != language for tag in utterances.tags])
    errors, characters = utterances.errors, utterances.reference_length
    others = sorted(((label, count) for label, count in tags.items() if label != language), key=lambda x: (-x[1], x[0]))
    total = float(errors.sum())
    return {
        "accuracy": tags[language] / n if n else None,
        "taken_for": [{"language": label, "n": count, "share": count / n} for label, count in others[:N_TAKEN_FOR]],
        "cer_right": _rate(errors[~wrong], characters[~wrong]),
        "cer_wrong": _rate(errors[wrong], characters[wrong]),
        "error_share": float(errors[wrong].sum()) / total if total else None,
    }


def by_length(utterances: LanguageUtterances) -> dict[str, float] | None:
    """Compare the longest third of the utterances with the shortest third.

    Returns:
        ``short`` and ``long`` (CER), ``z`` of the difference, ``boundary_s``: where the longest third begins; None
        if a third has fewer than five utterances.
    """
    known = np.flatnonzero(np.isfinite(utterances.duration_s) & (utterances.reference_length > 0))
    third = len(known) // 3
    if third < FEWEST_UTTERANCES:
        return None
    order = known[np.argsort(utterances.duration_s[known], kind="stable")]
    is_long = np.zeros(len(utterances), dtype=bool)
    is_long[order[-third:]] = True
    is_short = np.zeros(len(utterances), dtype=bool)
    is_short[order[:third]] = True
    boundary_s = float(utterances.duration_s[order[-third]])
    if boundary_s <= utterances.duration_s[order[third - 1]]:  # all of one length
        return None
    long, short = (_rate(utterances.errors[m], utterances.reference_length[m]) or 0.0 for m in (is_long, is_short))
    error = math.hypot(_standard_error(utterances, is_long), _standard_error(utterances, is_short))
    return {"short": short, "long": long, "z": (long - short) / error if error else 0.0, "boundary_s": boundary_s}


def worse_parts(utterances: LanguageUtterances, names: Sequence[str]) -> list[dict[str, Any]]:
    """Find speakers (or corpora) that are much worse than the rest of their language.

    Much worse: at least 1.5 times the error rate of the rest, three standard errors above it, and without the surplus
    the language would have at least a tenth fewer errors.

    Args:
        utterances: The utterances.
        names: Speaker or corpus of each.

    Returns:
        ``name``, ``n``, ``cer``, ``cer_of_rest``, ``error_share``; the one with most errors too many first.
    """
    values, inverse = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    errors, characters = utterances.errors, utterances.reference_length
    n = np.bincount(inverse)
    of_errors, of_characters = np.bincount(inverse, errors), np.bincount(inverse, characters)
    total_errors, total_characters = errors.sum(), characters.sum()
    found = []
    for index in np.flatnonzero((n >= FEWEST_UTTERANCES) & (len(errors) - n >= FEWEST_UTTERANCES)):
        rest_characters = total_characters - of_characters[index]
        if not rest_characters or not of_characters[index]:
            continue
        rest = float((total_errors - of_errors[index]) / rest_characters)
        rate = float(of_errors[index] / of_characters[index])
        surplus = float(of_errors[index] - rest * of_characters[index])
        error = math.hypot(_standard_error(utterances, inverse == index), _standard_error(utterances, inverse != index))
        much = max(_WORSE * rest, rest + _Z * error)
        if surplus <= 0 or surplus < _SHARE_OF_ERRORS * total_errors or rate < much:
            continue
        entry = {"name": str(values[index]), "n": int(n[index]), "cer": rate, "cer_of_rest": rest}
        found.append({**entry, "error_share": float(of_errors[index] / total_errors), "surplus": surplus})
    return sorted(found, key=lambda part: (-part["surplus"], part["name"]))


def _rate(errors: Floats, characters: Floats) -> float | None:
    total = float(characters.sum())
    return float(errors.sum()) / total if total else None


def _standard_error(utterances: LanguageUtterances, chosen: NDArray[np.bool_]) -> float:
    """Return the standard error of the error rate of some utterances (ratio of two sums, linearised)."""
    errors, characters = utterances.errors[chosen], utterances.reference_length[chosen]
    total = float(characters.sum())
    if len(errors) < 2 or not total:
        return math.inf
    residuals = errors - errors.sum() / total * characters
    return float(np.sqrt(len(errors) / (len(errors) - 1) * np.sum(residuals**2)) / total)
