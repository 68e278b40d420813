from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr_dro.report.corpora import corpus_rows, largest_gap
from asr_dro.report.inputs import Inputs, Sources


def inputs(scores: dict[str, Any]) -> Inputs:
    return Inputs(Sources(Path("data"), Path("exp"), "greedy", ("test",)), {"test": scores}, [])


def test_corpora_come_worst_first() -> None:
    rates = {"cer": 0.1, "wer": 0.2, "lid": None, "n_utterances": 4}
    scores = {
        "by_corpus": {"mls": rates, "fleurs": {**rates, "cer": 0.3}, "tts": {**rates, "cer": None}},
        "counts": {"by_language_and_corpus": {"spa": {"mls": {}, "fleurs": {}}, "fin": {"fleurs": {}, "tts": {}}}},
        "intervals": {"cer": {"by_corpus": {"mls": [0.05, 0.2]}}},
    }
    rows = corpus_rows(inputs(scores))
    assert [(row["name"], row["cer"], row["n_languages"]) for row in rows] == [
        ("fleurs", 0.3, 2),
        ("mls", 0.1, 1),
        ("tts", None, 1),
    ]
    assert [row["interval"] for row in rows] == [None, (0.05, 0.2), None]


@pytest.mark.parametrize("corpora", [None, {}, [], {"only": {"cer": 0.1}}])
def test_one_corpus_or_none_is_no_table(corpora: object) -> None:
    assert corpus_rows(inputs({"by_corpus": corpora})) == []
    assert corpus_rows(inputs({})) == []


def test_the_language_whose_corpora_differ_most_is_named() -> None:
    assert largest_gap(inputs({})) is None
    none = {"largest_gap": 0.0, "largest_gap_language": "fin"}
    assert largest_gap(inputs({"macro_corpus": {"cer": none}})) is None
    gap = {"largest_gap": 0.125, "largest_gap_language": "spa"}
    assert largest_gap(inputs({"macro_corpus": {"cer": gap}})) == {"language": "spa", "points": 0.125}
