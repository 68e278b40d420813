from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.hypotheses import split_language_tag
from asr_dro.scoring.scores import score_utterances, summarise
from asr_dro.scoring.summaries import macro_over_corpora, summarise_values

# utterance, language, reference, hypothesis
Row = tuple[str, str, str, str]
ROWS: list[Row] = [
    ("u1", "fin", "abcd", "[fin] abcd"),
    ("u2", "fin", "ab cd", "[fin] ab c"),  # 1 of 5 characters, 1 of 2 words
    ("u3", "spa", "aa", "[fin] ab"),  # 1 of 2, 1 of 1; wrong language
    ("u4", "spa", "a b", "x y z"),  # 2 substitutions + 2 insertions of 3; 2 + 1 of 2 words; no tag
    ("u5", "tur", "abcdefghij", "[xxx]"),  # all 10 deleted; a label that no reference has
]


NEW_KEYS = {"best", "best_language", "range", "worst15", "n_worst15"}


def scores_of(
    rows: Sequence[Row], groups: dict[str, str] | None = None, corpora: dict[str, str] | None = None
) -> dict[str, Any]:
    references = [
        Utterance(
            utt,
            f"{utt}.flac",
            text,
            f"s-{utt}",
            language,
            (groups or {}).get(language, language),
            1.0,
            (corpora or {}).get(utt, ""),
        )
        for utt, language, text, _ in rows
    ]
    hypotheses = {utt: split_language_tag(hypothesis) for utt, _, _, hypothesis in rows}
    return summarise(score_utterances(references, hypotheses), corpus="the-set")


def test_golden_case() -> None:
    scores = scores_of(ROWS)
    cer = {"fin": 1 / 9, "spa": 5 / 5, "tur": 10 / 10}
    wer = {"fin": 1 / 3, "spa": 4 / 3, "tur": 1.0}
    assert scores["cer"] == {
        "mean": pytest.approx((1 / 9 + 2) / 3),
        "sd": pytest.approx(statistics.stdev(cer.values())),
        "worst": 1.0,
        "worst_language": "spa",  # a tie: the first in alphabetical order
        "best": 1 / 9,
        "best_language": "fin",
        "range": 8 / 9,
        "worst15": pytest.approx((1 / 9 + 2) / 3),  # there are only three
        "n_worst15": 3,
        "micro": pytest.approx(16 / 24),
        "by_language": cer,
    }
    assert scores["wer"] == {
        "mean": pytest.approx(sum(wer.values()) / 3),
        "sd": pytest.approx(statistics.stdev(wer.values())),
        "worst": 4 / 3,
        "worst_language": "spa",
        "best": 1 / 3,
        "best_language": "fin",
        "range": 1.0,
        "worst15": pytest.approx(sum(wer.values()) / 3),
        "n_worst15": 3,
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


def test_keys_are_those_of_the_contract_in_its_order() -> None:
    scores = scores_of(ROWS)
    assert "groups" not in scores
    assert list(scores)[:5] == ["cer", "wer", "lid_accuracy", "n_utterances", "profile"]
    for metric in ("cer", "wer"):
        assert set(scores[metric]) == {"mean", "sd", "worst", "worst_language", "micro", "by_language"} | NEW_KEYS
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
        **dict.fromkeys({"micro", "mean", "sd", "worst", "worst_language"} | NEW_KEYS),
        "n_worst15": 0,
        "by_language": dict.fromkeys(("fin", "spa", "tur")),
    }
    assert scores["counts"]["by_language"]["fin"]["n_language_right"] is None
    assert (scores["cer"], scores["wer"]) == (usual["cer"], usual["wer"])
    assert (scores["task"], scores["profile"]) == ("asr", "none")


def test_without_text_there_are_no_error_rates() -> None:
    scores, usual = of_task("lid"), scores_of(ROWS)
    for metric in ("cer", "wer"):
        assert scores[metric] == {
            **dict.fromkeys({"mean", "sd", "worst", "worst_language", "micro"} | NEW_KEYS),
            "n_worst15": 0,
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


def test_corpora_count_once_in_their_language_and_each_has_its_own_scores() -> None:
    scores = scores_of(ROWS, corpora={"u1": "mls", "u2": "fleurs", "u3": "mls", "u4": "mls", "u5": "fleurs"})
    assert scores["by_corpus"] == {
        "fleurs": {"cer": 11 / 15, "wer": 2 / 3, "lid": 1 / 2, "n_utterances": 2},
        "mls": {"cer": 5 / 9, "wer": 4 / 4, "lid": 1 / 3, "n_utterances": 3},
    }
    cer = scores["macro_corpus"]["cer"]
    assert cer["by_language_and_corpus"] == {
        "fin": {"fleurs": 1 / 5, "mls": 0.0},
        "spa": {"mls": 1.0},
        "tur": {"fleurs": 1.0},
    }
    assert cer["by_language"] == {"fin": 0.1, "spa": 1.0, "tur": 1.0}
    assert cer["mean"] == pytest.approx(2.1 / 3)
    assert (cer["largest_gap"], cer["largest_gap_language"]) == (1 / 5, "fin")
    assert scores["cer"] == scores_of(ROWS)["cer"]
    pairs = scores["counts"]["by_language_and_corpus"]
    assert pairs["fin"]["fleurs"]["cer"] == {"reference_length": 5, "substitutions": 0, "deletions": 1, "insertions": 0}
    assert sum(one["n_utterances"] for of_language in pairs.values() for one in of_language.values()) == 5


def test_a_set_that_does_not_know_its_corpora_is_one_corpus() -> None:
    scores = scores_of(ROWS)
    assert list(scores["by_corpus"]) == ["the-set"]
    assert scores["by_corpus"]["the-set"]["cer"] == scores["cer"]["micro"]
    assert scores["macro_corpus"]["cer"]["by_language"] == scores["cer"]["by_language"]
    assert scores["macro_corpus"]["cer"]["largest_gap"] == 0.0


def test_confusion_counts_what_was_recognised_for_each_language() -> None:
    assert scores_of(ROWS)["confusion"] == {"fin": {"fin": 2}, "spa": {"fin": 1, "null": 1}, "tur": {"xxx": 1}}
    assert of_task("asr")["confusion"] is None


def test_the_worst_fifteen_are_the_fifteen_highest() -> None:
    values: dict[str, float | None] = {f"l{n:02}": n / 100 for n in range(20)}
    summary = summarise_values({**values, "none": None}, key="language")
    assert (summary["worst15"], summary["n_worst15"]) == (pytest.approx(sum(range(5, 20)) / 1500), 15)
    assert (summary["best_language"], summary["worst_language"], summary["range"]) == ("l00", "l19", 0.19)
    accuracy = summarise_values(values, key="language", worst=min)
    assert accuracy["worst15"] == pytest.approx(sum(range(15)) / 1500)
    assert (accuracy["best_language"], accuracy["range"]) == ("l19", 0.19)


def test_a_corpus_without_reference_text_has_no_part_in_its_language() -> None:
    macro = macro_over_corpora({"fin": {"a": 0.5, "b": None}, "spa": {"a": None}})
    assert macro["by_language"] == {"fin": 0.5, "spa": None}
    assert (macro["mean"], macro["largest_gap"], macro["largest_gap_language"]) == (0.5, 0.0, "fin")
    assert macro_over_corpora({})["largest_gap_language"] is None


@given(
    st.lists(st.tuples(st.sampled_from(["fin", "spa"]), st.sampled_from(["a", "b"]), *[st.text("ab ", max_size=6)] * 2))
)
def test_counts_of_parts_add_up_to_those_of_the_whole(rows: list[tuple[str, str, str, str]]) -> None:
    listed = [(f"u{n}", language, text, f"[fin] {found}") for n, (language, _, text, found) in enumerate(rows)]
    scores = scores_of(listed, corpora={f"u{n}": corpus for n, (_, corpus, _, _) in enumerate(rows)})
    counts = scores["counts"]
    for language, total in counts["by_language"].items():
        parts = counts["by_language_and_corpus"][language].values()
        assert total["n_utterances"] == sum(part["n_utterances"] for part in parts)
        assert total["n_utterances"] == sum(scores["confusion"][language].values())
        for metric in ("cer", "wer"):
            for name, value in total[metric].items():
                assert value == sum(part[metric][name] for part in parts)
    one_by_one = [scores_of([row])["counts"]["by_language"][row[1]] for row in listed]
    for metric in ("cer", "wer"):
        for name in ("reference_length", "substitutions", "deletions", "insertions"):
            whole = sum(total[metric][name] for total in counts["by_language"].values())
            assert whole == sum(one[metric][name] for one in one_by_one)


@given(st.lists(st.tuples(st.sampled_from(["fin", "spa"]), st.text(max_size=8)), min_size=1))
def test_a_text_against_itself_has_no_errors(rows: list[tuple[str, str]]) -> None:
    texts = [" ".join(text.replace("[", "").split()) for _, text in rows]
    listed = [
        (f"u{n}", language, text, f"[{language}] {text}")
        for n, ((language, _), text) in enumerate(zip(rows, texts, strict=True))
    ]
    scores = scores_of(listed)
    for metric in ("cer", "wer"):
        assert set(scores[metric]["by_language"].values()) <= {0.0, None}
    assert scores["lid_accuracy"]["micro"] == 1.0
