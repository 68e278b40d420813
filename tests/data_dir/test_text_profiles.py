"""The benchmarks' rules, stated a second time from their descriptions, on any text; and what holds for all profiles."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr_dro.data.config import TEXT_PROFILES
from asr_dro.data.text import PROFILES, normalize

ASCII_PUNCTUATION = {chr(n) for n in (*range(0x21, 0x30), *range(0x3A, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x7F))}
WITHOUT_SPACES = ("cmn", "jpn", "tha", "yue")

tricky = st.sampled_from([*"[[]]()IİıißŉǅΣς’“。、—–'-_\u0301 \u00a0\u3000\u2028\t", "\u200d", "[x]", "(y)"])
texts = st.lists(st.one_of(tricky, st.characters(exclude_categories=["Cs", "Cc"])), max_size=25).map("".join)
hostile = st.lists(st.one_of(tricky, st.characters(), st.sampled_from("\0\r\n\x1b\x85\ud800\udfff")), max_size=25)
languages = st.sampled_from(["eng", "tur", "aze", "kat", *WITHOUT_SPACES])


def without_brackets(text: str) -> str:
    """Remove from each opening bracket to the last closing one that no parenthesis parts from it."""
    kept, position = "", 0
    while position < len(text):
        closing = None
        if text[position] == "[":
            for index in range(position + 1, len(text)):
                if text[index] in "()":
                    break
                if text[index] == "]":
                    closing = index
        if closing is None:
            kept += text[position]
            position += 1
        else:
            position = closing + 1
    return kept


@settings(max_examples=400)
@given(text=texts, language=languages)
@example("don't [noise] stop [x] now", "eng")
def test_ml_superb(text: str, language: str) -> None:
    expected = "".join(c for c in without_brackets(text) if c not in ASCII_PUNCTUATION).upper()
    assert normalize(text, language, "ml_superb") == expected.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't [noise] stop [x] now", "DONT  NOW"),
        ("a [b (c) d] e", "A B C D E"),
        ("a (b) [c] d", "A B  D"),
        ("[laughter] “yes” — … ¿no? 。", "“YES” — … ¿NO 。"),
        ("Straße ılık i", "STRASSE ILIK I"),
        ("[open", "OPEN"),
        ("[]", ""),
        ("two\nlines\r\nand\0 more", "TWO LINES  AND MORE"),
    ],
)
def test_ml_superb_examples(text: str, expected: str) -> None:
    assert normalize(text, "tur", "ml_superb") == expected


@settings(max_examples=400)
@given(text=texts, language=languages)
def test_challenge(text: str, language: str) -> None:
    without_spaces = language in WITHOUT_SPACES
    kept = [c for c in text if not (without_spaces and c.isspace())]
    categories = ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")
    expected = "".join(c for c in kept if unicodedata.category(c) not in categories).upper()
    assert normalize(text, language, "challenge2025") == expected.strip()


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("cmn", "你 好，世\u3000界。", "你好世界"),
        ("yue", "OK 啦！", "OK啦"),
        ("org_jpn", "今日 は", "今日は"),
        ("kor", "안녕 하세요?", "안녕 하세요"),
        ("eng", "It's $5 - really", "ITS $5  REALLY"),
    ],
)
def test_challenge_examples(language: str, text: str, expected: str) -> None:
    assert normalize(text, language, "challenge2025") == expected


@given(text=texts, language=languages)
def test_none_keeps_everything_but_runs_of_white_space(text: str, language: str) -> None:
    assert normalize(text, language, "none").split() == text.split()


def test_none_examples() -> None:
    assert normalize(" [Noise]  Don't\tstop!\u2028…\x1b[31m\0 ", "eng", "none") == "[Noise] Don't stop! …[31m"


@settings(max_examples=300)
@given(text=hostile.map("".join), language=languages, profile=st.sampled_from(TEXT_PROFILES))
def test_every_profile_fits_a_line(text: str, language: str, profile: str) -> None:
    found = normalize(text, language, profile)
    assert found == found.strip()
    assert not set(found) & set("\r\n\0\x1b")
    assert found.encode().decode() == found
    assert normalize(found, language, profile) == found


def test_configuration_and_code_have_the_same_profiles() -> None:
    assert tuple(PROFILES) == TEXT_PROFILES
