"""Sentences: readable phrases only, no sentence twice, and training data that cover the letters."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter

import pytest

from asr_dro.corpora.cldr_sentences import SentenceMaker, choose_phrases, usable_phrases
from asr_dro.data.languages import languages
from asr_dro.data.text import normalize
from asr_dro.errors import UserError

SAMPLE = ["fin", "haw", "hin", "jpn", "kat", "kor", "pap", "sin", "spa", "tha", "tur"]


@pytest.mark.parametrize("code", SAMPLE)
def test_phrases(code: str) -> None:
    phrases = usable_phrases(languages()[code].cldr_locale, code)
    assert len(phrases) >= 40
    texts = [normalize(phrase, code) for phrase in phrases]
    assert len(set(texts)) == len(texts)
    alphabets: Counter[str] = Counter()
    for character in "".join(texts):
        category = unicodedata.category(character)
        assert category[0] in "LM" or character in " '", character
        if category[0] == "L":
            alphabets[unicodedata.name(character).split()[0]] += 1
    assert not {"CJK", "MODIFIER"} & alphabets.keys() or code in ("haw",)
    assert alphabets.most_common(1)[0][1] > 0.3 * sum(alphabets.values())


def test_days_and_countries_are_there() -> None:
    phrases = usable_phrases("es", "spa")
    assert {"lunes", "julio", "Francia", "finés"} <= set(phrases)
    assert not any("." in phrase or any(map(str.isdigit, phrase)) for phrase in phrases)


def test_chosen_phrases_cover_every_letter() -> None:
    phrases = usable_phrases("tr", "tur")
    chosen = choose_phrases(phrases, 150, language="tur", rng=random.Random(1))
    assert len(set(chosen)) == 150
    holders = Counter(letter for phrase in chosen for letter in set(normalize(phrase, "tur")))
    everywhere = Counter(letter for phrase in phrases for letter in set(normalize(phrase, "tur")))
    assert all(holders[letter] >= min(4, everywhere[letter]) for letter in everywhere)
    assert choose_phrases(phrases, 150, language="tur", rng=random.Random(1)) == chosen
    assert sorted(choose_phrases(phrases, 10_000, language="tur", rng=random.Random(1))) == sorted(phrases)


def test_sentences() -> None:
    maker = SentenceMaker(["istanbul", "ığdır", "ankara", "izmir", "urfa"], language="tur", rng=random.Random(1))
    sentences = [maker.make(characters) for characters in (1, 15, 30, 100) * 25]
    texts = [normalize(sentence, "tur") for sentence in sentences]
    assert len(set(texts)) == len(texts)
    assert all(2 <= len(text.split()) <= 5 for text in texts)
    assert len(texts[3].split()) == 5
    assert all(sentence.endswith(".") for sentence in sentences)
    assert any(sentence.startswith("İstanbul") for sentence in sentences)
    assert any(sentence.startswith("Iğdır") for sentence in sentences)
    assert any("," in sentence for sentence in sentences)
    uses = Counter(" ".join(texts).split())
    assert max(uses.values()) < 2 * min(uses.values())


def test_sentences_run_out_with_an_error() -> None:
    maker = SentenceMaker(["lunes", "martes", "enero"], language="spa", rng=random.Random(1))
    made = []
    with pytest.raises(UserError, match=r"3 phrases of spa give no more than \d+ sentences"):
        while True:
            made.append(maker.make(10))
    assert len(made) > 200
