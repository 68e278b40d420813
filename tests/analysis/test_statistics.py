from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from asr_dro.analysis.statistics import deviation, mean_ranks, robust_z, spearman

SMALL = st.integers(-5, 5).map(float)  # many ties


@given(st.lists(SMALL, min_size=1, max_size=30))
def test_ranks_equal_scipys(values: list[float]) -> None:
    assert mean_ranks(np.array(values)).tolist() == stats.rankdata(values).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_correlation_equals_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 9, 40).astype(float)
    second = seed * 0.5 * first + rng.integers(0, 9, 40)
    expected = stats.spearmanr(first, second)
    found = spearman(first.tolist(), second.tolist())
    assert found.n == 40
    assert found.rho == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.015)
    assert found.interval is not None
    assert found.rho is not None
    assert found.interval[0] < found.rho < found.interval[1]


def test_interval_covers_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(0)
    correlation, n, inside = 0.6, 60, 0
    true_rho = 6 / math.pi * math.asin(correlation / 2)  # of a normal distribution
    for _ in range(150):
        x = rng.standard_normal(n)
        y = correlation * x + math.sqrt(1 - correlation**2) * rng.standard_normal(n)
        low, high = _interval(stats.spearmanr(x, y).statistic, n)
        inside += low < true_rho < high
    assert 0.9 <= inside / 150 <= 0.99


def _interval(rho: float, n: int) -> tuple[float, float]:
    from asr_dro.analysis import statistics

    return statistics._interval(rho, n)


def test_too_few_or_constant_values_have_no_correlation() -> None:
    assert spearman([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]).rho is None
    assert spearman([1.0] * 20, list(range(20))).rho is None
    assert spearman([math.nan] * 20, list(range(20))).n == 0
    assert spearman([], []).n == 0


def test_perfect_order() -> None:
    found = spearman(list(range(10)), [value**3 for value in range(10)])
    assert found.rho == pytest.approx(1)
    assert found.p is not None
    assert 0 < found.p < 0.001


def test_p_values_are_uniform_where_nothing_is_associated() -> None:
    rng = np.random.default_rng(1)
    p_values = [spearman(rng.random(12).tolist(), rng.random(12).tolist()).p for _ in range(60)]
    assert stats.kstest([p for p in p_values if p is not None], "uniform").pvalue > 0.001


def test_z_of_a_normal_sample_is_its_distance_in_standard_deviations() -> None:
    values = np.append(np.random.default_rng(0).normal(10, 2, 4000), [20.0, np.nan])
    z = robust_z(values, floor=0.01)
    assert z[-2] == pytest.approx(5, abs=0.3)
    assert np.isnan(z[-1])
    assert np.isnan(robust_z(np.array([1.0, 2.0, 9.0]), floor=0.1)).all()
    assert robust_z(np.ones(9), floor=0.1).tolist() == [0.0] * 9


def test_deviation() -> None:
    found = deviation(5.0, [1.0, 1.0, 1.0, 1.0, 1.0, math.nan], floor=0.5)
    assert found is not None
    assert (found.difference, found.z, found.median) == (4.0, 8.0, 1.0)
    few = deviation(5.0, [1.0, 2.0], floor=0.5)
    assert few is not None
    assert math.isnan(few.z)
    assert deviation(5.0, [], floor=1) is None
    assert deviation(math.nan, [1.0], floor=1) is None
