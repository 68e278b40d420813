from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from asr_dro.report.inputs import Inputs, Sources
from asr_dro.report.run_info import (
    N_OUT_OF_VOCABULARY,
    N_REASONS,
    quarantine_summary,
    run_facts,
    vocabulary_summary,
)


def inputs(**values: Any) -> Inputs:
    return Inputs(Sources(Path("data"), Path("exp"), "greedy", ("test",)), {"test": {"profile": "basic"}}, [], **values)


def clip(reason: str, language: str = "fin", split: str = "train") -> tuple[str, str, str]:
    return language, split, reason


def test_facts_of_a_run() -> None:
    environment = {
        "command": ["./run.sh", "--seed", "1"],
        "commit": "0123456789abcdef",
        "dirty": True,
        "versions": {"torch": "2.8.0"},
        "host": {"cpu": "CPU", "cores": 2, "memory_gb": 15.6, "gpu": None},
    }
    facts = dict(run_facts(inputs(environment=environment)))
    assert facts["Command"] == "./run.sh --seed 1"
    assert facts["Commit"] == "0123456789ab with uncommitted changes"
    assert facts["Host"] == "CPU, 2 cores, 16 GB, no GPU"
    assert facts["Versions"] == "torch 2.8.0"


def test_waiting_for_data_is_weighed_by_the_time_of_the_epochs() -> None:
    epochs: list[dict[str, Any]] = [
        {"epoch": 1, "seconds": 30.0, "data_wait_share": 0.5},
        {"epoch": 2, "seconds": 10.0, "data_wait_share": 0.1},
        {"epoch": 3, "seconds": 99.0},  # of a version that did not measure it
    ]
    assert dict(run_facts(inputs(epochs=epochs)))["Waiting for data"] == "40.0 % of the training's time"
    assert "Waiting for data" not in dict(run_facts(inputs(epochs=epochs[2:])))


def test_unknown_facts_are_left_out() -> None:
    assert "Commit" not in dict(run_facts(inputs()))
    nulls = {"command": None, "commit": None, "versions": None, "host": None, "dirty": None}
    assert set(dict(run_facts(inputs(environment=nulls)))) == {"Data", "Decoding", "Scores"}


def test_languages_with_most_characters_out_of_the_vocabulary() -> None:
    def row(language: str, lacking: int) -> dict[str, str]:
        values = {"language": language, "split": "dev", "characters": "100", "out_of_vocabulary": str(lacking)}
        return {**values, "share": repr(lacking / 100), "commonest": ""}

    assert vocabulary_summary(inputs()) is None
    found = vocabulary_summary(inputs(out_of_vocabulary=[row("fin", 2), row("spa", 0), row("tur", 10)]))
    assert found is not None
    assert [(row["language"], row["share"]) for row in found["rows"]] == [("tur", 0.1), ("fin", 0.02)]
    many = [row(f"l{n:02}", 1) for n in range(N_OUT_OF_VOCABULARY + 3)]
    found = vocabulary_summary(inputs(out_of_vocabulary=many))
    assert found is not None
    assert (len(found["rows"]), found["n_more"]) == (N_OUT_OF_VOCABULARY, 3)


def test_reasons_are_counted_and_those_that_differ_in_numbers_are_one() -> None:
    rows = [
        clip("cannot be decoded", "spa"),
        clip("31.5 s is longer than 30 s"),
        clip("42 s is longer than 30 s", "tur", "dev"),
    ]
    summary = quarantine_summary(inputs(quarantine=Counter(rows)))
    assert summary is not None
    assert summary["n"] == 3
    assert summary["reasons"] == [
        {"reason": "… s is longer than … s", "n": 2, "languages": "fin tur", "splits": "dev train"},
        {"reason": "cannot be decoded", "n": 1, "languages": "spa", "splits": "train"},
    ]


def test_long_lists_are_cut() -> None:
    rows = [clip(chr(ord("a") + n), f"l{n:02}") for n in range(N_REASONS + 4)] + [
        clip("same", f"l{n:02}") for n in range(12)
    ]
    summary = quarantine_summary(inputs(quarantine=Counter(rows)))
    assert summary is not None
    assert (len(summary["reasons"]), summary["n_more"]) == (N_REASONS, 5)
    assert summary["reasons"][0]["languages"].endswith("l07 and 4 more")


def test_an_empty_quarantine_is_not_a_missing_one() -> None:
    assert quarantine_summary(inputs()) is None
    assert quarantine_summary(inputs(quarantine=Counter())) == {"n": 0, "reasons": [], "n_more": 0}
