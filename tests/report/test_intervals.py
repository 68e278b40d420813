from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr_dro.report.intervals import about_intervals, complement, interval_of, level_of
from asr_dro.report.languages import error_chart, language_rows, main_measure
from asr_dro.report.render import make_report
from asr_dro.scoring.stage import score_all
from tests.report.experiment import MINI, write_experiment
from tests.report.test_languages import inputs

NEWER_KEYS = ("intervals", "by_corpus", "macro_corpus", "confusion", "profiles")
NEWER_SUMMARIES = ("best", "best_language", "range", "worst15", "n_worst15")


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ({}, None),
        ({"intervals": None}, None),
        ({"intervals": []}, None),
        ({"intervals": {"cer": None}}, None),
        ({"intervals": {"cer": {"mean": None}}}, None),
        ({"intervals": {"cer": {"mean": [0.1]}}}, None),
        ({"intervals": {"cer": {"mean": [0.1, None]}}}, None),
        ({"intervals": {"cer": {"mean": [0.1, float("nan")]}}}, None),
        ({"intervals": {"cer": {"mean": [0.2, 0.1]}}}, None),
        ({"intervals": {"cer": {"mean": "12"}}}, None),
        ({"intervals": {"cer": {"mean": [0.1, 0.2]}}}, (0.1, 0.2)),
    ],
)
def test_only_what_is_an_interval_is_one(scores: dict[str, Any], found: tuple[float, float] | None) -> None:
    assert interval_of(scores, "cer", "mean") == found


def test_what_intervals_rest_on() -> None:
    nothing = {"unit": "", "few": [], "worst_share": []}
    odd: list[dict[str, Any]] = [{}, {"intervals": None}, {"intervals": {"unit": "speaker"}}]
    for scores in [*odd, {"intervals": {"cer": [], "unit": []}}]:
        assert about_intervals(scores, "cer") == nothing
        assert level_of(scores) == 0.95
    units = {"fin": {"unit": "utterance", "n": 9}, "spa": {"unit": "speaker", "n": 3}}
    shares = {"fin": 0.25, "spa": 0.75, "tur": None}
    full = {"level": 0.9, "unit": {"by_language": units, "few": ["spa"]}, "cer": {"worst_share": shares}}
    assert about_intervals({"intervals": full}, "cer") == {
        "unit": "speakers or utterances",
        "few": ["spa"],
        "worst_share": [("spa", 0.75), ("fin", 0.25)],
    }
    assert level_of({"intervals": full}) == 0.9


def test_the_interval_of_an_accuracy_is_turned_round_for_its_errors() -> None:
    assert complement((0.75, 1.0)) == (0.0, 0.25)
    assert complement(None) is None
    given = inputs([("fin", "fin", ""), ("fin", "spa", ""), ("spa", "spa", "")], task="lid")
    scores = dict(given.main_scores)
    over = {"mean": [0.5, 0.75], "sd": [0.1, 0.2], "by_language": {"fin": [0.25, 1.0], "spa": None}}
    scores["intervals"] = {"lid_accuracy": over, "cer": {"mean": None}}
    measure = main_measure(scores)
    assert measure.intervals == {"mean": (0.25, 0.5), "sd": (0.1, 0.2)}
    assert measure.by_language == {"fin": (0.0, 0.75)}


def test_a_bar_leaves_room_for_its_interval() -> None:
    given = inputs([("fin", "fin", "abcx"), ("spa", "spa", "abcd")])
    given.main_scores["intervals"] = {"cer": {"by_language": {"fin": [0.125, 0.5]}}}  # type: ignore[index]
    finnish, spanish = language_rows(given)
    assert (finnish.interval, spanish.interval) == ((0.125, 0.5), None)
    assert 'width="500"' in finnish.bar, "the interval's end, 0.5, fills the width"
    assert "M250 50H1000" in finnish.bar
    assert "whisker" not in spanish.bar
    (_, picture), _ = error_chart(given, [finnish, spanish])["bars"]
    assert "M208.3 50H833.3" in picture, "the axis ends at 0.6, the round number above the interval"


def test_scores_of_an_older_version_are_shown(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:3], n_utterances=4)
    score_all(made.data, made.exp / "decode_greedy")
    newer = make_report(made.data, made.exp, "greedy")[0].read_text(encoding="utf-8")
    assert "95 % interval" in newer
    assert "whisker" in newer
    for split in ("dev", "test"):
        path = made.exp / "decode_greedy" / split / "scores.json"
        scores = json.loads(path.read_text(encoding="utf-8"))
        for key in NEWER_KEYS:
            scores.pop(key, None)
        scores["counts"].pop("by_language_and_corpus", None)
        for metric in ("cer", "wer", "lid_accuracy"):
            for key in NEWER_SUMMARIES:
                scores[metric].pop(key, None)
        path.write_text(json.dumps(scores), encoding="utf-8")
    older = make_report(made.data, made.exp, "greedy")[0].read_text(encoding="utf-8")
    assert "% interval" not in older
    assert 'class="whisker"' not in older
    assert older.count("<tr data-item") == newer.count("<tr data-item")
