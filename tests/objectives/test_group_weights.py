from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.objectives.fixed_point import ctc_dro_fixed_point
from asr_dro.objectives.group_weights import WEIGHT_FLOOR, ctc_dro_update, group_dro_update

Floats = NDArray[np.float64]

ALPHAS = [0.1, 0.5, 1.0]


def uniform(groups: int) -> Tensor:
    return torch.full((groups,), 1 / groups, dtype=torch.float64).log()


def published(q: Floats, loss: Floats, step: float, alpha: float | None) -> Floats:
    """The update as printed: in linear space, no floor, no stabilisation."""
    gain = loss if alpha is None else loss / (q + alpha)
    moved = q * np.exp(step * gain)
    return np.asarray(moved / moved.sum())


def ours(log_q: Tensor, loss: Floats, step: float, alpha: float | None) -> Tensor:
    tensor = torch.from_numpy(loss)
    if alpha is None:
        return group_dro_update(log_q, tensor, step)
    return ctc_dro_update(log_q, tensor, step, smoothing=alpha)


@pytest.mark.parametrize("alpha", [None, *ALPHAS])
def test_thousand_updates_equal_the_published_formula(alpha: float | None) -> None:
    rng = np.random.default_rng(1)
    groups = 6
    q: Floats = np.full(groups, 1 / groups)
    log_q = uniform(groups)
    for _ in range(1000):
        loss = rng.uniform(50, 400, groups)
        q = published(q, loss, 1e-4, alpha)
        log_q = ours(log_q, loss, 1e-4, alpha)
        assert np.abs(log_q.exp().numpy() - q).max() < 1e-6
    assert np.abs(q - 1 / groups).max() > 0.01  # it did move


def test_hand_computed_ctc_dro_step() -> None:
    # q = (1/2, 1/2), alpha = 1/2: gains L / 1 = (0, ln 3), step 1: factors (1, 3).
    q = ctc_dro_update(uniform(2), torch.tensor([0.0, math.log(3)]), 1.0, smoothing=0.5).exp()
    assert torch.allclose(q, torch.tensor([0.25, 0.75], dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("loss", [[1.0, 1, 1, 1.2, 1, 0.9], [3.0, 1, 1.5, 1.5, 1, 5], [1.0, 0, 0, 0, 0, 0]])
def test_iterating_lands_on_the_fixed_point(alpha: float, loss: list[float]) -> None:
    log_q = uniform(6)
    for _ in range(2000):
        log_q = ctc_dro_update(log_q, torch.tensor(loss, dtype=torch.float64), 0.2, smoothing=alpha)
    assert np.allclose(log_q.exp().numpy(), ctc_dro_fixed_point(loss, alpha), atol=2e-4)


def test_step_zero_returns_the_very_same_weights() -> None:
    log_q = torch.tensor([0.3, 0.7]).log()
    assert group_dro_update(log_q, torch.tensor([5.0, 1e8]), 0.0) is log_q
    assert ctc_dro_update(log_q, torch.tensor([5.0, math.nan]), 0.0, smoothing=0.5) is log_q


@pytest.mark.parametrize("alpha", [None, 0.1])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_group_without_finite_loss_keeps_its_weight(alpha: float | None, bad: float) -> None:
    log_q = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    q = ours(log_q, np.array([1.0, bad, 3.0]), 0.1, alpha).exp()
    assert q[1].item() == pytest.approx(0.3, abs=1e-9)
    assert q.sum().item() == pytest.approx(1, abs=1e-12)
    assert q[2] > 0.5  # the others moved among themselves


@pytest.mark.parametrize("alpha", [None, 0.1])
def test_no_finite_loss_at_all_changes_nothing(alpha: float | None) -> None:
    log_q = torch.tensor([0.2, 0.8], dtype=torch.float64).log()
    assert torch.allclose(ours(log_q, np.array([math.nan, math.inf]), 0.1, alpha).exp(), log_q.exp(), atol=1e-9)


@pytest.mark.parametrize("alpha", [None, 0.1, 1.0])
def test_huge_loss_captures_but_does_not_kill(alpha: float | None) -> None:
    log_q = ours(uniform(3), np.array([1.0, 1e8, 1.0]), 1e-2, alpha)
    q = log_q.exp()
    assert q[1] > 0.999
    assert q[0].item() == pytest.approx(WEIGHT_FLOOR, rel=1e-6)
    for _ in range(200):  # the others come back, which a weight of exactly 0 could not
        log_q = ours(log_q, np.array([300.0, 1.0, 1.0]), 1e-2, alpha)
    assert log_q.exp()[0] > 0.5


losses = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(deadline=None, max_examples=200)
@given(
    loss=st.lists(losses, min_size=2, max_size=8),
    steps=st.floats(0, 10),
    alpha=st.one_of(st.none(), st.floats(1e-3, 10)),
    repeats=st.integers(1, 4),
)
def test_weights_stay_on_the_simplex(loss: list[float], steps: float, alpha: float | None, repeats: int) -> None:
    log_q = uniform(len(loss))
    for _ in range(repeats):
        log_q = ours(log_q, np.array(loss), steps, alpha)
    q = log_q.exp()
    assert torch.isfinite(log_q).all()
    assert (q > 0).all()
    assert q.sum().item() == pytest.approx(1, abs=1e-9)
