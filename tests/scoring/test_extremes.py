from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.scoring.extremes import Extremes
from asr_dro.scoring.resampled_rates import percentiles, variances
from asr_dro.scoring.resampling import Floats
from asr_dro.scoring.summary_intervals import intervals_over_languages

RATES = np.array([[0.2], [0.21], [0.6]])
DRAWN = np.random.default_rng(0).normal(RATES, 0.01, (3, 5000))


def extremes_of(drawn: Floats, observed: Floats, freedom: float = 1e9) -> Extremes:
    freedoms = [freedom] * len(drawn)
    ends = percentiles(drawn, 0.95, freedoms)
    return Extremes(drawn, observed, freedoms, ends=ends, spread=variances(drawn), level=0.95)


def test_the_interval_of_an_extreme_is_its_own_where_it_is_alone() -> None:
    found = extremes_of(DRAWN, RATES)
    assert found.highest() == pytest.approx([0.6 - 0.0196, 0.6 + 0.0196], abs=0.001)
    low, high = found.lowest()
    assert low == pytest.approx(0.2 - 0.0196, abs=0.001)
    assert high > 0.2 + 0.0196  # either of two may be the lowest, and the lower one may be so by luck
    clear = extremes_of(DRAWN[1:], RATES[1:])
    assert clear.lowest() == pytest.approx([0.21 - 0.0196, 0.21 + 0.0196], abs=0.003)
    error = 0.01 * np.sqrt(2)
    low, high = clear.distance()
    assert high == pytest.approx(0.39 + 1.96 * error, abs=0.001)
    assert 0.39 - 2.7 * error < low < 0.39 - 1.96 * error


def test_which_is_worst_depends_on_the_rates() -> None:
    errors = intervals_over_languages(
        DRAWN, RATES, [1e9] * 3, ends=percentiles(DRAWN, 0.95), lowest_is_worst=False, level=0.95
    )
    shares = intervals_over_languages(
        1 - DRAWN, 1 - RATES, [1e9] * 3, ends=percentiles(1 - DRAWN, 0.95), lowest_is_worst=True, level=0.95
    )
    for name in ("worst", "best"):
        ends = errors[name]
        assert ends is not None
        assert shares[name] == pytest.approx([1 - end for end in reversed(ends)])
    assert shares["range"] == pytest.approx(errors["range"])
    assert errors["worst15"] == pytest.approx(errors["mean"])  # all of three languages


def test_shares_stay_between_nothing_and_all() -> None:
    rates = np.array([[0.99], [0.98]])
    drawn = np.minimum(1.0, np.random.default_rng(1).normal(rates, 0.03, (2, 2000)))
    found = intervals_over_languages(
        drawn, rates, [1e9] * 2, ends=percentiles(drawn, 0.95), lowest_is_worst=True, level=0.95
    )
    for name in ("worst", "best", "range"):
        ends = found[name]
        assert ends is not None
        assert 0 <= ends[0] <= ends[1] <= 1


@pytest.mark.parametrize("rates", [[0.2] * 12, [0.1, 0.2, 0.21, 0.5], [0.1, 0.5]], ids=["equal", "spread", "two"])
def test_they_hold_the_true_values(rates: list[float]) -> None:
    """Noise grows with the rate, as that of error rates does: who is low by luck seems to vary little."""
    rng, true, simulations = np.random.default_rng(3), np.array(rates)[:, None], 300
    truths = {"highest": max(rates), "lowest": min(rates), "distance": max(rates) - min(rates)}
    held = dict.fromkeys(truths, 0)
    for _ in range(simulations):
        values = rng.gamma(2.0, true / 2, (len(rates), 60))
        chosen = rng.multinomial(60, [1 / 60] * 60, 300)
        found = extremes_of(values @ chosen.T / 60, values.mean(axis=1, keepdims=True))
        for name, truth in truths.items():
            low, high = getattr(found, name)()
            held[name] += low <= truth + 1e-12 and truth <= high
    assert min(held.values()) / simulations > 0.915


@given(st.lists(st.floats(0.3, 2), min_size=1, max_size=8), st.integers(0, 50))
def test_scores_lie_inside_in_any_order(rates: list[float], seed: int) -> None:
    rng, observed = np.random.default_rng(seed), np.array(rates)[:, None]
    drawn = np.abs(rng.normal(observed, rng.choice([0.0, 0.05], observed.shape), (len(rates), 200)))
    found, turned = extremes_of(drawn, observed), extremes_of(drawn[::-1], observed[::-1])
    for name in ("highest", "lowest", "distance"):
        assert getattr(found, name)() == getattr(turned, name)()
    assert found.highest()[0] <= max(rates) <= found.highest()[1]
    assert found.lowest()[0] <= min(rates) <= found.lowest()[1] + 1e-12
    assert found.distance()[0] <= max(rates) - min(rates) + 1e-12 <= found.distance()[1] + 2e-12


def test_resamples_without_a_rate_and_rates_without_error() -> None:
    drawn = DRAWN.copy()
    drawn[:, :5], drawn[0, 5:50] = np.nan, np.nan
    found, whole = extremes_of(drawn, RATES), extremes_of(DRAWN, RATES)
    for name in ("highest", "lowest", "distance"):
        assert getattr(found, name)() == pytest.approx(getattr(whole, name)(), abs=0.002)
    fixed = extremes_of(np.repeat(RATES, 100, axis=1), RATES)
    assert fixed.highest() == [0.6, 0.6]
    assert fixed.lowest() == pytest.approx([0.2, 0.2])
    assert fixed.distance() == pytest.approx([0.4, 0.4])
    assert extremes_of(DRAWN[:1], RATES[:1]).distance() == [0.0, 0.0]


def test_few_units_make_them_wider() -> None:
    many, few = extremes_of(DRAWN, RATES), extremes_of(DRAWN, RATES, freedom=4)
    for name in ("highest", "lowest", "distance"):
        assert np.ptp(getattr(few, name)()) > 1.2 * np.ptp(getattr(many, name)())
