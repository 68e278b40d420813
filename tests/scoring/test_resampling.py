from __future__ import annotations

import numpy as np
import pytest

from asr_dro.scoring.outcomes import Ints
from asr_dro.scoring.resampling import BLOCK, MOST_EXACT, Floats, Resampler, Strata, make_strata
from tests.scoring.outcomes import Row, outcomes, outcomes_of_rows, overdispersed


def strata_of(*values: Ints) -> Strata:
    names = [f"l{number}" for number in range(len(values))]
    return Strata([(name, "all", name) for name in names], list(values), dict.fromkeys(names, "utterance"), 2)


def naive(values: Ints, draws: int, resamples: int) -> Floats:
    """Resample as in a textbook: draw units one by one, add up; on the scale of all units."""
    rng = np.random.default_rng(99)
    sums = np.array([values[rng.integers(0, len(values), draws)].sum(axis=0) for _ in range(resamples)], dtype=float)
    return sums.T * len(values) / draws


@pytest.mark.parametrize("units", [2, 5, MOST_EXACT, MOST_EXACT + 1, 300, BLOCK + 200])
def test_sums_are_distributed_as_those_of_single_draws(units: int) -> None:
    values = overdispersed(0.2, units, np.random.default_rng(units))
    drawn = Resampler(8000, 1).sums(strata_of(values))[0]
    expected = naive(values, units - 1 if units <= MOST_EXACT else units, 8000)
    rates, expected_rates = drawn[0] / drawn[1], expected[0] / expected[1]
    error = expected_rates.std() / np.sqrt(8000)
    assert rates.mean() == pytest.approx(expected_rates.mean(), abs=5 * error)
    assert rates.std() == pytest.approx(expected_rates.std(), rel=0.05)
    at = np.unique(np.round(expected_rates, 9))
    below, expected_below = (
        np.searchsorted(np.sort(np.round(found, 9)), at, side="right") / 8000 for found in (rates, expected_rates)
    )
    assert abs(below - expected_below).max() < 1.95 * np.sqrt(2 / 8000)  # Kolmogorov and Smirnov, 1 in 1,000
    total = values[:, 1].sum()
    assert drawn[1].mean() == pytest.approx(
        total, rel=0.01
    )  # on the scale of the units, so that languages can be added
    assert drawn[1].std() == pytest.approx(expected[1].std(), rel=0.1)


def test_spread_is_that_of_the_sample_even_of_few_units() -> None:
    values = np.stack([np.arange(5), np.full(5, 10)], axis=1)
    drawn = Resampler(40_000, 0).sums(strata_of(values))[0]
    variance_of_mean = np.var(values[:, 0], ddof=1) / 5  # the textbook's unbiased estimate
    assert (drawn[0] / 5).var() == pytest.approx(variance_of_mean, rel=0.03)


@pytest.mark.parametrize("units", [20, 200])
def test_strata_are_independent_though_they_share_a_table(units: int) -> None:
    values = overdispersed(0.2, units, np.random.default_rng(0))
    other = overdispersed(0.3, units, np.random.default_rng(1))
    sums = Resampler(20_000, 0).sums(strata_of(values, values, other))
    correlations = np.corrcoef(sums[:, 0] / sums[:, 1])
    assert abs(correlations[np.triu_indices(3, 1)]).max() < 0.03  # 4 standard errors


def test_blocks_of_a_language_are_independent() -> None:
    values = overdispersed(0.2, 3 * BLOCK, np.random.default_rng(0))
    drawn = Resampler(5000, 0).sums(strata_of(values))[0]
    residuals = values[:, 0] - values[:, 1] * values[:, 0].sum() / values[:, 1].sum()
    expected = np.sqrt((residuals**2).sum()) / values[:, 1].sum()  # delta method
    assert (drawn[0] / drawn[1]).std() == pytest.approx(expected, rel=0.05)


def test_a_language_has_the_same_resamples_whatever_other_languages_there_are() -> None:
    values, other = (overdispersed(0.2, number, np.random.default_rng(number)) for number in (100, 130))
    alone = Resampler(500, 3).sums(strata_of(values))[0]
    beside = Resampler(500, 3).sums(strata_of(other, values, other))[1]
    for column in (0, 1):
        assert np.array_equal(np.sort(alone[column]), np.sort(beside[column]))


def test_resamples_do_not_depend_on_what_was_drawn_before() -> None:
    few, many = (overdispersed(0.2, number, np.random.default_rng(number)) for number in (70, 300))
    used = Resampler(300, 0)
    used.sums(strata_of(few))
    assert np.array_equal(used.sums(strata_of(many)), Resampler(300, 0).sums(strata_of(many)))
    assert np.array_equal(used.sums(strata_of(few)), Resampler(300, 0).sums(strata_of(few)))


def test_columns_see_the_same_resamples() -> None:
    values = overdispersed(0.2, 90, np.random.default_rng(0))
    resampler, strata = Resampler(300, 0), strata_of(values)
    both = resampler.sums(strata)
    assert np.array_equal(resampler.sums(strata, slice(1, 2))[0, 0], both[0, 1])


def test_large_sums_stay_exact() -> None:
    values = np.full((200, 2), 10_000_000, dtype=np.int64)
    values[:, 1] += 1
    drawn = Resampler(200, 0).sums(strata_of(values))[0]
    assert np.allclose(drawn[0] / drawn[1], 10_000_000 / 10_000_001, rtol=1e-14, atol=0)


def test_one_unit_does_not_vary() -> None:
    drawn = Resampler(200, 0).sums(strata_of(np.array([[3, 10]])))[0]
    assert (drawn == [[3], [10]]).all()


def test_order_of_utterances_and_names_of_speakers_make_no_difference() -> None:
    rng = np.random.default_rng(0)
    languages = [f"l{number % 3}" for number in range(120)]
    speakers = [f"s{number % 17}" for number in range(120)]
    counts = overdispersed(0.2, 120, rng)
    first = outcomes(languages, counts, speakers)
    shuffled = rng.permutation(120)
    second = outcomes([languages[n] for n in shuffled], counts[shuffled], [f"x{speakers[n][::-1]}" for n in shuffled])
    for unit in ("auto", "utterance"):
        drawn = [Resampler(200, 0).sums(make_strata(made, made.counts[:, :2], unit)) for made in (first, second)]
        assert np.array_equal(drawn[0], drawn[1])


def test_speakers_are_drawn_whole_where_they_are_known() -> None:
    languages = ["a"] * 4 + ["b"] * 3 + ["c"] * 2
    speakers = ["s1", "s1", "s2", "s2", *("s3",) * 3, "s1", "s4"]  # b has one speaker, c one for each utterance
    counts = np.stack([np.arange(9), np.full(9, 10)], axis=1)
    made = outcomes(languages, counts, speakers)
    strata = make_strata(made, made.counts[:, :2])
    assert strata.units == {"a": "speaker", "b": "utterance", "c": "utterance"}
    assert [values.tolist() for values in strata.values] == [
        [[1, 20], [5, 20]],
        [[4, 10], [5, 10], [6, 10]],
        [[7, 10], [8, 10]],
    ]
    assert strata.n_units() == {"a": 2, "b": 3, "c": 2}
    assert strata.freedom(["c", "a"]) == [1, 1]
    by_speaker = make_strata(made, made.counts[:, :2], "speaker")
    assert by_speaker.n_units() == {"a": 2, "b": 1, "c": 2}
    assert by_speaker.varying() == {"a", "c"}
    assert make_strata(made, made.counts[:, :2], "utterance").n_units() == {"a": 4, "b": 3, "c": 2}


def test_corpora_are_drawn_apart() -> None:
    rows = [Row(f"u{n}", "a", n, 10, corpus="x" if n < 3 else "y") for n in range(8)]
    made = outcomes_of_rows(rows)
    strata = make_strata(made, made.counts[:, :2])
    assert [key[:2] for key in strata.keys] == [("a", "x"), ("a", "y")]
    sums = Resampler(200, 0).sums(strata)
    assert (sums[:, 1] == [[30], [50]]).all()  # a corpus always keeps its share
    assert sums[0, 0].max() <= 6


def test_no_utterances() -> None:
    made = outcomes([], np.zeros((0, 2), dtype=np.int64))
    strata = make_strata(made, made.counts[:, :2])
    assert Resampler(200, 0).sums(strata).shape == (0, 2, 200)
