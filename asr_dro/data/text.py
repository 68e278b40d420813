"""Normalisation of transcripts: what a recogniser is asked to write.

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
are consonants. ``normalize`` is idempotent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

DOTLESS_I_LANGUAGES = frozenset({"tur", "aze", "azj", "crh", "gag"})

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


def normalize(text: str, language: str) -> str:
    """Normalise a transcript by profile ``basic`` (see the module's text).

    Args:
        text: A sentence as the corpus has it.
        language: ISO 639-3 code, which decides the casing.

    Returns:
        The normalised text; empty if nothing speakable is left.
    """
    text = lower(unicodedata.normalize("NFC", text).translate(_WITHOUT_SILENT), language)
    text = _SIGNS_INSIDE_WORDS.sub(_sign_inside_word, text)
    text = text.translate(_WITHOUT_PUNCTUATION).replace(_KEPT_APOSTROPHE, "'")
    return unicodedata.normalize("NFC", _without_loose_dots(" ".join(text.split())))
