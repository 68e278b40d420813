from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.report import scales

VALUES = st.lists(st.floats(0, 1e9, allow_nan=False), max_size=20)


@pytest.mark.parametrize(
    ("top", "high", "ticks"),
    [
        (0.93, 1.0, (0, 0.25, 0.5, 0.75, 1.0)),
        (1.0, 1.0, (0, 0.25, 0.5, 0.75, 1.0)),
        (7.0, 8.0, (0, 2, 4, 6, 8)),
        (230.0, 300.0, (0, 100, 200, 300)),
        (0.0, 1.0, (0, 0.25, 0.5, 0.75, 1.0)),
    ],
)
def test_linear_scales_end_at_round_numbers(top: float, high: float, ticks: tuple[float, ...]) -> None:
    scale = scales.linear_scale([0.0, top])
    assert scale.high == pytest.approx(high)
    assert scale.ticks == pytest.approx(ticks)


@given(VALUES)
def test_every_value_lies_on_its_scale(values: list[float]) -> None:
    for scale in (scales.linear_scale(values), scales.log_scale(values)):
        assert 2 <= len(scale.ticks) <= 8
        assert all(scale.low <= tick <= scale.high * (1 + 1e-9) for tick in scale.ticks)
        for value in values:
            assert 0 <= scale.position(value) <= 1
            if not scale.is_log or value > 0:
                assert value <= scale.high * (1 + 1e-9)


def test_log_scale_only_for_values_far_apart() -> None:
    assert not scales.log_scale([10, 100]).is_log
    scale = scales.log_scale([3, 400])
    assert (scale.is_log, scale.low, scale.high) == (True, 2, 500)
    assert scale.position(2) == 0
    assert scale.position(500) == 1
    assert list(scale.ticks) == [2, 5, 10, 20, 50, 100, 200, 500]
    assert list(scales.log_scale([0.3, 400]).ticks) == [1, 10, 100]
