from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.batching.packing import BatchLimits, batch_count, pack


def first_fit_decreasing(durations_s: list[float], limit_s: float) -> list[list[float]]:
    """Batches as the released code packs them."""
    batches: list[list[float]] = []
    for seconds in sorted(durations_s, reverse=True):
        batch = next((batch for batch in batches if sum(batch) + seconds <= limit_s), None)
        if batch is None:
            batches.append([seconds])
        else:
            batch.append(seconds)
    return batches


@pytest.mark.parametrize(("limit_s", "more_batches"), [(20.0, 1.2), (50.0, 1.1)])
def test_first_fit_decreasing_has_somewhat_fewer_batches_and_more_padding(limit_s: float, more_batches: float) -> None:
    durations_s = np.random.default_rng(0).lognormal(np.log(4.5), 0.4, 1500).clip(1, 15)
    limits = BatchLimits(limit_s)
    ours = pack(durations_s, batch_count(durations_s, limits), limits, np.random.default_rng(0))
    theirs = first_fit_decreasing(durations_s.tolist(), limit_s)
    assert len(ours) <= more_batches * len(theirs)
    padded = sum(len(batch) * durations_s[batch].max() for batch in ours)
    assert padded < sum(len(batch) * max(batch) for batch in theirs)


def test_batches_of_equal_utterances_are_equal() -> None:
    batches = pack(np.full(30, 2.0), 6, BatchLimits(10.0), np.random.default_rng(0))
    assert sorted(map(len, batches)) == [5] * 6


@settings(deadline=None, max_examples=100)
@given(
    durations_s=st.lists(st.floats(0.1, 30), min_size=1, max_size=50),
    extra=st.floats(0, 1),
    padding=st.booleans(),
    most=st.sampled_from([None, 1, 4]),
)
def test_any_number_of_batches_down_to_single_utterances(
    durations_s: list[float], extra: float, padding: bool, most: int | None
) -> None:
    array = np.array(durations_s)
    limits = BatchLimits(12.0, count_padding=padding, max_utterances=most)
    least = batch_count(array, limits)
    count = round(least + extra * (len(array) - least))
    batches = pack(array, count, limits, np.random.default_rng(0))
    assert len(batches) == count
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(array)))
    assert all(len(batch) > 0 for batch in batches)
    for batch in batches:
        seconds = len(batch) * array[batch].max() if padding else array[batch].sum()
        assert len(batch) == 1 or seconds <= 12 + 1e-6


def test_sorted_by_length_means_little_padding() -> None:
    durations_s = np.random.default_rng(0).lognormal(np.log(4.5), 0.6, 20_000)
    limits = BatchLimits(50.0)
    batches = pack(durations_s, batch_count(durations_s, limits), limits, np.random.default_rng(0))
    padded = sum(len(batch) * durations_s[batch].max() for batch in batches)
    assert 1 - durations_s.sum() / padded < 0.05


def test_the_limit_holds_where_only_the_sorted_order_fits() -> None:
    durations_s = np.array([3.6, 3.5, 3.4, 3.3, 3.3])  # 3.6 + 3.5 and 3.4 + 3.3 + 3.3
    limits = BatchLimits(10.0)
    assert batch_count(durations_s, limits) == 2
    for seed in range(200):
        batches = pack(durations_s, 2, limits, np.random.default_rng(seed))
        assert max(durations_s[batch].sum() for batch in batches) <= 10 + 1e-6


@pytest.mark.parametrize("overshoot", [False, True])
def test_the_rest_is_shared_by_several_batches(overshoot: bool) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        durations_s = rng.lognormal(np.log(4.5), 0.4, int(rng.integers(50, 1500))).clip(1, 20)
        limits = BatchLimits(float(rng.choice([15, 20, 50])), overshoot)
        batches = pack(durations_s, batch_count(durations_s, limits), limits, rng)
        seconds = np.array([durations_s[batch].sum() for batch in batches])
        assert seconds.min() > 0.5 * seconds.mean()


def test_sharing_the_rest_keeps_the_limit_with_padding() -> None:
    durations_s = np.array([4.0, 4.0] + [1.0] * 13)  # by seconds, the first batch would get another second
    batches = pack(durations_s, 2, BatchLimits(12.0, count_padding=True), np.random.default_rng(0))
    assert sorted(map(len, batches)) == [3, 12]
