from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.batching import (
    MIXED,
    Batch,
    BatchingConfig,
    EpochBatches,
    build_batches,
    epoch,
    padding_share,
    shard,
)
from asr_dro.errors import UserError
from tests.batching.strategies import Data, configs, data_sets

quick = settings(deadline=None, max_examples=60)


def plan(data: Data, config: BatchingConfig, seed: int = 1) -> EpochBatches:
    return EpochBatches(*data, config=config, seed=seed)


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a.indices, b.indices) and a[1:] == b[1:] for a, b in zip(first, second, strict=True)
    )


def realistic(n_groups: int = 6, utterances: int = 1800, seed: int = 0) -> Data:
    """Groups of unequal size, mostly 3 to 7 s."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.3, 1, n_groups)
    groups = rng.choice(n_groups, utterances, p=shares / shares.sum())
    return Data(rng.lognormal(np.log(4.5), 0.4, utterances).clip(1, 15), groups, n_groups)


@quick
@given(data=data_sets(), config=configs(), number=st.integers(0, 3))
def test_every_batch_is_sound(data: Data, config: BatchingConfig, number: int) -> None:
    subject = plan(data, config)
    batches = subject.batches(number)
    assert len(batches) == subject.batches_per_epoch > 0
    assert len(batches) == subject.updates_per_epoch * subject.batches_per_update
    assert subject.batches_per_update == (
        data.n_groups if config.batches_per_update == "groups" else config.batches_per_update
    )
    for batch in batches:
        assert len(batch.indices) > 0
        groups = set(data.groups[batch.indices].tolist())
        if config.kind == "group":
            assert groups == {batch.group}
            assert len(set(batch.indices.tolist())) == len(batch.indices)
            seconds = data.durations_s[batch.indices].sum()
            assert batch.visit_fraction == pytest.approx(seconds / subject.seconds_per_batch)
        else:
            assert (batch.group, batch.visit_fraction) == (MIXED, 1.0)
        if config.max_utterances is not None:
            assert len(batch.indices) <= config.max_utterances


@quick
@given(data=data_sets(), config=configs(), number=st.integers(0, 3))
def test_batches_keep_the_limit(data: Data, config: BatchingConfig, number: int) -> None:
    subject = plan(data, config)
    limit_s = subject.seconds_per_batch
    if config.overshoot:
        limit_s += data.durations_s.max()
    elif config.kind == "mixed" and config.temperature != 1:
        return  # the number of batches is fixed, so a batch may be a little longer
    for batch in subject.batches(number):
        durations_s = data.durations_s[batch.indices]
        seconds = len(durations_s) * durations_s.max() if config.count_padding else durations_s.sum()
        assert len(durations_s) == 1 or seconds <= limit_s + 1e-6


@quick
@given(data=data_sets(), config=configs(temperature=1), number=st.integers(0, 3))
def test_each_utterance_comes_once_per_epoch(data: Data, config: BatchingConfig, number: int) -> None:
    subject = plan(data, config)
    if config.order == "uniform" and config.kind == "group":
        return
    count = np.bincount(np.concatenate([b.indices for b in subject.batches(number)]), minlength=len(data.groups))
    if subject.batches_per_epoch <= len(data.groups):
        assert (count == 1).all()
    elif config.kind == "mixed":  # fewer utterances than batches
        assert count.min() >= 1


@quick
@given(data=data_sets(), config=configs(), seed=st.integers(0, 2**40), start=st.integers(0, 30))
def test_batches_depend_on_seed_and_epoch_only(data: Data, config: BatchingConfig, seed: int, start: int) -> None:
    first = plan(data, config, seed)
    first.batches(0)
    expected = first.batches(2)
    again = build_batches(*data, config=config, seed=seed, epoch=2)
    assert same(expected, again)
    resumed = plan(data, config, seed).batches(2, start=start)
    assert same(resumed, expected[start:])


@quick
@given(data=data_sets(), config=configs(temperature=1, kind="group", schedule="uniform"))
def test_uniform_means_complete_rounds(data: Data, config: BatchingConfig) -> None:
    groups = [batch.group for number in range(3) for batch in plan(data, config).batches(number)]
    per_epoch = len(groups) // 3
    for begin in range(0, per_epoch - data.n_groups + 1, data.n_groups):
        assert sorted(groups[begin : begin + data.n_groups]) == list(range(data.n_groups))
    counts = np.bincount(groups, minlength=data.n_groups)
    assert counts.max() - counts.min() <= 3  # at most one visit more or less in each epoch


@quick
@given(data=data_sets(), config=configs())
def test_nobody_waits_longer_than_others_of_the_group(data: Data, config: BatchingConfig) -> None:
    subject = plan(data, config)
    taken = np.concatenate([batch.indices for number in range(4) for batch in subject.batches(number)])
    count = np.bincount(taken, minlength=len(data.groups))
    if all(len(batch.indices) == 1 for batch in subject.batches(0)):
        return  # maybe fewer utterances than batches, some of which are repeated
    for group in range(data.n_groups):
        assert np.ptp(count[data.groups == group]) <= 1


@pytest.mark.parametrize("kind", ["mixed", "group"])
@pytest.mark.parametrize("schedule", [None, "proportional", "interleaved"])
def test_epochs_and_seeds_differ(kind: str, schedule: str | None) -> None:
    if kind == "mixed" and schedule:
        return
    data = realistic()
    subject = plan(data, BatchingConfig(kind=kind, schedule=schedule, seconds_per_batch=30.0))

    def contents(batches: list[Batch]) -> set[frozenset[int]]:
        return {frozenset(batch.indices.tolist()) for batch in batches}

    first, second = subject.batches(0), subject.batches(1)
    assert [batch.group for batch in first] != [batch.group for batch in second] or kind == "mixed"
    assert len(contents(first) & contents(second)) < 0.1 * len(first)  # packed anew, not only shuffled
    other_seed = plan(data, subject.config, seed=2).batches(0)
    assert len(contents(first) & contents(other_seed)) < 0.1 * len(first)


@pytest.mark.parametrize("data", [realistic(), realistic(20, 20_000, seed=1)])
@pytest.mark.parametrize("overshoot", [False, True])
def test_kinds_spend_the_same_audio_per_update(data: Data, overshoot: bool) -> None:
    conf = {"seconds_per_batch": 30.0, "batches_per_update": "groups", "overshoot": overshoot}
    told = [
        plan(data, BatchingConfig(kind=kind, schedule=schedule, **conf)).describe()  # type: ignore[arg-type]
        for kind, schedule in [
            ("mixed", None),
            ("group", "uniform"),
            ("group", "proportional"),
            ("group", "interleaved"),
        ]
    ]
    for name in ("seconds_per_update", "seconds_per_epoch"):
        values = [numbers[name] for numbers in told]
        assert max(values) / min(values) < 1.05, name
    assert told[0]["seconds_per_epoch"] == pytest.approx(data.durations_s.sum())
    assert all(numbers["padding_share"] < 0.1 for numbers in told)
    assert told[0]["seconds_per_batch"] > 0.85 * 30


def test_no_small_rest() -> None:
    data = realistic(20, 20_000)
    subject = plan(data, BatchingConfig(kind="group", schedule="proportional", seconds_per_batch=50.0))
    fractions = [batch.visit_fraction for batch in subject.batches(0)]
    assert min(fractions) > 0.6
    assert np.mean(fractions) > 0.85


def test_a_group_smaller_than_a_batch_comes_whole_with_its_fraction() -> None:
    data = Data(np.array([1.0] * 5 + [4.0] * 30), np.array([0] * 5 + [1] * 30), 2)
    subject = plan(data, BatchingConfig(kind="group", seconds_per_batch=20.0, batches_per_update="groups"))
    batches = subject.batches(0)
    small = [batch for batch in batches if batch.group == 0]
    assert len(small) == len(batches) / 2 > 1
    assert all(sorted(batch.indices.tolist()) == [0, 1, 2, 3, 4] for batch in small)
    assert all(batch.visit_fraction == 0.25 for batch in small)


def test_an_utterance_longer_than_a_batch_is_alone() -> None:
    data = Data(np.array([1.0, 50.0, 1.0, 1.0]), np.zeros(4, dtype=np.int64), 1)
    batches = plan(data, BatchingConfig(seconds_per_batch=10.0, batches_per_update=1)).batches(0)
    assert sorted(sorted(batch.indices.tolist()) for batch in batches) == [[0, 2, 3], [1]]


def test_interleaved_spreads_each_group() -> None:
    data = realistic(4, 4000)
    batches = plan(data, BatchingConfig(kind="group", schedule="interleaved", seconds_per_batch=30.0)).batches(0)
    for group in range(4):
        places = np.flatnonzero([batch.group == group for batch in batches])
        assert np.diff(places).max() <= 2 * len(batches) / len(places) + 1


@pytest.mark.parametrize("kind", ["mixed", "group"])
def test_temperature_gives_small_groups_more(kind: str) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], [4000, 400, 40])
    data = Data(rng.uniform(2, 6, len(groups)), groups, 3)
    schedule = "interleaved" if kind == "group" else None
    config = BatchingConfig(kind=kind, schedule=schedule, seconds_per_batch=40.0, temperature=2.0)
    subject = plan(data, config)
    taken = np.concatenate([batch.indices for number in range(10) for batch in subject.batches(number)])
    seconds = np.bincount(groups[taken], weights=data.durations_s[taken])
    amounts = np.sqrt(np.bincount(groups, weights=data.durations_s))
    assert seconds / seconds.sum() == pytest.approx(amounts / amounts.sum(), rel=0.05)
    assert seconds.sum() == pytest.approx(10 * data.durations_s.sum(), rel=0.05)


def test_default_target_is_four_utterances_of_the_longest_group() -> None:
    data = Data(np.array([1.0, 3.0, 10.0, 12.0]), np.array([0, 0, 1, 1]), 2)
    assert plan(data, BatchingConfig()).seconds_per_batch == 44.0


def test_shards_are_a_partition_and_may_be_empty() -> None:
    batch = Batch(np.arange(3), 0.5, 2)
    parts = [shard(batch, rank, 4) for rank in range(4)]
    assert [part.indices.tolist() for part in parts] == [[0], [1], [2], []]
    assert all(part[1:] == (0.5, 2) for part in parts)


def test_padding_share() -> None:
    durations_s = np.array([4.0, 1.0, 3.0])
    batches = [
        Batch(np.array([1, 0]), 1.0, 0),
        Batch(np.array([2]), 1.0, 0),
        Batch(np.array([], dtype=np.int64), 1.0, 0),
    ]
    assert padding_share(batches, durations_s) == pytest.approx(3 / 11)
    assert padding_share([], durations_s) == 0


@pytest.mark.parametrize(
    ("durations_s", "groups", "words"),
    [
        ([], [], "no utterances"),
        ([1.0], [0, 1], "equal length"),
        ([1.0, 0.0], [0, 1], "utterance 1 has 0.0 s"),
        ([1.0, float("nan")], [0, 1], "utterance 1 has nan s"),
        ([1.0, 2.0], [0, 2], "utterance 1 has 2"),
        ([1.0, 2.0], [0, -1], "utterance 1 has -1"),
        ([1.0, 2.0], [0, 0], r"groups without training utterances: \[1\]"),
    ],
)
def test_bad_data_is_refused(durations_s: list[float], groups: list[int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        EpochBatches(durations_s, groups, 2, config=BatchingConfig(kind="group"), seed=0)


def test_mixed_batches_need_not_have_every_group() -> None:
    for temperature in (1.0, 2.0):
        config = BatchingConfig(temperature=temperature, batches_per_update=1)
        batches = EpochBatches([1.0, 2.0], [2, 2], 4, config=config, seed=0).batches(0)
        assert sorted(np.concatenate([batch.indices for batch in batches]).tolist()) == [0, 1]


def test_examples_and_no_torch() -> None:
    assert doctest.testmod(epoch).attempted > 0
    assert doctest.testmod(epoch).failed == 0
    code = "import sys, asr_dro.batching; assert not {'torch', 'pandas', 'espnet2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("conf", [{"kind": "mixed", "batches_per_update": 1}, {"kind": "group", "overshoot": True}])
def test_an_update_has_the_seconds_of_the_budget_however_it_is_cut(conf: dict[str, object]) -> None:
    data = realistic(4, 800)
    config = BatchingConfig.from_mapping({"batches_per_update": "groups", **conf, "seconds_per_update": 40.0})
    told = plan(data, config).describe()
    assert told["seconds_per_update"] == pytest.approx(40.0, rel=0.1)
