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

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from asr_dro.scoring.material import Material
from asr_dro.scoring.measures import Measure
from asr_dro.scoring.outcomes import Ints
from asr_dro.scoring.profile_rules import CellSums, ProfileRule
from asr_dro.scoring.resampled_rates import rates_of
from asr_dro.scoring.resampling import Floats
from asr_dro.scoring.summaries import N_WORST

_TAG_LENGTH = 5
_WITHOUT_SPACES = frozenset({"cmn", "jpn", "tha", "yue"})


_ASCII_PUNCTUATION = str.maketrans("", "", "!\"#%&'()*,-./:;?@[\\]_{}")
_BLOCK = 1024  # texts that are looked at together
_HIGH, _LOW, _KEPT, _RIGHT = range(4)
_PART = 2.0**26


class Challenge2025(ProfileRule):
    """The challenge's scores.

    Args:
        material: The scored split; the challenge has tags and text, other tasks have no such scores.
    """

    def __init__(self, material: Material) -> None:
        values = np.zeros((len(material.utterances), 4), dtype=np.int64)
        if material.is_tagged and material.has_text:
            lines = [material.lines[utterance.source.utt_id] for utterance in material.utterances]
            references = [material.tagged_reference(utterance) for utterance in material.utterances]
            labels = [utterance.source.language for utterance in material.utterances]
            rates = utterance_rates(references, lines, labels)
            kept = np.array([rate is not None for rate in rates], dtype=bool)
            right = [line[:_TAG_LENGTH] == f"[{label}]" for line, label in zip(lines, labels, strict=True)]
            values[:, :2] = _in_two_parts(np.array([rate or 0.0 for rate in rates]))
            values[:, _KEPT], values[:, _RIGHT] = kept, kept & np.array(right, dtype=bool)
        super().__init__(material, values)
        kept_by_language = self.totals.by_language(self.totals.languages).sums[_KEPT][:, 0].tolist()
        self._n_utterances = {
            name: int(number)
            for name, number in zip(self.totals.languages, kept_by_language, strict=True)
            if number > 0
        }

    def measures(self, cells: CellSums) -> dict[str, Measure]:
        """Compute ``cer`` and, where tags say something, ``lid_accuracy``."""
        held = cells.by_language(list(self._n_utterances))
        rates = rates_of(held.sums[_HIGH] / _PART + held.sums[_LOW] / _PART**2, held.sums[_KEPT])
        found = {"cer": Measure(held.names, rates, held.freedom.tolist())}
        if self.material.has_accuracy:
            found["lid_accuracy"] = held.ratio(_RIGHT, _KEPT, lowest_is_worst=True)
        return found

    def layout(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return ``cer``, ``lid_accuracy``, ``worst15`` and ``sd`` over languages, and ``by_language``."""
        cer, accuracy = found["cer"], found.get("lid_accuracy")
        return {
            "cer": cer["mean"],
            "lid_accuracy": accuracy["mean"] if accuracy else None,
            "worst15": self._of_fifteen(cer["worst15"]),
            "sd": cer["sd"],
            "by_language": {
                name: {
                    "cer": cer["by_language"][name],
                    "lid_accuracy": accuracy["by_language"][name] if accuracy else None,
                }
                for name in self._n_utterances
            },
        }

    def score(self) -> dict[str, Any]:
        """Return the same, ``by_language`` with ``n_utterances`` too."""
        found = super().score()
        for name, number in self._n_utterances.items():
            found["by_language"][name]["n_utterances"] = number
        return found

    def _of_fifteen(self, worst: Any) -> Any:
        """Divide the sum of the worst (or the ends of its interval) by 15, even if there are fewer."""
        share = min(len(self._n_utterances), N_WORST) / N_WORST
        if isinstance(worst, list):
            return [share * bound for bound in worst]
        return None if worst is None else share * worst


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


def _in_two_parts(rates: Floats) -> Ints:
    """Write rates as two whole numbers, ``(N, 2)``: multiples of 2^-26 and, of what is left, of 2^-52.

    Sums of whole numbers are exact in any order, and so do not depend on the machine; sums of fractions are not.
    """
    scaled = rates * _PART
    high = np.floor(scaled)
    return np.stack([high, np.rint((scaled - high) * _PART)], axis=1).astype(np.int64)


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
