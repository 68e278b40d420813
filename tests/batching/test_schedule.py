from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.batching.schedule import order_visits, temperature_shares, visits_before, whole_visits


@given(weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=8), total=st.integers(1, 60))
def test_whole_visits_keep_sum_and_rates(weights: list[float], total: int) -> None:
    rates = np.array(weights) / sum(weights) * total
    epochs = np.array([whole_visits(rates, epoch) for epoch in range(50)])
    assert (epochs.sum(axis=1) == total).all()
    assert (epochs >= np.floor(rates - 1e-9)).all()
    assert (epochs <= np.ceil(rates + 1e-9)).all()
    assert np.abs(epochs.mean(axis=0) - rates).max() < 0.1
    assert np.array_equal(visits_before(rates, 50), epochs.sum(axis=0))
    assert visits_before(rates, 0).tolist() == [0] * len(weights)


def test_whole_rates_are_left_alone() -> None:
    rates = np.array([3.0, 1.0, 7.0])
    assert all(whole_visits(rates, epoch).tolist() == [3, 1, 7] for epoch in range(100))


@pytest.mark.parametrize("schedule", ["uniform", "proportional", "interleaved"])
def test_order_holds_each_visit_once(schedule: str) -> None:
    visits = np.array([5, 0, 2, 9])
    order = order_visits(visits, schedule, np.random.default_rng(0))
    assert np.bincount(order, minlength=4).tolist() == visits.tolist()


def test_uniform_rounds_are_shuffled() -> None:
    order = order_visits(np.full(5, 20), "uniform", np.random.default_rng(0)).reshape(20, 5)
    assert (np.sort(order, axis=1) == np.arange(5)).all()
    assert len({tuple(row) for row in order.tolist()}) > 10


def test_shares_go_from_natural_to_equal() -> None:
    seconds = np.array([900.0, 100.0])
    assert temperature_shares(seconds, 1.0) == pytest.approx([0.9, 0.1])
    assert temperature_shares(seconds, 2.0) == pytest.approx([0.75, 0.25])
    assert temperature_shares(seconds, 1e9) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("groups", [3, 6, 49, 143])
def test_equal_rates_are_equal_visits_in_spite_of_rounding(groups: int) -> None:
    rates = np.full(groups, 1 / 3.1)
    rates *= 7 * groups / rates.sum()
    for epoch in (0, 1, 5):
        assert whole_visits(rates, epoch).tolist() == [7] * groups
