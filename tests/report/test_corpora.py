from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asr_dro.data.two_columns import read_two_columns, write_two_columns
from asr_dro.report.corpora import corpus_rows, group_table, largest_gap
from asr_dro.report.formats import interval_text
from asr_dro.report.inputs import Inputs, Sources
from asr_dro.report.intervals import interval_of
from asr_dro.report.render import make_report
from asr_dro.scoring.stage import score_all
from tests.report.experiment import MINI, write_experiment


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
    scores: dict[str, Any] = {"macro_corpus": {"cer": gap}}
    assert largest_gap(inputs(scores)) == {"language": "spa", "points": 0.125, "interval": None}
    scores["intervals"] = {"macro_corpus": {"cer": {"largest_gap": [0.1, 0.2]}}}
    assert largest_gap(inputs(scores)) == {"language": "spa", "points": 0.125, "interval": (0.1, 0.2)}


def test_groups_come_worst_first() -> None:
    assert group_table(inputs({})) is None
    cer = {"mean": 0.2, "worst": 0.3, "worst_group": "north", "by_group": {"east": None, "south": 0.1, "north": 0.3}}
    groups = {"cer": cer, "wer": {"by_group": {"east": None, "south": 0.2, "north": 0.4}}}
    intervals = {"groups": {"cer": {"mean": [0.1, 0.3], "worst": None, "by_group": {"north": [0.2, 0.4]}}}}
    table = group_table(inputs({"groups": groups, "intervals": intervals}))
    assert table is not None
    assert [(row["name"], row["interval"], row["wer"]) for row in table["rows"]] == [
        ("north", (0.2, 0.4), 0.4),
        ("south", None, 0.2),
        ("east", None, None),
    ]
    assert (table["mean_interval"], table["worst_interval"]) == ((0.1, 0.3), None)


def test_a_report_shows_corpora_and_groups_with_their_intervals(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:3])
    for split in ("dev", "test"):
        utterances = read_two_columns(made.data / split / "text")
        for file, names, run in (("utt2corpus", ("mls", "fleurs"), 2), ("utt2group", ("north", "south"), 3)):
            values = {utt: names[number // run % 2] for number, utt in enumerate(utterances)}
            write_two_columns(made.data / split / file, values)
    score_all(made.data, made.exp / "decode_greedy")
    html = " ".join(make_report(made.data, made.exp, "greedy")[0].read_text(encoding="utf-8").split())
    scores = json.loads((made.exp / "decode_greedy" / "test" / "scores.json").read_text(encoding="utf-8"))
    shown = interval_text(interval_of(scores, "macro_corpus", "cer", "largest_gap"))
    assert f"points of CER ({shown})." in html
    worst = scores["groups"]["cer"]["worst_group"]
    shown = interval_text(interval_of(scores, "groups", "cer", "worst"))
    assert f"({shown}): {worst}." in html
    of_group, of_corpus = ("groups", "cer", "by_group"), ("cer", "by_corpus")
    for name, keys in {"north": of_group, "south": of_group, "mls": of_corpus, "fleurs": of_corpus}.items():
        (row,) = re.findall(f'<th scope="row">{name}</th>.*?</tr>', html)
        shown = interval_text(interval_of(scores, *keys, name))
        assert f'<td class="interval">{shown}</td>' in row
