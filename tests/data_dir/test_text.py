"""Normalisation of transcripts: one rule per example, and what must hold for any text in any language."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data.text import capitalize, lower, normalize


@pytest.mark.parametrize(
    ("language", "sentence", "expected"),
    [
        ("spa", "¡Hola, «Mundo»!  ¿Qué?", "hola mundo qué"),
        ("tur", "ISPARTA İstanbul I\u0307zmir", "ısparta istanbul izmir"),
        ("aze", "QIZIL İlan", "qızıl ilan"),
        ("deu", "İstanbul I\u0307 ẞ Straße", "istanbul i ß straße"),
        ("kat", "ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ საქართველო", "საქართველო საქართველო"),
        ("ell", "ΟΔΟΣ, Σ", "οδος σ"),
        ("fra", "L’été, l‘eau, lʼair, l'an, aujourd`hui 'oui'", "l'été l'eau l'air l'an aujourd'hui oui"),
        ("ukr", "п'ять п’ять пʼять", "п'ять п'ять п'ять"),
        ("eng", "rock 'n' roll – don't stop!!", "rock n roll don't stop"),
        ("cat", "col·lega · pinya", "col·lega pinya".replace("·", "")),
        ("heb", 'צה״ל אמר: "שלום"', "צהל אמר שלום"),
        ("hye", "Ի՞նչ է։", "ինչ է"),
        ("amh", "ሰላም፡ዓለም።", "ሰላም ዓለም"),
        ("fas", "می\u200cخواهم", "میخواهم"),
        ("fin", "Guinea-Bissau/Afrikka", "guinea bissau afrikka"),
        ("haw", "ʻAlapia Hawaiʻi", "ʻalapia hawai'i"),
        ("hin", "क़ज़ाख़", unicodedata.normalize("NFC", "क़ज़ाख़")),
        ("fra", "cafe\u0301\u00a0\u2028noir\ufeff\x00", "café noir"),
        ("eng", "5 € & 7% = ?", "5 7"),
        ("eng", "!!! ... «»", ""),
        ("eng", "", ""),
    ],
)
def test_examples(language: str, sentence: str, expected: str) -> None:
    assert normalize(sentence, language) == expected


languages = st.sampled_from(["spa", "tur", "aze", "kat", "ell", "lit", "deu", "heb", "hin"])
# Characters that interact: casing, combining marks, joiners, apostrophes, separators, besides anything at all
tricky = st.sampled_from("IİiıSΣσςAẞ'’ʼ`-·״՞\u0307\u0301\u0300\u0323\u0345\u200c\u200d\ufe0f \u2028\x85\t\nა\u1c90")
texts = st.lists(st.one_of(tricky, st.characters(exclude_categories=["Cs"])), max_size=20).map("".join)


@settings(max_examples=400, deadline=None)
@given(language=languages, text=texts)
def test_what_holds_for_any_text(language: str, text: str) -> None:
    found = normalize(text, language)
    assert normalize(found, language) == found
    assert unicodedata.normalize("NFC", found) == found
    assert found == " ".join(found.split(" ")).strip()
    assert "i\u0307" not in found
    for character in found:
        assert character in "' " or unicodedata.category(character)[0] in "LMN"
    assert not any(0x1C90 <= ord(character) <= 0x1CBF for character in found)
    assert "\n" not in found
    assert "\t" not in found


@pytest.mark.parametrize(
    ("language", "word", "expected"),
    [
        ("tur", "istanbul", "İstanbul"),
        ("tur", "ılgın", "Ilgın"),
        ("fin", "inari", "Inari"),
        ("kat", "ქალაქი", "ქალაქი"),
    ],
)
def test_capitalize(language: str, word: str, expected: str) -> None:
    assert capitalize(word, language) == expected
    assert lower(expected, language) == word


def test_capitalize_nothing() -> None:
    assert capitalize("", "fin") == ""
