from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr_dro.report.inputs import Inputs, Sources
from asr_dro.report.training import MAX_ALL_POINTS, _points, fixed_point, group_weights, learning_curves


def inputs(**values: Any) -> Inputs:
    return Inputs(Sources(Path("data"), Path("exp"), "greedy", ("test",)), {}, [], **values)


def epoch(number: int, **rates: float | None) -> dict[str, Any]:
    cer = {"mean": 0.2, "worst": 0.3, "worst_language": "fin", "by_language": rates}
    return {"epoch": number, "updates": 10 * number, "train": {"loss": 5.0 / number}, "dev": {"loss": None, "cer": cer}}


def updates(n_updates: int, losses: dict[str, float]) -> list[dict[str, Any]]:
    q = dict.fromkeys(losses, 1 / len(losses))
    return [{"update": n, "q": q, "loss": losses, "visits": dict.fromkeys(losses, n)} for n in range(1, n_updates + 1)]


def test_without_logs_there_is_nothing_to_show() -> None:
    assert learning_curves(inputs()) is None
    assert learning_curves(inputs(epochs=[{"note": "no number"}])) is None
    assert group_weights(inputs()) is None


def test_small_charts_begin_with_the_worst_at_the_end_of_training() -> None:
    curves = learning_curves(inputs(epochs=[epoch(1, fin=0.9, spa=0.8), epoch(2, fin=0.1, spa=0.4, tur=None)]))
    assert curves is not None
    assert [(item["code"], item["last"], item["best"]) for item in curves["small"]] == [
        ("spa", 0.4, 0.4),
        ("fin", 0.1, 0.1),
    ]


def test_without_text_the_curves_are_of_wrong_languages() -> None:
    records = [epoch(1), epoch(2)]
    for number, record in enumerate(records, start=1):
        errors = {
            "mean": 0.5 / number,
            "worst": 0.6 / number,
            "worst_language": "fin",
            "by_language": {"fin": 0.6 / number},
        }
        nothing = {"mean": None, "worst": None, "worst_language": None, "by_language": {"fin": None}}
        record["dev"] |= {"cer": nothing, "lid_error": errors}
    curves = learning_curves(inputs(epochs=records))
    assert curves is not None
    assert curves["measure"] == "LID error"
    assert "given a wrong language" in curves["errors"]
    assert [item["last"] for item in curves["small"]] == [0.3]
    assert (curves["epochs"][1]["dev_mean"], curves["epochs"][1]["worst_language"]) == (0.25, "fin")


def test_numbers_that_are_missing_do_not_break_a_curve() -> None:
    curves = learning_curves(inputs(epochs=[{"epoch": 1}, {"epoch": 2, "train": None, "dev": {"cer": None}}]))
    assert curves is not None
    assert (curves["loss"], curves["errors"], curves["small"]) == ("", "", [])
    assert curves["epochs"][0]["dev_mean"] is None


def test_fixed_point_of_hand_computed_losses() -> None:
    # m = 2 active groups: q = (1 + 2 * 0.5) * L / 5 - 0.5
    assert fixed_point({"a": 2.0, "b": 3.0}, 0.5) == pytest.approx({"a": 0.3, "b": 0.7})
    assert fixed_point({"a": 0.1, "b": 3.0, "c": None}, 0.5) == pytest.approx({"a": 0.0, "b": 1.0})
    assert fixed_point({"c": None}, 0.5) == {}


@pytest.mark.parametrize(
    ("config", "smoothing"),
    [
        ({"objective": "ctc_dro", "objective_conf": {"smoothing": 0.25}}, 0.25),
        ({"objective": "ctc_dro", "objective_conf": {"smoothing": "1e-1"}}, 0.1),
        ({"objective": "ctc_dro", "objective_conf": None}, 0.5),
        ({"objective": "group_dro", "objective_conf": {}}, None),
        ({}, None),
    ],
)
def test_the_fixed_point_is_shown_for_ctc_dro_only(config: dict[str, Any], smoothing: float | None) -> None:
    weights = group_weights(inputs(updates=updates(20, {"fin": 2.0, "spa": 3.0}), config=config))
    assert weights is not None
    assert weights["smoothing"] == smoothing
    assert [row["fixed_point"] is None for row in weights["rows"]] == [smoothing is None] * 2


def test_losses_are_the_mean_of_the_last_tenth() -> None:
    log = updates(20, {"fin": 1.0})
    log[-1]["loss"] = {"fin": 3.0}
    weights = group_weights(inputs(updates=log))
    assert weights is not None
    assert (weights["n_last"], weights["rows"][0]["loss"]) == (2, 2.0)


def test_many_groups_and_updates_stay_small() -> None:
    log = updates(5000, {f"l{n:03}": float(n) for n in range(150)})
    weights = group_weights(inputs(updates=log))
    assert weights is not None
    assert weights["q"].count("L") <= MAX_ALL_POINTS
    assert "M0 " in weights["q"]
    assert "L1000 " in weights["q"]  # the last update is there


def test_updates_after_single_batches_give_a_line_for_each_group() -> None:
    """Group DRO updates after every batch: all but one group have no loss there."""
    logged: list[dict[str, Any]] = [
        {"update": n, "q": {"a": 0.5, "b": 0.5}, "loss": {"a": n if n % 2 else None, "b": None if n % 2 else 10.0 * n}}
        for n in range(1, 401)
    ]
    points = _points(logged, "loss", "a", 100)
    assert len(points) == 100
    assert list(points[0]) == [4, 2.0], "the mean of updates 1 and 3"
    assert all(value is not None for _, value in points)
    assert list(_points(logged, "loss", "b", 100)[0]) == [4, 30.0]
