"""Normalisation of transcripts: what a recogniser is asked to write.

Four profiles (``PROFILES``); none returns a line end, white space at an end, or half of a surrogate pair, which no
file of lines can hold.

Profile ``basic``, in this order:

1. NFC; control, format and unassigned characters go (joiners and directional marks are silent), so do variation
   selectors; white space of any kind becomes a space.
2. Lower case. Turkish and its relatives: I -> dotless i, dotted I -> i. Elsewhere a dotted I becomes a plain i, never
   an i with a loose U+0307. Georgian capitals (Mtavruli) become Mkhedruli, the letters that sentences are written in.
3. An apostrophe (any of its look-alikes) between two letters becomes U+0027. Signs that are part of a word in their
   script (Catalan middle dot, Hebrew gershayim, Armenian intonation marks) go without a trace between two letters.
4. Every other punctuation mark or symbol becomes a space: where a script uses marks to part words (Ethiopic, Tibetan,
   hyphenated words) the words stay apart.
5. NFC again (step 1 may bring a letter next to its accent), runs of spaces become one, none at the ends.

Digits stay. The modifier letters U+02BB and U+02BC count as apostrophes between letters and stay elsewhere, where they
are consonants. The profile is idempotent.

Profile ``ml_superb`` is the rule of the ML-SUPERB recipes (ESPnet, egs2/ml_superb), with its peculiarities: what lies
between the first ``[`` and the last ``]`` goes if there is no parenthesis in between, words included; then ASCII
punctuation goes without a trace and letters become capitals, Turkish or not. Other punctuation stays, and so do two
spaces where a mark stood between them. Line ends become spaces and other control characters go, which the recipe's
own files cannot hold or do not have; spaces at the ends go, as they do when the recipe reads its file back.

Profile ``challenge2025`` is the rule by which the Interspeech 2025 ML-SUPERB 2.0 challenge scored (ESPnet,
egs2/ml_superb2, local/score.py): no white space in Mandarin, Japanese, Thai and Cantonese, no character of Unicode's
punctuation categories, capitals. Its file hygiene is that of ``ml_superb``.

Profile ``none`` keeps the text: runs of white space become one space, control characters go.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable

DOTLESS_I_LANGUAGES = frozenset({"tur", "aze", "azj", "crh", "gag"})

LANGUAGES_WITHOUT_SPACES = frozenset({"cmn", "jpn", "org_jpn", "tha", "yue"})  # org_jpn: a second label for jpn

_APOSTROPHES = frozenset("'’‘ʼʻ＇`´′")
_KEPT_APOSTROPHE = "\ue000"  # of private use, so step 1 has left none: stands in for U+0027 during step 4
_SILENT_INSIDE_WORDS = frozenset("·‧׳״՚՛՜՞՟")


def lower(text: str, language: str) -> str:
    """Return ``text`` in lower case by the rules of ``language`` (ISO 639-3)."""
    text = unicodedata.normalize("NFC", text)
    if language in DOTLESS_I_LANGUAGES:
        text = text.replace("I", "ı")
    return _without_loose_dots(text.replace("İ", "i").lower())


def _without_loose_dots(text: str) -> str:
    """Drop each U+0307 after an i: it is a rest of casing, cannot be heard, and would become a token of its own."""
    while "i\u0307" in text:
        text = text.replace("i\u0307", "i")
    return text


def capitalize(text: str, language: str) -> str:
    """Return ``text`` with its first letter in upper case by the rules of ``language`` (ISO 639-3)."""
    if not text or language == "kat":  # upper() would give Mtavruli letters, which no sentence begins with
        return text
    if language in DOTLESS_I_LANGUAGES and text[0] == "i":
        return "İ" + text[1:]
    return text[0].upper() + text[1:]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" and character not in _APOSTROPHES


class _Table(dict[int, str | None]):
    """A table for ``str.translate`` that works out each character when it first comes."""

    def __init__(self, rule: Callable[[str], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code_point: int) -> str | None:
        self[code_point] = replacement = self._rule(chr(code_point))
        return replacement


def _drop_silent(character: str) -> str | None:
    if character.isspace():
        return " "
    silent = unicodedata.category(character)[0] == "C" or 0xFE00 <= ord(character) <= 0xFE0F
    return None if silent else character


def _drop_punctuation(character: str) -> str:
    return " " if unicodedata.category(character)[0] in "PSZ" else character


_WITHOUT_SILENT, _WITHOUT_PUNCTUATION = _Table(_drop_silent), _Table(_drop_punctuation)
_SIGNS_INSIDE_WORDS = re.compile(f"[{re.escape(''.join(sorted(_APOSTROPHES | _SILENT_INSIDE_WORDS)))}]")


def _sign_inside_word(match: re.Match[str]) -> str:
    """Keep an apostrophe between two letters as U+0027, drop other signs there; elsewhere step 4 decides."""
    text, index, sign = match.string, match.start(), match[0]
    if 0 < index < len(text) - 1 and _is_letter(text[index - 1]) and _is_letter(text[index + 1]):
        return _KEPT_APOSTROPHE if sign in _APOSTROPHES else ""
    return sign


def _basic(text: str, language: str) -> str:
    text = lower(unicodedata.normalize("NFC", text).translate(_WITHOUT_SILENT), language)
    text = _SIGNS_INSIDE_WORDS.sub(_sign_inside_word, text)
    text = text.translate(_WITHOUT_PUNCTUATION).replace(_KEPT_APOSTROPHE, "'")
    return unicodedata.normalize("NFC", _without_loose_dots(" ".join(text.split())))


def _drop_unwritable(character: str) -> str | None:
    if character in "\r\n":
        return " "
    return None if unicodedata.category(character) in ("Cc", "Cs") and not character.isspace() else character


_WRITABLE = _Table(_drop_unwritable)
_BRACKETS = re.compile(r"\[[^()]*\]")  # greedy, as in the recipe
_WITHOUT_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WITHOUT_CATEGORY_P = _Table(lambda character: None if unicodedata.category(character)[0] == "P" else character)


def _ml_superb(text: str, language: str) -> str:
    text = _BRACKETS.sub("", text.translate(_WRITABLE))
    return text.translate(_WITHOUT_ASCII_PUNCTUATION).upper().strip()


def _challenge2025(text: str, language: str) -> str:
    text = text.translate(_WRITABLE)
    if language in LANGUAGES_WITHOUT_SPACES:
        text = "".join(text.split())
    return text.translate(_WITHOUT_CATEGORY_P).upper().strip()


def _none(text: str, language: str) -> str:
    return " ".join(text.translate(_WRITABLE).split())


PROFILES: dict[str, Callable[[str, str], str]] = {
    "basic": _basic,
    "ml_superb": _ml_superb,
    "challenge2025": _challenge2025,
    "none": _none,
}


def normalize(text: str, language: str, profile: str = "basic") -> str:
    """Normalise a transcript (see the module's text).

    Args:
        text: A sentence as the corpus has it.
        language: Label of ``data/languages.tsv``, which decides the casing and whether spaces are written.
        profile: One of ``PROFILES``.

    Returns:
        The normalised text, fit for one line of a file; empty if nothing is left.
    """
    return PROFILES[profile](text, language)
