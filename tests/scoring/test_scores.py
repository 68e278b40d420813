from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence
from typing import Any

import pytest

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.hypotheses import split_language_tag
from asr_dro.scoring.scores import score_utterances, summarise, summarise_values

# utterance, language, reference, hypothesis
Row = tuple[str, str, str, str]
ROWS: list[Row] = [
    ("u1", "fin", "abcd", "[fin] abcd"),
    ("u2", "fin", "ab cd", "[fin] ab c"),  # 1 of 5 characters, 1 of 2 words
    ("u3", "spa", "aa", "[fin] ab"),  # 1 of 2, 1 of 1; wrong language
    ("u4", "spa", "a b", "x y z"),  # 2 substitutions + 2 insertions of 3; 2 + 1 of 2 words; no tag
    ("u5", "tur", "abcdefghij", "[xxx]"),  # all 10 deleted; a label that no reference has
]


def scores_of(rows: Sequence[Row], groups: dict[str, str] | None = None) -> dict[str, Any]:
    references = [
        Utterance(utt, f"{utt}.flac", text, f"s-{utt}", language, (groups or {}).get(language, language), 1.0)
        for utt, language, text, _ in rows
    ]
    hypotheses = {utt: split_language_tag(hypothesis) for utt, _, _, hypothesis in rows}
    return summarise(score_utterances(references, hypotheses))


def test_golden_case() -> None:
    scores = scores_of(ROWS)
    cer = {"fin": 1 / 9, "spa": 5 / 5, "tur": 10 / 10}
    wer = {"fin": 1 / 3, "spa": 4 / 3, "tur": 1.0}
    assert scores["cer"] == {
        "mean": pytest.approx((1 / 9 + 2) / 3),
        "sd": pytest.approx(statistics.stdev(cer.values())),
        "worst": 1.0,
        "worst_language": "spa",  # a tie: the first in alphabetical order
        "micro": pytest.approx(16 / 24),
        "by_language": cer,
    }
    assert scores["wer"] == {
        "mean": pytest.approx(sum(wer.values()) / 3),
        "sd": pytest.approx(statistics.stdev(wer.values())),
        "worst": 4 / 3,
        "worst_language": "spa",
        "micro": pytest.approx(6 / 7),
        "by_language": wer,
    }
    assert scores["lid_accuracy"]["micro"] == 2 / 5
    assert scores["lid_accuracy"]["by_language"] == {"fin": 1.0, "spa": 0.0, "tur": 0.0}
    assert scores["lid_accuracy"]["worst_language"] == "spa"
    assert (scores["n_utterances"], scores["profile"], scores["ddof"]) == (5, "basic", 1)
    assert scores["counts"]["by_language"]["spa"] == {
        "n_utterances": 2,
        "cer": {"reference_length": 5, "substitutions": 3, "deletions": 0, "insertions": 2},
        "wer": {"reference_length": 3, "substitutions": 3, "deletions": 0, "insertions": 1},
        "n_language_right": 0,
    }
    assert "groups" not in scores


def test_keys_are_those_of_the_contract_in_its_order() -> None:
    scores = scores_of(ROWS)
    assert list(scores)[:5] == ["cer", "wer", "lid_accuracy", "n_utterances", "profile"]
    for metric in ("cer", "wer"):
        assert list(scores[metric]) == ["mean", "sd", "worst", "worst_language", "micro", "by_language"]
    assert {"micro", "by_language"} <= set(scores["lid_accuracy"])


def test_order_makes_no_difference_to_the_last_bit() -> None:
    rng = random.Random(3)
    rows = [
        (f"u{n}", f"l{n % 7:02}", "".join(rng.choices("ab c", k=30)), "[l01] " + "".join(rng.choices("ab c", k=28)))
        for n in range(100)
    ]
    expected = json.dumps(scores_of(rows))
    for _ in range(5):
        rng.shuffle(rows)
        assert json.dumps(scores_of(rows)) == expected


def of_task(task: str) -> dict[str, Any]:
    references = [Utterance(utt, "x", text, "s", language, language, 1.0) for utt, language, text, _ in ROWS]
    hypotheses = {utt: split_language_tag(hypothesis) for utt, _, _, hypothesis in ROWS}
    return summarise(score_utterances(references, hypotheses, task=task), task=task, profile="none")


def test_without_tags_there_is_no_accuracy_of_languages() -> None:
    scores, usual = of_task("asr"), scores_of(ROWS)
    assert scores["lid_accuracy"] == {
        **dict.fromkeys(("micro", "mean", "sd", "worst", "worst_language")),
        "by_language": dict.fromkeys(("fin", "spa", "tur")),
    }
    assert scores["counts"]["by_language"]["fin"]["n_language_right"] is None
    assert (scores["cer"], scores["wer"]) == (usual["cer"], usual["wer"])
    assert (scores["task"], scores["profile"]) == ("asr", "none")


def test_without_text_there_are_no_error_rates() -> None:
    scores, usual = of_task("lid"), scores_of(ROWS)
    for metric in ("cer", "wer"):
        assert scores[metric] == {
            **dict.fromkeys(("mean", "sd", "worst", "worst_language", "micro")),
            "by_language": dict.fromkeys(("fin", "spa", "tur")),
        }
    assert scores["lid_accuracy"] == usual["lid_accuracy"]
    assert list(scores) == list(usual)


def test_nothing_is_rounded() -> None:
    rows = [("u1", "fin", "abc", "[fin] abx"), ("u2", "spa", "abcdefg", "[spa] abcdefx")]
    assert scores_of(rows)["cer"]["mean"] == (1 / 3 + 1 / 7) / 2


def test_groups_that_are_not_languages_get_their_own_scores() -> None:
    groups = scores_of(ROWS, {"spa": "south", "tur": "south", "fin": "north"})["groups"]
    assert groups["cer"]["by_group"] == {"north": 1 / 9, "south": 15 / 15}
    assert groups["cer"]["worst_group"] == "south"
    assert groups["wer"]["micro"] == pytest.approx(6 / 7)


def test_one_language_has_no_deviation() -> None:
    cer = scores_of(ROWS[:2])["cer"]
    assert cer["sd"] is None
    assert cer["mean"] == cer["worst"] == cer["micro"] == 1 / 9


def test_a_language_without_reference_text_has_no_rate_and_no_part_in_the_mean() -> None:
    rows = [*ROWS[:2], ("u9", "zul", "", "[zul] ab")]
    cer = scores_of(rows)["cer"]
    assert cer["by_language"] == {"fin": 1 / 9, "zul": None}
    assert (cer["mean"], cer["worst_language"]) == (1 / 9, "fin")
    assert cer["micro"] == 3 / 9  # its insertions still count among all
    empty = scores_of([("u9", "zul", "", "[zul] ab")])["cer"]
    assert (empty["mean"], empty["worst"], empty["worst_language"], empty["micro"]) == (None, None, None, None)
    json.dumps(empty, allow_nan=False)


def test_the_worst_of_an_accuracy_is_the_smallest() -> None:
    assert summarise_values({"b": 0.5, "a": 0.5, "c": 1.0}, key="language", worst=min)["worst_language"] == "a"
