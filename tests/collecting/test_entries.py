from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_dro.collecting.entries import Entry, Value, read_entries
from asr_dro.collecting.find import Place
from asr_dro.collecting.runs import read_run
from tests.collecting.experiments import CER, add_scores, make_scores, write, write_run, write_scored

MEAN = sum(CER.values()) / len(CER)


def entries(folder: Path, *splits: str, decode: str | None = None) -> list[Entry]:
    return read_entries(read_run(Place(folder.parent, folder)), splits or ["test"], decode)


def only(folder: Path) -> Entry:
    (entry,) = entries(folder)
    return entry


def test_scores_with_intervals(tmp_path: Path) -> None:
    entry = only(write_scored(tmp_path / "x"))
    assert (entry.state, entry.decode, entry.worst_language) == ("scored", "greedy", "hin")
    assert (entry.n_languages, entry.n_utterances, entry.seeds) == (3, 30, (1,))
    value = entry.values["mean_cer"]
    assert (value.value, value.low, value.high) == pytest.approx((0.2, 0.18, 0.22))
    assert entry.values["worst_cer"] == Value(0.3, 0.25, 0.35)
    assert entry.number("lid_accuracy") == 0.75


def test_scores_of_before_there_were_intervals(tmp_path: Path) -> None:
    folder = write_scored(tmp_path / "x")
    write(folder / "decode_greedy/test/scores.json", json.dumps(make_scores(CER, intervals=False)))
    entry = only(folder)
    assert entry.values["mean_cer"] == Value(MEAN)
    assert "worst15_cer" not in entry.values


def test_labels_without_text_and_without_tags(tmp_path: Path) -> None:
    folder = write_scored(tmp_path / "x")
    scores = make_scores(CER)
    scores["cer"] = {"mean": None, "sd": None, "worst": None, "worst_language": None, "by_language": {"fin": None}}
    scores["wer"] = scores["cer"]
    write(folder / "decode_greedy/test/scores.json", json.dumps(scores))
    entry = only(folder)
    assert set(entry.values) == {"lid_accuracy"}
    scores = {**make_scores(CER), "lid_accuracy": {"micro": None, "by_language": {}}}
    write(folder / "decode_greedy/test/scores.json", json.dumps(scores))
    assert "lid_accuracy" not in only(folder).values


DAMAGE: list[Callable[[dict[str, Any]], Any]] = [
    lambda scores: [scores],
    lambda scores: {},
    lambda scores: {name: value for name, value in scores.items() if name != "wer"},
    lambda scores: {**scores, "cer": {**scores["cer"], "mean": "low"}},
    lambda scores: {**scores, "cer": {**scores["cer"], "worst": -0.1}},
    lambda scores: {**scores, "cer": {**scores["cer"], "mean": True}},
    lambda scores: {**scores, "cer": {**scores["cer"], "mean": float("nan")}},
    lambda scores: {**scores, "cer": None, "wer": 3, "lid_accuracy": []},
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_score_file_is_reported_and_skipped(
    tmp_path: Path, damage: Callable[[dict[str, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_scored(tmp_path / "x")
    write(folder / "decode_greedy/test/scores.json", json.dumps(damage(make_scores(CER))))
    with caplog.at_level(logging.WARNING):
        entry = only(folder)
    assert (entry.state, entry.values) == ("corrupt", {})
    assert "scores.json" in entry.note
    assert str(folder / "decode_greedy" / "test") in caplog.text


@pytest.mark.parametrize("content", [b"", b'{"cer": {"mea', b"\xff\xfe", b"[" * 100_000, b"1" * 10_000])
def test_what_is_no_json_is_corrupt_too(tmp_path: Path, content: bytes) -> None:
    folder = write_scored(tmp_path / "x")
    (folder / "decode_greedy/test/scores.json").write_bytes(content)
    assert only(folder).state == "corrupt"


@pytest.mark.parametrize("interval", [None, [], [1], "ab", [0.3, 0.1], [None, None], [0.1, float("inf")], {}, 7])
def test_an_odd_interval_is_none(tmp_path: Path, interval: object) -> None:
    folder = write_scored(tmp_path / "x")
    scores = {**make_scores(CER), "intervals": {"cer": {"mean": interval}}}
    write(folder / "decode_greedy/test/scores.json", json.dumps(scores))
    entry = only(folder)
    assert (entry.state, entry.values["mean_cer"]) == ("scored", Value(MEAN))


def test_each_decoding_and_split_is_a_row(tmp_path: Path) -> None:
    folder = write_scored(tmp_path / "x", dev=CER)
    add_scores(folder, CER, decode="beam_10")
    rows = [(entry.split, entry.decode, entry.state) for entry in entries(folder, "test", "dev", "more")]
    assert rows == [
        ("test", "beam_10", "scored"),
        ("test", "greedy", "scored"),
        ("dev", "greedy", "scored"),
        ("more", "", "trained"),
    ]
    assert [entry.decode for entry in entries(folder, decode="greedy")] == ["greedy"]


def test_decoded_is_not_scored(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x")
    write(folder / "decode_greedy" / "decode.log", "")
    assert only(folder).state == "trained"
    write(folder / "decode_greedy" / "test" / "text", "")
    assert (only(folder).state, only(folder).decode) == ("decoded", "greedy")
    write(folder / "failure.json", '{"stage": 6, "error": "no such utterance"}')
    assert (only(folder).state, only(folder).note) == ("failed", "stage 6: no such utterance")
    add_scores(folder, CER)
    assert (only(folder).state, only(folder).note) == ("scored", "failed since, stage 6: no such utterance")


@pytest.mark.parametrize(
    ("languages", "is_given"), [("given", True), ("recognised", False), ([], False), (None, False)]
)
def test_given_languages_were_not_recognised(tmp_path: Path, languages: object, is_given: bool) -> None:
    path = add_scores(write_run(tmp_path / "x"), CER)
    accuracy = {"micro": None if is_given else 0.5}
    write(path, json.dumps({**make_scores(CER), "languages": languages, "lid_accuracy": accuracy}))
    entry = only(tmp_path / "x")
    assert entry.note == ("languages given, not recognised" if is_given else "")
    assert (entry.number("lid_accuracy"), entry.state) == (accuracy["micro"], "scored")
