from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from asr_dro.errors import UserError
from asr_dro.objectives import build_objective
from asr_dro.objectives.group_objective import GroupObjective

NAMES = ["fin", "kat", "tur"]


def make(name: str = "ctc_dro", **options: Any) -> GroupObjective:
    objective = build_objective(name, NAMES, **{"step_size": 0.01, **options})
    assert isinstance(objective, GroupObjective)
    return objective


def pure(group: int, *losses: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(losses), torch.full((len(losses),), group)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["ctc", "group_dro", "ctc_dro"])
def test_bad_utterances_are_left_out_of_value_gradient_and_weights(name: str, bad: float) -> None:
    objective = build_objective(name, NAMES)
    reference = build_objective(name, NAMES)
    for group in range(3):
        weights = torch.ones(4, requires_grad=True)
        losses = weights * torch.tensor([1.0, bad, 2.0, 7.0])
        loss = objective(losses, torch.full((4,), group), infeasible=torch.tensor([False, False, False, True]))
        loss.backward()
        assert weights.grad is not None
        # (value and gradient of the two good utterances)
        assert loss.item() == pytest.approx(reference(*pure(group, 1.0, 2.0), visit_fraction=0.5).item())
        assert weights.grad[[0, 2]].isfinite().all()
        assert weights.grad[3] == 0
    if isinstance(objective, GroupObjective) and isinstance(reference, GroupObjective):
        assert torch.equal(objective.q, reference.q)
        assert objective.skipped_utterances() == {"fin": 2, "kat": 2, "tur": 2}


def test_a_group_without_any_usable_utterance_keeps_its_weight_and_ends_the_round() -> None:
    objective = make(step_size=0.5)
    objective(*pure(0, 1.0))
    objective(*pure(1, math.nan, math.inf))
    loss = objective(*pure(2, 3.0))
    assert objective.updates == 1
    assert objective.q[1].item() == pytest.approx(1 / 3, abs=1e-9)
    assert objective.q[2] > 1 / 3 > objective.q[0]
    assert loss.isfinite()
    record = objective.drain_records()[0]
    assert record["loss"]["kat"] is None
    assert record["visits"]["kat"] == 0


@pytest.mark.parametrize("name", ["group_dro", "ctc_dro"])
def test_weights_survive_anything(name: str) -> None:
    objective = make(name, step_size=10.0)
    values = [1e8, math.nan, -1e8, 3e38, math.inf, 0.0, -math.inf, 1e-30]
    rng = np.random.default_rng(0)
    for step in range(300):
        loss = objective(*pure(step % 3, *rng.choice(values, 3)))
        assert not loss.isnan()
        assert objective.q.isfinite().all()
        assert (objective.q > 0).all()
        assert objective.q.sum().item() == pytest.approx(1)


def test_an_empty_slice_takes_part() -> None:
    for name in ("ctc", "ctc_dro", "group_dro"):
        objective = build_objective(name, NAMES)
        losses = torch.zeros(0, requires_grad=True)
        loss = objective(losses, torch.zeros(0, dtype=torch.long))
        loss.backward()
        assert loss == 0
        assert objective.batch_weight(losses) == 0


def test_batch_weight_counts_the_usable() -> None:
    losses = torch.tensor([1.0, math.nan, 2.0])
    infeasible = torch.tensor([True, False, False])
    assert build_objective("ctc", NAMES).batch_weight(losses, infeasible) == 1
    assert build_objective("ctc", NAMES, loss_reduction="sum").batch_weight(losses) == 1


@pytest.mark.parametrize("index", [-1, 3, 7])
def test_an_unknown_group_index_is_an_error(index: int) -> None:
    with pytest.raises(UserError, match=r"-?\d.*0 \.\. 2.*fin, kat, tur"):
        make()(torch.tensor([1.0]), torch.tensor([index]))


def test_unseen_groups_are_named() -> None:
    objective = build_objective("ctc", NAMES)
    objective.check_groups(["tur", "fin", "fin"])
    with pytest.raises(UserError, match=r"eus, yue;"):
        objective.check_groups(["yue", "fin", "eus"])


@pytest.mark.parametrize("losses", [torch.tensor(1.0), torch.ones(3, 1), torch.ones(2)])
def test_losses_must_be_per_utterance(losses: Tensor) -> None:
    with pytest.raises(UserError, match="reduction='none'"):
        make()(losses, torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_precision_of_losses(dtype: torch.dtype) -> None:
    objective = make()
    with torch.autocast("cpu", torch.bfloat16):
        for group in range(3):
            loss = objective(torch.full((50,), 3000.0, dtype=dtype), torch.full((50,), group, dtype=torch.int32))
    assert loss.item() == pytest.approx(3000, rel=1e-2)  # 150,000 would overflow in half precision
    assert objective.drain_records()[0]["loss"]["fin"] == pytest.approx(150_000, rel=1e-2)
    assert objective.q.dtype == torch.float64
