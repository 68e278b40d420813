from __future__ import annotations

from typing import Any

import pytest

from asr_dro.batching import BatchingConfig
from asr_dro.errors import UserError


def test_all_mistakes_are_named_at_once() -> None:
    conf = {
        "kind": "pure",
        "schedule": "random",
        "seconds_per_batch": "5e1",
        "batches_per_update": "all",
        "temperature": 0.5,
        "overshoot": "yes",
        "max_utterances": 0,
        "bach_size": 3,
    }
    with pytest.raises(UserError) as error:
        BatchingConfig.from_mapping(conf)
    for name in conf:
        assert name in str(error.value)
    for allowed in ("mixed, group", "uniform, proportional, interleaved", "'groups'", "true or false"):
        assert allowed in str(error.value)
    assert str(error.value).count("batching:") == 1


@pytest.mark.parametrize(
    "conf",
    [
        {"kind": "mixed", "schedule": "uniform"},
        {"kind": "group", "temperature": 2.0},
        {"kind": "group", "schedule": "uniform", "temperature": 2.0},
        {"overshoot": True, "count_padding": True},
        {"seconds_per_batch": float("inf")},
        {"seconds_per_batch": -1},
        {"batches_per_update": True},
        {"batches_per_update": 2.0},
        {"temperature": float("nan")},
        {"kind": ["group"]},
        {"temperature": float("inf")},
    ],
)
def test_values_that_make_no_sense_are_refused(conf: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="batching:"):
        BatchingConfig.from_mapping(conf)


def test_groups_means_their_number() -> None:
    config = BatchingConfig.from_mapping({"kind": "group", "batches_per_update": "groups"})
    assert config.updates_every(143) == 143
    assert config.order == "uniform"
