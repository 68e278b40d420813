"""ESPnet's SpecAugment inside our chain: it masks frames of training, not padding, and nothing of dev."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.experiment import EPOCHS
from asr_dro.training.run import train
from tests.training.runs import assert_same_training, build, stop_after, write_run

MASKS = {
    "apply_time_warp": False,
    "freq_mask_width_range": [5, 10],
    "num_freq_mask": 2,
    "time_mask_width_ratio_range": [0.1, 0.2],
    "num_time_mask": 2,
}


def features(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the encoder gets (B, T, F), and lengths (B,)."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = model.encoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[:2]))
    model.encode(batch["speech"], batch["speech_lengths"])
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("replace_with_zero", [True, False])
def test_training_is_masked_and_padding_and_dev_are_not(
    noise_set: Path, tmp_path: Path, replace_with_zero: bool
) -> None:
    conf = {**MASKS, "replace_with_zero": replace_with_zero}
    masked, batches = build(noise_set, tmp_path, specaug="specaug", specaug_conf=conf)
    plain, _ = build(noise_set, tmp_path)
    batch = next(batch for batch in batches if len(batch["speech_lengths"].unique()) > 1)
    expected, lengths = features(plain, batch)
    found, _ = features(masked, batch)  # in eval mode, as dev is measured
    assert torch.equal(found, expected)
    torch.manual_seed(0)
    found, found_lengths = features(masked.train(), batch)
    assert torch.equal(found_lengths, lengths)
    padding = torch.arange(found.size(1)) >= lengths[:, None]  # (B, T)
    assert padding.any()
    assert (found[padding] == 0).all()
    frames = ~padding
    constant = (found[:, 1:] == found[:, :-1]) & (frames[:, 1:, None] & frames[:, :-1, None])
    assert constant.any(), "masks hold one value"
    assert not torch.equal(found, expected)


def test_a_training_with_specaugment_learns_and_resumes_bit_for_bit(noise_set: Path, tmp_path: Path) -> None:
    options = " ".join(f"--specaug_conf {name}={json.dumps(value).replace(' ', '')}" for name, value in MASKS.items())
    more = f"--specaug specaug {options} --save_every_updates 1 --use_tensorboard false --average_best 1"
    whole, parts = write_run(tmp_path / "whole", more=more), write_run(tmp_path / "parts", more=more)
    train(noise_set, whole, ngpu=0)
    stop_after(noise_set, parts, 2)
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)
    losses = [json.loads(line)["train"]["loss"] for line in (whole / EPOCHS).read_text().splitlines()]
    assert losses[-1] < losses[0]
