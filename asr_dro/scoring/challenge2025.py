"""Scores as the scorer of the ML-SUPERB challenge of 2025 gives them.

Source: ESPnet, recipe ``ml_superb2``, ``score.py``. What it does, and what follows from it:

- The tag is the first five characters of a line and the text is what follows, in hypotheses as in references. So a
  hypothesis without a tag loses five characters, and labels that are longer than three letters are never right.
- For Mandarin, Japanese, Thai and Cantonese all white space is removed; then, for every language, characters of a
  Unicode category P; then letters become upper case.
- The CER of a language is the mean of the CERs of its utterances. References that are empty by then are left out, of
  the share of right languages as well.
- The worst 15 languages are added up and divided by 15, even if there are fewer.
- It rounds to two decimals what it prints. Here nothing is rounded.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from asr_dro.scoring.material import Material
from asr_dro.scoring.summaries import N_WORST, deviation, mean

_TAG_LENGTH = 5
_WITHOUT_SPACES = frozenset({"cmn", "jpn", "tha", "yue"})


_ASCII_PUNCTUATION = str.maketrans("", "", "!\"#%&'()*,-./:;?@[\\]_{}")
_BLOCK = 1024  # texts that are looked at together


def score_challenge2025(material: Material) -> dict[str, Any]:
    """Score as the challenge does.

    Args:
        material: The scored split; the challenge has tags and text, other tasks have no such scores.

    Returns:
        ``cer``, ``lid_accuracy``, ``worst15`` and ``sd`` over languages, and ``by_language`` with ``cer``,
        ``lid_accuracy`` and ``n_utterances``.
    """
    rates: dict[str, list[float]] = defaultdict(list)
    right: dict[str, int] = defaultdict(int)
    utterances = material.utterances if material.is_tagged and material.has_text else ()
    lines = [material.lines[utterance.source.utt_id] for utterance in utterances]
    references = [material.tagged_reference(utterance) for utterance in utterances]
    labels = [utterance.source.language for utterance in utterances]
    for language, line, rate in zip(labels, lines, utterance_rates(references, lines, labels), strict=True):
        if rate is not None:
            rates[language].append(rate)
            right[language] += line[:_TAG_LENGTH] == f"[{language}]"
    by_language: dict[str, dict[str, Any]] = {
        language: {
            "cer": math.fsum(found) / len(found),
            "lid_accuracy": right[language] / len(found) if material.has_accuracy else None,
            "n_utterances": len(found),
        }
        for language, found in sorted(rates.items())
    }
    cers = sorted((values["cer"] for values in by_language.values()), reverse=True)
    return {
        "cer": mean(cers),
        "lid_accuracy": mean(values["lid_accuracy"] for values in by_language.values() if material.has_accuracy),
        "worst15": sum(cers[:N_WORST]) / N_WORST if cers else None,
        "sd": deviation(cers),
        "by_language": by_language,
    }


def utterance_rates(references: Iterable[str], hypotheses: Iterable[str], labels: Sequence[str]) -> list[float | None]:
    """Return the character error rate of each utterance, None if nothing of the reference is left.

    Args:
        references: With their tags.
        hypotheses: The decoder's lines.
        labels: Language of each reference.
    """
    expected, found = (
        _without_punctuation([_text_of(*pair) for pair in zip(lines, labels, strict=True)])
        for lines in (references, hypotheses)
    )
    is_empty = [not text for text in expected]
    expected, found = [text.strip() for text in expected], [text.strip() for text in found]  # as jiwer does
    distances = cpdist(expected, found, scorer=Levenshtein.distance, dtype=np.int64).tolist() if labels else []
    # white space alone may be left of a reference: any text against it is one error in one to jiwer
    rates = [
        distance / len(text) if text else float(distance > 0)
        for distance, text in zip(distances, expected, strict=True)
    ]
    return [None if empty else rate for empty, rate in zip(is_empty, rates, strict=True)]


def _text_of(line: str, language: str) -> str:
    text = line[_TAG_LENGTH:].strip()
    return re.sub(r"\s", "", text) if language in _WITHOUT_SPACES else text


def _without_punctuation(texts: Sequence[str]) -> list[str]:
    """Prepare many texts at once: most have nothing to remove."""
    found: list[str] = []
    for start in range(0, len(texts), _BLOCK):
        block = texts[start : start + _BLOCK]
        parts = _plain("\n".join(block)).split("\n")
        found += parts if len(parts) == len(block) else map(_plain, block)  # lines of files have no other line ends
    return found


def _plain(text: str) -> str:
    """Remove characters of a Unicode category P, and turn the rest to upper case."""
    if text.isascii():
        return text.translate(_ASCII_PUNCTUATION).upper()
    if not text.replace(" ", "").replace("\n", "").isalnum():
        for character in set(text):
            if unicodedata.category(character).startswith("P"):
                text = text.replace(character, "")
    return text.upper()
