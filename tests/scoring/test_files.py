from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from asr_dro.errors import UserError
from asr_dro.scoring.files import format_number, read_scores, read_tsv, write_scores_table, write_trn, write_tsv


def test_trn_has_the_id_in_parentheses_at_the_end(tmp_path: Path) -> None:
    write_trn(tmp_path / "hyp.trn", [("u1", "a (b) c"), ("u2", "")])
    assert (tmp_path / "hyp.trn").read_text(encoding="utf-8") == "a (b) c (u1)\n(u2)\n"


def test_tsv_comes_back_unchanged_with_quotes_and_odd_separators(tmp_path: Path) -> None:
    rows = [["u1", 'say "hi', "\u2028\u0085"], ["u2", "", ""]]
    write_tsv(tmp_path / "x.tsv", ("a", "b", "c"), rows)
    assert [list(row.values()) for row in read_tsv(tmp_path / "x.tsv", ("a", "c"))] == rows


def test_a_broken_tsv_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("a\tb\n1\t2\n1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"x\.tsv:3: 1 values for 2 columns"):
        read_tsv(path)
    with pytest.raises(UserError, match="no column c; it has a, b"):
        read_tsv(path, ("a", "c"))


@pytest.mark.parametrize("value", [1 / 3, 0.1 + 0.2, 1e-17, 12.0])
def test_numbers_come_back_to_the_last_bit(value: float) -> None:
    assert float(format_number(value)) == value


def test_no_number_is_written_as_nothing() -> None:
    assert format_number(None) == format_number(math.nan) == ""


@pytest.mark.parametrize("content", ["", '{"cer": ', "[1, 2]", "\udcff"])
def test_a_score_file_that_is_not_whole_counts_as_absent(tmp_path: Path, content: str) -> None:
    path = tmp_path / "scores.json"
    assert read_scores(path) is None
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_scores(path) is None


def test_the_table_has_all_that_a_spreadsheet_needs(tmp_path: Path) -> None:
    metric: dict[str, Any] = {"mean": 0.5, "sd": None, "worst": 0.75, "micro": 0.5, "best": 0.25, "worst15": 0.5}
    metric["by_language"] = {"fin": 0.25, "spa": 0.75}
    errors = {"reference_length": 8, "substitutions": 1, "deletions": 2, "insertions": 0}
    counts: dict[str, Any] = {"n_utterances": 4, "cer": errors, "wer": errors}
    ends: dict[str, Any] = {
        "mean": [0.4, 0.6],
        "worst": [0.5, 1.0],
        "sd": None,
        "by_language": {"fin": [0.125, 0.5], "spa": None},
    }
    scores: dict[str, Any] = {"cer": metric, "wer": metric, "lid_accuracy": metric, "n_utterances": 8}
    scores["counts"] = {"by_language": {"fin": counts, "spa": counts}}
    write_scores_table(tmp_path / "old.tsv", scores)
    write_scores_table(tmp_path / "new.tsv", {**scores, "intervals": {"cer": ends, "wer": ends}})
    rows = {row["language"]: row for row in read_tsv(tmp_path / "new.tsv")}
    assert list(rows) == ["fin", "spa", "mean", "sd", "worst", "micro", "best", "worst15"]
    assert list(rows["fin"])[-4:] == ["cer_low", "cer_high", "wer_low", "wer_high"]
    shown = {name: (row["cer"], row["cer_low"], row["wer_high"]) for name, row in rows.items()}
    assert shown["fin"] == ("0.25", "0.125", "0.5")
    assert shown["spa"] == ("0.75", "", "")
    assert shown["worst"] == ("0.75", "0.5", "1.0")
    assert shown["best"] == ("0.25", "", "")
    old = (tmp_path / "old.tsv").read_text(encoding="utf-8").splitlines()
    new = (tmp_path / "new.tsv").read_text(encoding="utf-8").splitlines()
    assert all(later.startswith(earlier) for earlier, later in zip(old, new, strict=True))
