"""Random spans: where they lie, how many there are, and that their number is transformers'."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

from asr_dro.encoders.span_masks import SpanMask
from asr_dro.errors import UserError


@pytest.mark.parametrize(("probability", "length"), [(0.05, 10), (0.3, 7), (0.75, 10), (1.0, 3)])
def test_as_much_is_masked_as_in_transformers(probability: float, length: int) -> None:
    lengths = torch.tensor([200, 120, 60] * 500)
    mask = SpanMask(probability, length).draw(lengths, 200)
    attention = torch.arange(200) < lengths[:, None]
    np.random.seed(0)
    theirs = np.concatenate([
        _compute_mask_indices((3, 200), probability, length, attention_mask=rows) for rows in attention.view(-1, 3, 200)
    ])  # fmt: skip
    for row in range(3):
        ours = mask[row::3, : lengths[row]].float().mean().item()
        expected = theirs[row::3, : lengths[row]].mean()
        assert ours == pytest.approx(expected, abs=0.02)


def test_spans_have_their_length_and_stay_on_the_utterance() -> None:
    lengths = torch.tensor([100, 37, 12, 11, 10, 9, 1])
    mask = SpanMask(0.4, 10, min_spans=1).draw(lengths, 100)
    assert not mask[torch.arange(100) >= lengths[:, None]].any()
    assert mask[:5].any(dim=1).all(), "one span where it fits"
    assert not mask[5:].any(), "none where it does not"
    for row in mask[:5].tolist():
        runs = [len(list(run)) for masked, run in itertools.groupby(row) if masked]
        assert all(run >= 10 for run in runs)


def test_every_position_is_masked_alike() -> None:
    torch.manual_seed(0)
    mask = SpanMask(0.2, 1).draw(torch.full((20_000,), 30), 30).float().mean(dim=0)
    torch.testing.assert_close(mask, torch.full((30,), 0.2), atol=0.015, rtol=0.0)


def test_a_generator_state_gives_the_same_masks_again() -> None:
    lengths = torch.tensor([50, 40])
    state = torch.get_rng_state()
    first = SpanMask(0.5, 5).draw(lengths, 50)
    second = SpanMask(0.5, 5).draw(lengths, 50)
    torch.set_rng_state(state)
    assert torch.equal(SpanMask(0.5, 5).draw(lengths, 50), first)
    assert not torch.equal(first, second)


def test_no_probability_masks_nothing_and_wide_spans_need_room() -> None:
    assert not SpanMask(0.0, 10).draw(torch.tensor([50]), 50).any()
    assert not SpanMask(0.9, 60).draw(torch.tensor([50]), 50).any()


def test_all_mistakes_are_named() -> None:
    with pytest.raises(UserError) as caught:
        SpanMask.from_mapping({"probability": 2, "length": 0, "width": 3}, "time_mask")
    for part in (
        "time_mask.width is not a key",
        "probability must be from 0 to 1",
        "time_mask.length must be a whole number",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"probability": True}, "probability must be from 0 to 1, not True"),
        ({"probability": float("nan")}, "probability must be from 0 to 1, not nan"),
        ({"min_spans": -1}, "min_spans must be a whole number from 0 on, not -1"),
        ({"min_spans": False}, "min_spans must be a whole number from 0 on, not False"),
        (0.5, "time_mask must hold keys and values, not 0.5"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: Any, part: str) -> None:
    with pytest.raises(UserError, match=re.escape(part)):
        SpanMask.from_mapping(values, "time_mask")
