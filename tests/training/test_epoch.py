"""Sums of an epoch: the wait for data, and checkpoints of earlier versions."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from asr_dro.training.epoch import EpochTotals


def slow(seconds: float, count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(seconds)
        yield number


def test_the_wait_for_batches_is_measured_and_their_use_is_not() -> None:
    totals = EpochTotals(2, torch.device("cpu"))
    found = []
    for number in totals.waiting_for(slow(0.03, 5)):
        time.sleep(0.02)
        found.append(number)
    assert found == [0, 1, 2, 3, 4]
    assert 0.15 <= totals.waited_s < time.perf_counter() - totals.start - 0.1
    totals.samples = totals.padded_samples = 16_000
    summary = totals.summary(["a", "b"])
    assert summary["data_wait_share"] == pytest.approx(totals.waited_s / summary["seconds"])


def test_sums_go_on_where_a_checkpoint_has_them() -> None:
    totals, resumed = (EpochTotals(2, torch.device("cpu")) for _ in range(2))
    totals.waited_s, totals.unreadable, totals.samples, totals.seconds = 3.0, 2, 5, 60.0
    state = totals.state()
    resumed.load(state)
    assert (resumed.waited_s, resumed.unreadable, resumed.samples) == (3.0, 2, 5)
    assert resumed.seconds >= 60.0
    old = {name: value for name, value in state.items() if name not in ("waited_s", "unreadable")}
    EpochTotals(2, torch.device("cpu")).load(old)  # written before there was such a sum
