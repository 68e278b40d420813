from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from asr_dro.errors import UserError
from asr_dro.objectives import OBJECTIVES, build_objective, check_objective
from asr_dro.objectives.group_objective import GroupObjective


def test_unknown_objective_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'dro'.*ctc, ctc_length_normalized, group_dro, ctc_dro"):
        build_objective("dro", ["a"])


def test_all_mistakes_are_named_at_once() -> None:
    conf = {"alpha": 1, "step_size": "1e-4", "reduction": "max", "update": "never", "scale_by_group_count": 1}
    with pytest.raises(UserError) as error:
        check_objective("ctc_dro", conf)
    for word in ("alpha", "smoothing", "'1e-4'", "1.0e-4", "'max'", "sum, mean", "'never'", "scale_by_group_count"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "conf"),
    [
        ("ctc", {"step_size": 0.1}),
        ("group_dro", {"smoothing": 0.1}),
        ("ctc_dro", {"smoothing": 0}),
        ("ctc_dro", {"smoothing": None}),
        ("ctc_dro", {"step_size": -1.0}),
        ("ctc_dro", {"step_size": float("nan")}),
        ("ctc_dro", {"step_size": True}),
        ("ctc_dro", {"record_capacity": 0}),
        ("ctc_dro", {"reduction": ["sum"]}),
        ("ctc_length_normalized", {"normalize_by": "none"}),
    ],
)
def test_wrong_values_are_refused(name: str, conf: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        check_objective(name, conf)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""], ["a\nb"], "ab"])
def test_wrong_group_names_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match="group names"):
        build_objective("ctc", names)


def test_defaults_are_the_published_ones() -> None:
    ctc_dro, group_dro = check_objective("ctc_dro", {}), check_objective("group_dro", {})
    assert (ctc_dro.reduction, ctc_dro.update, ctc_dro.scale_by_group_count) == ("sum", "round", True)
    assert (group_dro.reduction, group_dro.update, group_dro.smoothing) == ("mean", "batch", None)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_builds_with_its_defaults(name: str) -> None:
    objective = build_objective(name, ["a", "b"])
    assert isinstance(objective, GroupObjective) == name.endswith("_dro")
    assert objective.drain_records() == []


def test_checking_needs_no_torch() -> None:
    code = (
        "import sys; from asr_dro.objectives import check_objective, ctc_dro_fixed_point; "
        "check_objective('ctc_dro', {}); ctc_dro_fixed_point([1.0], 0.5); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
