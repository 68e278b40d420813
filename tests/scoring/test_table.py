from __future__ import annotations

from asr_dro.scoring.table import format_table, percent

SCORES = {
    "cer": {
        "mean": 0.1234,
        "sd": None,
        "worst": 0.2,
        "worst_language": "spa",
        "micro": 0.111,
        "by_language": {"fin": 0.0468, "spa": 0.2, "qqq": None},
    },
    "wer": {"mean": 1.5, "sd": 0.1, "micro": 1.25, "by_language": {"fin": 1.0, "spa": 2.0, "qqq": None}},
    "lid_accuracy": {"mean": 1.0, "sd": 0.0, "micro": 1.0, "by_language": {"fin": 1.0, "spa": 1.0, "qqq": 1.0}},
    "n_utterances": 30,
    "counts": {"by_language": {name: {"n_utterances": 10} for name in ("fin", "spa", "qqq")}},
}


def test_table_names_languages_and_marks_the_worst() -> None:
    lines = format_table(SCORES, title="test").splitlines()
    assert lines[0] == "test: 3 languages, 30 utterances"
    assert lines[2].split() == ["fin", "Finnish", "4.7", "100.0", "100.0", "10"]
    assert lines[3].split() == ["spa", "Spanish", "20.0", "200.0", "100.0", "10", "<-", "worst", "CER"]
    assert lines[4].split() == ["qqq", "-", "-", "100.0", "10"]  # no such language, no rate
    assert lines[5].split()[-3:] == ["12.3", "150.0", "100.0"]
    assert lines[6].split()[-3:] == ["-", "10.0", "0.0"]
    assert max(map(len, lines)) <= 80


def test_without_error_rates_the_worst_accuracy_is_marked() -> None:
    nothing = {
        "mean": None,
        "sd": None,
        "micro": None,
        "worst_language": None,
        "by_language": {"fin": None, "spa": None},
    }
    accuracy = {"mean": 0.7, "sd": 0.1, "micro": 0.8, "worst_language": "spa", "by_language": {"fin": 0.9, "spa": 0.5}}
    counts = {"by_language": {name: {"n_utterances": 10} for name in ("fin", "spa")}}
    scores = {"cer": nothing, "wer": nothing, "lid_accuracy": accuracy, "n_utterances": 20, "counts": counts}
    lines = format_table(scores, title="test").splitlines()
    assert lines[2].split() == ["fin", "Finnish", "-", "-", "90.0", "10"]
    assert lines[3].split() == ["spa", "Spanish", "-", "-", "50.0", "10", "<-", "worst", "LID"]


def test_columns_stay_aligned_whatever_the_name() -> None:
    by_language = {"fin": 0.1, "nor": 0.2, "a-very-long-label-of-a-dialect": 0.3}
    counts = {name: {"n_utterances": 1} for name in by_language}
    rates = {**SCORES["cer"], "by_language": by_language}  # type: ignore[dict-item]
    scores = {**SCORES, "cer": rates, "wer": rates, "lid_accuracy": rates, "counts": {"by_language": counts}}
    lines = format_table(scores, title="dev").splitlines()
    assert len({line.index(".") for line in lines[2:5]}) == 1
    assert "…" in lines[4]


def test_percent_keeps_one_decimal() -> None:
    assert [percent(value) for value in (0.0, 0.12345, 1.0, None)] == ["0.0", "12.3", "100.0", "-"]
