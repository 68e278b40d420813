from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.alignments import format_alignment, units, write_alignments
from asr_dro.scoring.hypotheses import Hypothesis
from asr_dro.scoring.scores import ScoredUtterance, score_utterances


def scored(reference: str, hypothesis: str, language: str = "eng") -> ScoredUtterance:
    source = Utterance("u-1", "x.flac", reference, "u", language, language, 1.0)
    return score_utterances([source], {"u-1": Hypothesis(hypothesis, language)})[0]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "lines"),
    [  # as sclite 2.10 shows them with -s -o pralign
        (
            "ab cd efg",
            "ab xx cd ef g",
            [
                "Scores: (#C #S #D #I) 2 1 0 2",
                "REF:  ab ** cd ** efg ",
                "HYP:  ab xx cd ef g   ",
                "Eval:    I     I  S   ",
            ],
        ),
        ("x y z", "", ["Scores: (#C #S #D #I) 0 0 3 0", "REF:  x y z ", "HYP:  * * * ", "Eval: D D D "]),
        ("", "q", ["Scores: (#C #S #D #I) 0 0 0 1", "REF:  * ", "HYP:  q ", "Eval: I "]),
    ],
)
def test_the_look_is_that_of_sclite(reference: str, hypothesis: str, lines: list[str]) -> None:
    assert format_alignment(scored(reference, hypothesis)).splitlines() == ["id: (u-1)", *lines]


def test_languages_without_spaces_are_aligned_by_characters_which_are_two_columns_wide() -> None:
    lines = format_alignment(scored("人们 住", "人住", "cmn")).splitlines()
    assert lines[1] == "Scores: (#C #S #D #I) 2 0 2 0"
    assert lines[2:4] == ["REF:  人 们 <space> 住 ", "HYP:  人 ** ******* 住 "]
    assert units("人 住", "cmn") == ["人", "<space>", "住"]
    assert units("人 住", "qqq") == ["人", "住"]


def test_marks_that_take_no_room_do_not_shift_columns() -> None:
    lines = format_alignment(scored("a\u0328\u0301 b", "a c", "lit")).splitlines()
    assert lines[2].replace("\u0328", "").replace("\u0301", "").index("b") == lines[3].index("c")


@given(st.text("ab é人", max_size=20), st.text("ab é人", max_size=20), st.sampled_from(["eng", "cmn"]))
def test_counts_are_those_of_the_marks_and_both_texts_are_there(reference: str, hypothesis: str, language: str) -> None:
    one = scored(reference, hypothesis, language)
    block = format_alignment(one)
    correct, substitutions, deletions, insertions = map(int, re.findall(r"\d+", block.splitlines()[1]))
    assert correct + substitutions + deletions == len(units(one.reference, language))
    assert correct + substitutions + insertions == len(units(one.hypothesis.text, language))
    for line, text in zip(block.splitlines()[2:4], (one.reference, one.hypothesis.text), strict=True):
        words = [word for word in line.split(" ")[1:] if word.strip("*")]
        assert words == list(units(text, language))


def test_a_file_holds_all_utterances(tmp_path: Path) -> None:
    write_alignments(tmp_path / "a.pra", [scored("a b", "a"), scored("c", "c")])
    assert (tmp_path / "a.pra").read_text(encoding="utf-8").count("id: (u-1)\n") == 2
