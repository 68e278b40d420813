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
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr_dro.scoring.material import Material
from asr_dro.scoring.summaries import N_WORST, deviation, mean

_TAG_LENGTH = 5
_WITHOUT_SPACES = ("[cmn]", "[jpn]", "[tha]", "[yue]")


class _WithoutPunctuation(dict[int, int | None]):
    """Table for ``str.translate`` that learns characters when it first sees them."""

    def __missing__(self, code_point: int) -> int | None:
        kept = None if unicodedata.category(chr(code_point)).startswith("P") else code_point
        self[code_point] = kept
        return kept


_WITHOUT_PUNCTUATION = _WithoutPunctuation()


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
    if material.is_tagged and material.has_text:
        for utterance in material.utterances:
            language = utterance.source.language
            hypothesis = material.lines[utterance.source.utt_id]
            rate = utterance_rate(material.tagged_reference(utterance), hypothesis, language)
            if rate is not None:
                rates[language].append(rate)
                right[language] += hypothesis[:_TAG_LENGTH] == f"[{language}]"
    by_language = {
        language: {
            "cer": math.fsum(found) / len(found),
            "lid_accuracy": right[language] / len(found),
            "n_utterances": len(found),
        }
        for language, found in sorted(rates.items())
    }
    cers = sorted((values["cer"] for values in by_language.values()), reverse=True)
    return {
        "cer": mean(cers),
        "lid_accuracy": mean(values["lid_accuracy"] for values in by_language.values()),
        "worst15": sum(cers[:N_WORST]) / N_WORST if cers else None,
        "sd": deviation(cers),
        "by_language": by_language,
    }


def utterance_rate(reference: str, hypothesis: str, language: str) -> float | None:
    """Return the character error rate of one utterance, None if nothing of the reference is left.

    Args:
        reference: With its tag.
        hypothesis: The decoder's line.
        language: Label of the reference.
    """
    texts = []
    for line in (reference, hypothesis):
        text = line[_TAG_LENGTH:].strip()
        if f"[{language}]" in _WITHOUT_SPACES:
            text = re.sub(r"\s", "", text)
        texts.append(text.translate(_WITHOUT_PUNCTUATION).upper())
    if not texts[0]:
        return None
    expected, found = (text.strip() for text in texts)  # as jiwer does
    if not expected:  # there was white space between marks; jiwer counts any text there as one error in one
        return float(bool(found))
    return Levenshtein.distance(expected, found) / len(expected)
