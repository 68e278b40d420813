from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.objectives import ctc_dro_fixed_point


def objective(q: list[float], loss: list[float], smoothing: float) -> float:
    return sum(value * math.log(weight + smoothing) for weight, value in zip(q, loss, strict=True))


def test_all_groups_active_is_the_closed_formula() -> None:
    loss, alpha = [2.0, 3.0, 4.0], 0.1
    expected = [(1 + 3 * alpha) * value / sum(loss) - alpha for value in loss]
    assert ctc_dro_fixed_point(loss, alpha) == pytest.approx(expected)


def test_smoothing_zero_is_proportional_to_the_losses() -> None:
    assert ctc_dro_fixed_point([1.0, 3.0], 0.0) == pytest.approx([0.25, 0.75])


def test_losses_of_zero_give_uniform_weights() -> None:
    assert ctc_dro_fixed_point([0.0, 0.0], 0.5) == [0.5, 0.5]


@given(
    loss=st.lists(st.floats(0, 1e300), min_size=1, max_size=7),
    alpha=st.floats(1e-3, 5),
    push=st.lists(st.floats(1e-6, 1), min_size=7, max_size=7),
    mix=st.floats(0, 1),
)
def test_no_other_point_of_the_simplex_is_better(
    loss: list[float], alpha: float, push: list[float], mix: float
) -> None:
    q = ctc_dro_fixed_point(loss, alpha)
    assert sum(q) == pytest.approx(1)
    assert min(q) >= 0
    other = [value / sum(push[: len(loss)]) for value in push[: len(loss)]]
    moved = [(1 - mix) * a + mix * b for a, b in zip(q, other, strict=True)]
    scaled = [value / (max(loss) or 1) for value in loss]
    assert objective(q, scaled, alpha) >= objective(moved, scaled, alpha) - 1e-9


@pytest.mark.parametrize("loss", [[], [1.0, -1.0], [math.nan], [math.inf]])
def test_losses_that_make_no_sense_are_refused(loss: list[float]) -> None:
    with pytest.raises(ValueError, match="finite and at least 0"):
        ctc_dro_fixed_point(loss, 0.5)
