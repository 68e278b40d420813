from __future__ import annotations

from typing import Any

from asr_dro.scoring.summaries import summarise_values
from asr_dro.scoring.table import format_profile, format_table, percent, signed

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


def many(n_languages: int) -> dict[str, Any]:
    names = [f"l{n:02}" for n in range(n_languages)]
    rates = summarise_values({name: n / 100 for n, name in enumerate(names)}, key="language")
    metric = {**rates, "micro": 0.05}
    accuracy = {"micro": 0.9, **summarise_values(dict.fromkeys(names, 0.9), key="language", worst=min)}
    return {
        "cer": metric,
        "wer": metric,
        "lid_accuracy": accuracy,
        "n_utterances": n_languages,
        "counts": {"by_language": {name: {"n_utterances": 1} for name in names}},
    }


def test_the_worst_languages_stand_next_to_the_summary() -> None:
    lines = format_table(many(20), title="test").splitlines()
    assert [line.split()[0] for line in lines[2:22]] == [f"l{n:02}" for n in range(20)]
    assert lines[21].endswith("<- worst CER")
    summary = {line[:26].strip(): line[26:].split() for line in lines[22:]}
    assert summary["mean of languages"] == ["9.5", "9.5", "90.0"]
    assert summary["mean of the worst 15"] == ["12.0", "12.0", "90.0"]
    assert summary["best language"] == ["0.0", "0.0", "90.0"]
    assert summary["worst language"] == ["19.0", "19.0", "90.0"]
    assert not any("worst 15" in line for line in format_table(many(15), title="test").splitlines())  # it is the mean


def test_intervals_stand_beside_the_numbers_they_are_of() -> None:
    intervals = {"level": 0.95, "cer": {"mean": [0.08, 0.11], "worst": [0.17, 0.25], "sd": None}}
    lines = format_table({**many(3), "intervals": intervals}, title="test").splitlines()
    assert next(line for line in lines if "mean of languages" in line).endswith("CER 8.0 to 11.0")
    assert next(line for line in lines if "worst language" in line).endswith("CER 17.0 to 25.0")
    assert " to " not in next(line for line in lines if "sd over" in line)
    assert lines[-1] == "  CER a to b: 95 % bootstrap interval"
    assert max(map(len, lines)) <= 80


def test_a_profile_is_shown_without_its_languages() -> None:
    profile = {"all": {"cer": 0.12345, "n": 7, "by_language": {"fin": 0.1}}, "worst_language": "fin", "sd": None}
    assert format_profile({"profiles": {"x": profile}}, "x").splitlines() == [
        "  profile x",
        "    all cer                         12.35 %",
        "    all n                                 7",
        "    worst_language                      fin",
        "    sd                                    -",
    ]


def test_signs_are_true_and_zero_has_none() -> None:
    values = (1.0, -1.26, 0.0, -0.0, -0.04, 0.04, 0.05001)
    assert [signed(value, 1) for value in values] == ["+1.0", "\N{MINUS SIGN}1.3", "0.0", "0.0", "0.0", "0.0", "+0.1"]
