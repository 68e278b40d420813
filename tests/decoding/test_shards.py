from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.batching import Batch
from asr_dro.decoding.shards import Shard, batch_seconds, parse_shard, share_out
from asr_dro.errors import UserError


@given(st.lists(st.floats(0.1, 100), max_size=60), st.integers(1, 12))
def test_shares_hold_each_batch_once_and_are_about_equal(seconds: list[float], total: int) -> None:
    shares = share_out(seconds, total)
    assert len(shares) == total
    assert sorted(batch for share in shares for batch in share) == list(range(len(seconds)))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(seconds[batch] for batch in share) for share in shares]
    assert max(loads) - min(loads) <= max(seconds, default=0) + 1e-6


def test_equal_batches_are_dealt_out_evenly() -> None:
    assert [len(share) for share in share_out([60.0] * 11, 4)] == [3, 3, 3, 2]


def test_a_long_batch_is_a_share_by_itself() -> None:
    assert share_out([1.0] * 6 + [12.0] + [1.0] * 6, 2) == [[6], [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]]


def test_padding_counts() -> None:
    durations_s = np.array([1.0, 4.0, 3.0])
    batches = [Batch(np.array([0, 1]), 1.0, -1), Batch(np.array([2]), 1.0, -1)]
    assert batch_seconds(batches, durations_s) == [8.0, 3.0]


def test_shards_as_typed() -> None:
    assert parse_shard("2/8") == Shard(2, 8)
    assert parse_shard("08/12") == Shard(8, 12)
    assert str(Shard(2, 8)) == "2/8"


@pytest.mark.parametrize("text", ["0/3", "4/3", "a/b", "1", "1/0", "0/0", "-1/3", "1/3/5", "", "1/3 ", "1.5/3", "²/3"])
def test_mistaken_shards_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--shard .*such as"):
        parse_shard(text)
