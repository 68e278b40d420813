"""Scripts of texts, and character pairs as a cheap model of how a language is written.

Scripts go by the first word of a character's Unicode name, which the standard library knows; the property
``Script`` itself it does not.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asr_dro.data.languages import languages

# First words of Unicode names -> ISO 15924. Others are their own name in lower case: what counts is whether two differ.
_SCRIPTS = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "ARABIC": "Arab", "GREEK": "Grek", "HEBREW": "Hebr", "ARMENIAN": "Armn",
    "GEORGIAN": "Geor", "DEVANAGARI": "Deva", "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr",
    "ORIYA": "Orya", "TAMIL": "Taml", "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh",
    "THAI": "Thai", "LAO": "Laoo", "MYANMAR": "Mymr", "KHMER": "Khmr", "ETHIOPIC": "Ethi", "THAANA": "Thaa",
    "TIFINAGH": "Tfng", "OL": "Olck", "HANGUL": "Kore", "HIRAGANA": "Jpan", "KATAKANA": "Jpan", "CJK": "Hani",
    "IDEOGRAPHIC": "Hani", "MODIFIER": "", "FULLWIDTH": "Latn", "COMBINING": "", "ZERO": "", "SUPERSCRIPT": "",
    "HALFWIDTH": "Jpan", "MASCULINE": "Latn", "FEMININE": "Latn", "MICRO": "Grek",
}  # fmt: skip
# Chinese characters are at home in these.
_WITH_CHINESE = {"Hans": "Hani", "Hant": "Hani", "Jpan": "Hani"}
_BUCKETS = 4096  # of pairs of characters
_MULTIPLIER = 31_337
_UNSEEN = 0.1  # of a pair that a language lacks


@functools.lru_cache(maxsize=65_536)
def script_of_character(character: str) -> str:
    """Give a letter's script as an ISO 15924 code; empty for digits, punctuation, marks that go with any script."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    first = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    return _SCRIPTS.get(first, first.casefold())


def count_scripts(text: str) -> Counter[str]:
    """Count the letters of each script."""
    counts: Counter[str] = Counter()
    for character, n in Counter(text).items():
        if script := script_of_character(character):
            counts[script] += n
    return counts


def family(script: str) -> str:
    """Give the name under which scripts are compared: those written with Chinese characters are one."""
    return _WITH_CHINESE.get(script, script)


def main_script(counts: Mapping[str, int]) -> str:
    """Give the commonest script, compared by :func:`family`; empty if there are no letters."""
    families: Counter[str] = Counter()
    for script, n in counts.items():
        families[family(script)] += n
    return min(families, key=lambda name: (-families[name], name)) if families else ""


def usual_script(language: str, counts: Mapping[str, int]) -> str:
    """Give a language's script: the table's if its texts agree, else the commonest in its texts.

    Args:
        language: Its label.
        counts: Letters of each script in its texts.
    """
    known = languages().get(language)
    seen = main_script(counts)
    return known.script if known and seen in ("", family(known.script)) else seen


class CharacterPairs:
    """How probable pairs of characters are in each language.

    Pairs fall into a fixed number of buckets, so that a language is one row of numbers whatever its script. A text is
    judged by all other texts of its language, never by itself.

    Args:
        texts: The transcripts of each language.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self.languages = list(texts)
        self._rows = {name: row for row, name in enumerate(self.languages)}
        self._counts = np.full((len(texts), _BUCKETS), _UNSEEN)
        for row, members in enumerate(texts.values()):
            self._counts[row] += np.bincount(_buckets("\n".join(members)), minlength=_BUCKETS)
        self._totals = self._counts.sum(axis=1)

    def own(self, language: str, text: str) -> float:
        """Return the mean log-probability of a text's pairs in the rest of its language; ``nan`` without pairs."""
        buckets = _buckets(text)
        if not len(buckets):
            return np.nan
        row = self._rows[language]
        within = np.bincount(buckets, minlength=_BUCKETS)[buckets]
        counts, total = self._counts[row][buckets] - within, self._totals[row] - len(buckets)
        return float(np.mean(np.log(counts / total)))

    def likeliest(self, language: str, text: str) -> tuple[str, float]:
        """Return the language in which a text is likeliest, and by how much per pair it is so over its own."""
        buckets = _buckets(text)
        if not len(buckets):
            return language, 0.0
        means = np.log(self._counts[:, buckets] / self._totals[:, None]).mean(axis=1)
        means[self._rows[language]] = own = self.own(language, text)
        best = int(np.argmax(means))
        return self.languages[best], float(means[best] - own)


def _buckets(text: str) -> NDArray[np.int64]:
    """Return the bucket of each pair of neighbouring characters."""
    codes = np.frombuffer(text.encode("utf-32-le", errors="replace"), dtype=np.uint32).astype(np.int64)
    pairs: NDArray[np.int64] = (codes[:-1] * _MULTIPLIER + codes[1:]) % _BUCKETS
    within = (codes[:-1] != ord("\n")) & (codes[1:] != ord("\n"))  # one text does not go on in the next
    kept: NDArray[np.int64] = pairs[within]
    return kept
