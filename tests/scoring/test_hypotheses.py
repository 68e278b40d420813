from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.errors import UserError
from asr_dro.scoring.error_rate import canonical
from asr_dro.scoring.hypotheses import (
    Hypothesis,
    check_one_to_one,
    format_hypothesis,
    split_language_tag,
)


@pytest.mark.parametrize(
    ("line", "text", "language"),
    [
        ("[fin] hyvää päivää", "hyvää päivää", "fin"),
        ("hyvää päivää", "hyvää päivää", None),
        ("[fin]", "", "fin"),
        ("", "", None),
        ("   ", "", None),
        ("  [fin]   a   b ", "a b", "fin"),
        ("[xyz] a", "a", "xyz"),
        ("[org_jpn] a", "a", "org_jpn"),
        ("[fin]a b", "[fin]a b", None),  # not a token of its own: text, and scored as such
        ("a [fin] b", "a [fin] b", None),
        ("[fin] [spa] a", "[spa] a", "fin"),  # only the first is a tag
        ("[] a", "a", None),  # "no language", said explicitly
        ("[] [x] a", "[x] a", None),
        ("[fi n] a", "[fi n] a", None),
        ("[[fin]] a", "[[fin]] a", None),
        ("[fin\u00a0] a", "[fin ] a", None),
        ("[fin] e\u0301", "é", "fin"),
    ],
)
def test_only_a_whole_first_token_is_a_tag(line: str, text: str, language: str | None) -> None:
    assert split_language_tag(line) == Hypothesis(text, language)


@given(
    language=st.sampled_from([None, "fin", "org_jpn"]),
    words=st.lists(st.one_of(st.sampled_from(["[]", "[x]", "[fin]", "[[x]]", "a"]), st.text(max_size=4)), max_size=4),
)
def test_what_is_written_is_read_back(language: str | None, words: list[str]) -> None:
    text = " ".join(" ".join(words).split())
    assert split_language_tag(format_hypothesis(language, text)) == Hypothesis(canonical(text), language)


def test_the_mark_of_no_language_is_written_only_where_it_is_needed() -> None:
    assert format_hypothesis(None, "hyvää [x]") == "hyvää [x]"
    assert format_hypothesis(None, "[x] hyvää") == "[] [x] hyvää"
    assert format_hypothesis("fin", "") == "[fin]"


def test_missing_and_surplus_utterances_are_named() -> None:
    check_one_to_one(["a", "b"], ["b", "a"], where="here")
    with pytest.raises(UserError) as caught:
        check_one_to_one([f"u{n}" for n in range(9)], ["u1", "u8", "stranger"], where="exp/text")
    message = str(caught.value)
    assert message.startswith("exp/text: 7 of 9 utterances have no hypothesis: u0, u2, u3, u4, u5 and 2 more; ")
    assert "1 hypotheses have no reference: stranger" in message
