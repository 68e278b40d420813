from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.report.alignment import MAX_GRAPHEMES, align, graphemes


def plain(marked: str) -> str:
    return html.unescape(re.sub(r"</?(?:mark|s|ins)>", "", marked))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "left", "right"),
    [
        ("abc", "abc", "abc", "abc"),
        ("abc", "axc", "a<mark>b</mark>c", "a<mark>x</mark>c"),
        ("abc", "ac", "a<s>b</s>c", "ac"),
        ("ac", "abc", "ac", "a<ins>b</ins>c"),
        ("", "ab", "", "<ins>ab</ins>"),
        ("ab", "", "<s>ab</s>", ""),
        ("a<b", "a&b", "a<mark>&lt;</mark>b", "a<mark>&amp;</mark>b"),
        ("हिन्दी", "हन्दी", "<mark>हि</mark>न्दी", "<mark>ह</mark>न्दी"),
    ],
)
def test_differences_are_marked(reference: str, hypothesis: str, left: str, right: str) -> None:
    assert tuple(map(str, align(reference, hypothesis))) == (left, right)


@given(st.text(alphabet="ab<&\"' é́人تि👩‍"), st.text(alphabet="ab<&\"' é́人تि👩‍"))
def test_without_marks_the_texts_are_what_they_were(reference: str, hypothesis: str) -> None:
    left, right = align(reference, hypothesis)
    assert (plain(left), plain(right)) == (reference, hypothesis)
    assert "<ins>" not in left
    assert "<s>" not in right


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("ab", ["a", "b"]),
        ("x\u0301y", ["x\u0301", "y"]),
        ("\u0301a", ["\u0301", "a"]),  # a mark without a base stands alone
        ("क्षि", ["क्", "षि"]),
        ("👩\u200d🚀!", ["👩\u200d🚀", "!"]),
        ("", []),
    ],
)
def test_marks_stay_with_their_base(text: str, clusters: list[str]) -> None:
    assert graphemes(text) == clusters


def test_long_texts_are_cut() -> None:
    left, _ = align("a" * 5000, "b")
    assert len(plain(left)) == MAX_GRAPHEMES + 1
    assert plain(left).endswith("…")
