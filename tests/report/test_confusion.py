from __future__ import annotations

from asr_dro.report.confusion import MAX_MATRIX, N_TAKEN_FOR, confusion
from tests.report.test_languages import inputs


def test_confusion_counts_missing_and_unknown_labels() -> None:
    triples = [("fin", "fin", ""), ("fin", "est", ""), ("fin", "est", ""), ("spa", "", ""), ("spa", "spa", "")]
    found = confusion(inputs(triples))
    assert found is not None
    assert found["n_wrong"] == 3
    assert found["pairs"] == [
        {"language": "fin", "taken_for": "est", "n": 2, "share": 2 / 3},
        {"language": "spa", "taken_for": "", "n": 1, "share": 1 / 2},
    ]
    assert found["matrix"]["columns"] == ["fin", "spa", "est", ""]
    assert [cell["n"] for cell in found["matrix"]["rows"][0]["cells"]] == [1, 0, 2, 0]


def test_no_matrix_for_many_languages() -> None:
    found = confusion(inputs([(f"l{n:03}", "x", "") for n in range(MAX_MATRIX + 1)]))
    assert found is not None
    assert found["matrix"] is None
    assert found["languages"][0] == {
        "code": "l000",
        "missed": 1,
        "share": 1.0,
        "gained": 0,
        "taken_for": [{"code": "x", "share": 1.0}],
        "n_more": 0,
    }


def test_many_languages_each_say_what_they_are_taken_for() -> None:
    codes = [f"l{n:03}" for n in range(MAX_MATRIX + 1)]
    right = [(code, code, "") for code in codes for _ in range(4)]
    wrong = [("l003", "l001", ""), ("l003", "l001", ""), ("l003", "", ""), ("l003", "l002", ""), ("l003", "l004", "")]
    found = confusion(inputs([*right, *wrong, ("l001", "l003", "")]))
    assert found is not None
    rows = {row["code"]: row for row in found["languages"]}
    assert [row["code"] for row in found["languages"]] == ["l003", "l001", "l002", "l004"]
    assert rows["l003"]["share"] == 5 / 9
    assert [item["code"] for item in rows["l003"]["taken_for"]] == ["l001", "", "l002"]
    assert (rows["l003"]["n_more"], N_TAKEN_FOR) == (1, 3)
    assert (rows["l003"]["gained"], rows["l001"]["gained"], rows["l001"]["missed"]) == (1, 2, 1)
    assert (rows["l002"]["missed"], rows["l002"]["taken_for"]) == (0, [])
