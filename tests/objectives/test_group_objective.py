from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.errors import UserError
from asr_dro.objectives import build_objective
from asr_dro.objectives.group_objective import GroupObjective

Floats = NDArray[np.floating[Any]]

NAMES = ["fin", "kat", "tur"]


def make(name: str = "ctc_dro", names: list[str] = NAMES, **options: Any) -> GroupObjective:
    objective = build_objective(name, names, **{"step_size": 0.01, **options})
    assert isinstance(objective, GroupObjective)
    return objective


def pure(group: int, *losses: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(losses), torch.full((len(losses),), group)


class Published:
    """The released code's bookkeeping with lists and dictionaries, in float64 and linear space."""

    def __init__(self, groups: int, step: float, alpha: float | None) -> None:
        self.q: Floats = np.full(groups, 1 / groups)
        self.collected: list[list[float]] = [[] for _ in range(groups)]
        self.step, self.alpha = step, alpha

    def _multiply(self, loss: Floats) -> None:
        gain = loss if self.alpha is None else loss / (self.q + self.alpha)
        self.q = self.q * np.exp(self.step * gain) + 1e-10
        self.q /= self.q.sum()

    def visit(self, group: int, losses: Floats) -> float:
        if self.alpha is None:  # group DRO: every batch, mean of its losses
            self._multiply(np.where(np.arange(len(self.q)) == group, losses.mean(), 0.0))
        else:
            self.collected[group].append(losses.sum())
            if all(self.collected):
                self._multiply(np.array([np.mean(entries) for entries in self.collected]))
                self.collected = [[] for _ in self.q]
        return float(len(self.q) * self.q[group] * losses.mean())


@pytest.mark.parametrize("alpha", [None, 0.1, 0.5, 1.0])
def test_thousand_updates_of_random_batches_equal_the_released_code(alpha: float | None) -> None:
    rng = np.random.default_rng(3)
    groups, step = 3, 5e-3
    names = ["a", "b", "c"]
    objective = (
        make(names=names, step_size=step, smoothing=alpha) if alpha else make("group_dro", names, step_size=step)
    )
    expected = Published(groups, step, alpha)
    farthest = 0.0
    while objective.updates < 1000:
        group = int(rng.integers(groups))
        level = 2 + np.sin(float(objective.updates) / 150 + 2 * group)  # the hardest group changes
        losses = rng.uniform(level, level + 1, rng.integers(1, 4)).astype(np.float32)
        value = objective(torch.from_numpy(losses), torch.full((len(losses),), group))
        assert value.item() == pytest.approx(expected.visit(group, losses.astype(np.float64)), rel=1e-6)
        assert np.abs(objective.q.numpy() - expected.q).max() < 1e-6
        farthest = max(farthest, float(np.abs(expected.q - 1 / groups).max()))
    assert farthest > 0.1  # it did move


def test_the_round_and_its_order() -> None:
    objective = make(smoothing=0.5, step_size=1.0)
    assert objective(*pure(0, 1.0, 2.0)).item() == 1.5  # uniform weights: the plain mean
    objective(*pure(1, 1.0))
    objective(*pure(0, 1.0))
    assert objective.updates == 0
    assert objective.pending[0].tolist() == [4, 1, 0]
    assert objective.pending[2].tolist() == [3, 1, 0]
    value = objective(*pure(2, 4.0))
    # L = (mean of 3 and 1, 1, 4), gains L / (1/3 + 1/2).
    moved = np.exp(np.array([2.0, 1.0, 4.0]) / (1 / 3 + 1 / 2))
    q = moved / moved.sum()
    assert np.allclose(objective.q.numpy(), q, atol=1e-9)
    assert value.item() == pytest.approx(3 * q[2] * 4.0)  # the batch that completes the round has the new weight
    assert objective.pending.eq(0).all()
    (record,) = objective.drain_records()
    assert record["loss"] == {"fin": 2, "kat": 1, "tur": 4}
    assert record["visits"] == {"fin": 2, "kat": 1, "tur": 1}
    assert record["staleness"] == {"fin": 3, "kat": 2, "tur": 0}
    assert record["q"] == pytest.approx(dict(zip(NAMES, q, strict=True)))


def test_a_mixed_batch_can_complete_a_round_alone() -> None:
    objective = make()
    objective(torch.tensor([1.0, 2, 3, 4]), torch.tensor([2, 0, 1, 0]))
    (record,) = objective.drain_records()
    assert record["loss"] == {"fin": 6, "kat": 3, "tur": 1}


def test_a_small_batch_counts_as_the_fraction_that_it_is() -> None:
    objective = make()
    objective(*pure(0, 8.0), visit_fraction=1.0)
    objective(*pure(0, 2.0), visit_fraction=0.25)
    objective(*pure(1, 8.0))
    objective(*pure(2, 4.0), visit_fraction=0.5)
    (record,) = objective.drain_records()
    assert record["loss"] == {"fin": 8, "kat": 8, "tur": 8}
    assert record["visits"] == {"fin": 1.25, "kat": 1, "tur": 0.5}
    assert objective.q.tolist() == pytest.approx([1 / 3] * 3)


def test_a_mean_of_small_batches_is_weighted_by_their_size() -> None:
    objective = make(reduction="mean")
    objective(*pure(0, 6.0, 10.0), visit_fraction=1.0)
    objective(*pure(0, 4.0), visit_fraction=0.25)
    objective(*pure(1, 3.0, 5.0), visit_fraction=0.5)
    objective(*pure(2, 1.0, math.nan))
    assert objective.drain_records()[0]["loss"] == pytest.approx({"fin": 9 / 1.25, "kat": 4, "tur": 1})


def test_partial_visits_can_be_switched_off() -> None:
    objective = make(partial_visits=False)
    for group in range(3):
        objective(*pure(group, 2.0), visit_fraction=0.25)
    (record,) = objective.drain_records()
    assert record["loss"] == {"fin": 2, "kat": 2, "tur": 2}


def test_update_every_batch_gives_the_absent_loss_zero() -> None:
    objective = make("group_dro", step_size=1.0)
    objective(*pure(1, 1.0, 3.0))
    moved = np.exp([0.0, 2.0, 0.0])
    assert np.allclose(objective.q.numpy(), moved / moved.sum(), atol=1e-9)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", ["group_dro", "ctc_dro"])
@pytest.mark.parametrize("update", ["round", "batch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_step_zero_is_plain_training_bit_for_bit(name: str, reduction: str, update: str, dtype: torch.dtype) -> None:
    def train(objective: torch.nn.Module, names: list[str]) -> list[Tensor]:
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 1, dtype=dtype)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for step in range(60):  # more than a round of 49
            inputs = torch.randn(1 + step % 4, 5, dtype=dtype)
            losses = model(inputs).squeeze(1).square()
            loss = objective(losses, torch.full((len(losses),), step % len(names)), visit_fraction=0.3 + step % 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [loss, *model.parameters()]

    for count in (3, 49):  # 49 * (1 / 49) is not 1 in floating point
        names = [f"g{i}" for i in range(count)]
        plain = train(build_objective("ctc", names), names)
        robust = train(make(name, names, step_size=0, reduction=reduction, update=update), names)
        assert all(torch.equal(a, b) for a, b in zip(plain, robust, strict=True))


def test_unscaled_weights_and_sums() -> None:
    losses, groups = torch.tensor([1.0, 2, 3]), torch.tensor([0, 1, 2])
    assert make(step_size=0, loss_reduction="sum")(losses, groups) == 6
    assert make(step_size=0, loss_reduction="sum", scale_by_group_count=False)(losses, groups) == pytest.approx(2)


def test_length_normalization() -> None:
    objective = build_objective("ctc_length_normalized", NAMES)
    losses, groups = torch.tensor([4.0, 9.0, 5.0]), torch.tensor([0, 0, 0])
    assert objective(losses, groups, lengths=torch.tensor([2, 3, 0])) == pytest.approx((2 + 3 + 5) / 3)
    with pytest.raises(UserError, match="labels"):
        objective(losses, groups)
    robust = make(normalize_by="frames", update="batch")
    robust(losses, groups, lengths=torch.tensor([4, 9, 5]))
    assert robust.drain_records()[0]["loss"]["fin"] == 3
    objective.eval()
    assert objective(losses, groups) == 6  # raw


def test_length_normalized_equals_pytorch_ctc() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(20, 3, 6).log_softmax(-1)
    targets = torch.randint(1, 6, (3, 5))
    sizes = torch.tensor([20, 20, 20]), torch.tensor([5, 3, 2])
    each = torch.nn.functional.ctc_loss(log_probs, targets, *sizes, reduction="none")
    expected = torch.nn.functional.ctc_loss(log_probs, targets, *sizes, reduction="mean")
    objective = build_objective("ctc_length_normalized", NAMES)
    assert objective(each, torch.zeros(3, dtype=torch.long), lengths=sizes[1]).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", ["ctc", "group_dro", "ctc_dro"])
def test_evaluation_is_the_plain_mean_and_moves_nothing(name: str) -> None:
    objective = build_objective(name, NAMES)
    for group in range(3):
        objective(*pure(group, 10.0 * group))
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.drain_records()
    objective.eval()
    assert objective(torch.tensor([1.0, 3.0, math.nan, math.inf]), torch.tensor([0, 1, 2, 0])) == 2
    assert objective(torch.tensor([math.nan]), torch.tensor([0])).isnan()
    assert objective(torch.zeros(0), torch.zeros(0, dtype=torch.long)) == 0
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())
    assert objective.drain_records() == []


def test_two_forwards_before_one_backward() -> None:
    objective = make()
    weight = torch.ones(1, requires_grad=True)
    total = torch.zeros(())
    for group in range(3):
        total = total + objective(weight * 2.0, torch.tensor([group]))
    total.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
