"""Data sets and options of all sorts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_dro.batching import BatchingConfig


class Data(NamedTuple):
    durations_s: NDArray[np.float64]
    groups: NDArray[np.int64]
    n_groups: int


@st.composite
def data_sets(draw: st.DrawFn) -> Data:
    """Up to 6 groups of 1 to 40 utterances each; lengths are equal, alike or wildly different."""
    n_groups = draw(st.integers(1, 6))
    sizes = draw(st.lists(st.integers(1, 40), min_size=n_groups, max_size=n_groups))
    spread = draw(st.sampled_from([0.0, 0.3, 2.0]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    durations_s = np.round(3 * np.exp(spread * rng.standard_normal(sum(sizes))), 2) + 0.01
    groups = rng.permutation(np.repeat(np.arange(n_groups), sizes))
    return Data(durations_s, groups, n_groups)


@st.composite
def configs(draw: st.DrawFn, /, **fixed: Any) -> BatchingConfig:
    """Any valid options; ``fixed`` sets some of them."""
    conf = {
        "kind": draw(st.sampled_from(["mixed", "group"])),
        "seconds_per_batch": draw(st.sampled_from([1.0, 9.5, 20.0, 100.0, None])),
        "batches_per_update": draw(st.sampled_from([1, 2, 7, "groups"])),
        "max_utterances": draw(st.sampled_from([None, None, 1, 3])),
        "temperature": draw(st.sampled_from([1, 1.0, 1.7, 5.0])),
        "overshoot": draw(st.booleans()),
        **fixed,
    }
    if conf["kind"] == "group" and "schedule" not in fixed:
        schedules = ["proportional", "interleaved"] + ["uniform"] * (conf["temperature"] == 1)
        conf["schedule"] = draw(st.sampled_from(schedules))
    if not conf["overshoot"]:
        conf["count_padding"] = draw(st.booleans())
    return BatchingConfig(**conf)
