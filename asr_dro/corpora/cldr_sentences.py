"""Sentences made of Unicode CLDR phrases: names of countries, languages, months, days, currencies, scripts and cities.

The data come with the package ``Babel``, hold a thousand locales and need no download. A sentence is a list of two to
five phrases, which is enough for a recogniser to learn a language's letters from a few hundred clips.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from asr_dro.data.text import capitalize, normalize
from asr_dro.errors import UserError

_LONGEST_PHRASE = 20  # characters: longer names are titles such as "Heard Island and McDonald Islands"
_SHORTEST_PHRASE = 2
_INSIDE_WORDS = "'’ʻʼ -\u200c\u200d"
_ALWAYS_READABLE = {"COMBINING", "MODIFIER"}
_KANA = {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}  # eSpeak says "Chinese letter" for each kanji
_FEWEST_PHRASES = 40
_ENOUGH_PHRASES = 200
_ATTEMPTS = 100  # each aims at a longer sentence, of which there are many more


def _common_names(locale: Any) -> Iterable[str]:
    """Yield the names of a Babel locale that its speakers use: days, months, countries, larger languages."""
    for context in ("format", "stand-alone"):
        yield from locale.days[context]["wide"].values()
        yield from locale.months[context]["wide"].values()
    yield from locale.territories.values()
    yield from (name for code, name in locale.languages.items() if len(code) == 2)


def _rarer_names(locale: Any) -> Iterable[str]:
    """Yield names that are often foreign words: for locales with little else."""
    yield from locale.currencies.values()
    yield from (name for code, name in locale.languages.items() if len(code) != 2)
    yield from locale.scripts.values()


def _alphabet(character: str) -> str:
    return unicodedata.name(character, "?").split()[0]


def _alphabets_to_keep(phrases: Sequence[str], language: str) -> set[str]:
    if language == "jpn":
        return _KANA | _ALWAYS_READABLE
    counts = Counter(_alphabet(character) for phrase in phrases for character in phrase if character.isalpha())
    return {counts.most_common(1)[0][0]} | _ALWAYS_READABLE if counts else set()


def _is_speakable(phrase: str, alphabets: set[str]) -> bool:
    readable = (
        character in _INSIDE_WORDS or (unicodedata.category(character)[0] in "LM" and _alphabet(character) in alphabets)
        for character in phrase
    )
    return all(readable) and _SHORTEST_PHRASE <= len(phrase) <= _LONGEST_PHRASE


def _without_rare_characters(phrases: list[str], language: str) -> list[str]:
    """Drop phrases with a character that few others have; a character must be heard often to be learnt."""
    texts = {phrase: set(normalize(phrase, language)) for phrase in phrases}
    for fewest in (5, 3, 2, 1):
        kept = phrases
        while True:
            counts = Counter(character for phrase in kept for character in texts[phrase])
            left = [phrase for phrase in kept if all(counts[character] >= fewest for character in texts[phrase])]
            if len(left) == len(kept):
                break
            kept = left
        if len(kept) >= _FEWEST_PHRASES:
            return kept
    return phrases


def usable_phrases(cldr_locale: str, language: str) -> list[str]:
    """Return the phrases of a CLDR locale that eSpeak can read: one alphabet, no digits, brackets or abbreviations.

    Args:
        cldr_locale: Babel's name of the locale, such as ``es``.
        language: ISO 639-3 code.

    Returns:
        Unique phrases, the commonest kinds of words first; the order is that of CLDR and the same on every machine.
    """
    import babel  # 0.1 s

    locale = babel.Locale.parse(cldr_locale)
    common = [unicodedata.normalize("NFC", name).strip() for name in _common_names(locale)]
    alphabets = _alphabets_to_keep(common, language)
    unique: dict[str, str] = {}
    for names in (common, _rarer_names(locale)):
        if len(unique) >= _ENOUGH_PHRASES:
            break
        for name in names:
            if _is_speakable(name, alphabets):
                unique.setdefault(normalize(name, language), name)
    unique.pop("", None)
    return _without_rare_characters(list(unique.values()), language)


def choose_phrases(phrases: Sequence[str], number: int, *, language: str, rng: random.Random) -> list[str]:
    """Choose at most ``number`` phrases at random; every character is in at least four of them if it can be."""
    shuffled = rng.sample(list(phrases), len(phrases))
    texts = {phrase: set(normalize(phrase, language)) for phrase in shuffled}
    holders = Counter(character for phrase in shuffled for character in texts[phrase])
    chosen: dict[str, None] = {}
    covered: Counter[str] = Counter()
    for character in sorted(holders, key=lambda c: (holders[c], c)):  # the rarest first: they leave the least choice
        for phrase in shuffled:
            if covered[character] >= 4 or len(chosen) >= number:
                break
            if character in texts[phrase] and phrase not in chosen:
                chosen[phrase] = None
                covered.update(texts[phrase])
    for phrase in shuffled:
        if len(chosen) >= number:
            break
        chosen[phrase] = None
    return list(chosen)


class SentenceMaker:
    """Endless different sentences; no two are equal after normalisation.

    Args:
        phrases: What sentences are made of.
        language: ISO 639-3 code.
        rng: Source of the choices.
        most_phrases: Number of phrases that no sentence exceeds.
    """

    def __init__(self, phrases: Sequence[str], *, language: str, rng: random.Random, most_phrases: int = 5) -> None:
        self._phrases = list(phrases)
        self._most_phrases = most_phrases
        self._language = language
        self._rng = rng
        self._made: set[str] = set()
        self._uses: Counter[str] = Counter()

    def _next_phrase(self) -> str:
        # The less used of two: phrases, and with them rare characters, come about equally often
        candidates = self._rng.sample(self._phrases, 2)
        phrase = min(candidates, key=lambda candidate: self._uses[candidate])
        self._uses[phrase] += 1
        return phrase

    def make(self, characters: int) -> str:
        """Make a sentence that has not been made before.

        Args:
            characters: Length aimed at; the sentence has at least two phrases.

        Returns:
            A sentence with a capital, perhaps commas or quotation marks, and a full stop.

        Raises:
            UserError: If there seem to be no more different sentences.
        """
        for attempt in range(_ATTEMPTS):
            phrases = [self._next_phrase(), self._next_phrase()]
            while len(phrases) < self._most_phrases:
                phrase = self._next_phrase()
                if sum(map(len, phrases)) + len(phrase) / 2 > characters + attempt:
                    break
                phrases.append(phrase)
            text = normalize(" ".join(phrases), self._language)
            if text not in self._made:
                self._made.add(text)
                return self._punctuate(phrases)
        raise UserError(
            f"{len(self._phrases)} phrases of {self._language} give no more than {len(self._made)} sentences; "
            "ask for fewer clips or more phrases"
        )

    def _punctuate(self, phrases: list[str]) -> str:
        if self._rng.random() < 0.02:  # readers of releases must cope with bare quotation marks
            phrases = [f'"{phrases[0]}"', *phrases[1:]]
        sentence = phrases[0]
        for phrase in phrases[1:]:
            sentence += (", " if self._rng.random() < 0.25 else " ") + phrase
        return capitalize(sentence, self._language) + "."
