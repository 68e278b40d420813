"""Parts of a pretrained network that rest, for good or at first: to the bit, to the update, across resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from asr_dro.training import epoch
from asr_dro.training.run import train
from tests.training.pretrained_runs import build_model, waveforms, write_xlsr_run
from tests.training.runs import assert_same_training, stop_after, train_together

CNN, NETWORK = "encoder.model.feature_extractor.", "encoder.model."
HEAD_ONLY = 2
SAVING = f"--save_every_updates 1 --freeze_updates {HEAD_ONLY} --encoder_conf gradient_checkpointing=true"
NOTHING_RANDOM = (
    "--encoder_conf.time_mask null --encoder_conf.channel_mask null "
    "--encoder_conf.dropout.layer 0 --encoder_conf.dropout.activation 0"
)


class Update(NamedTuple):
    """What an update has done."""

    number: int
    changed: set[str]
    cnn_trains: bool
    encoder_trains: bool


def watch(noise_set: Path, experiment: Path, *, stop: int | None = None) -> list[Update]:
    """Train and return what each update did."""
    original, seen = epoch.update, []

    def update(state: Any, grad_clip: float) -> None:
        before = {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}
        original(state, grad_clip)
        changed = {
            name for name, parameter in state.model.named_parameters() if not torch.equal(parameter, before[name])
        }
        encoder = state.model.encoder
        seen.append(Update(state.updates, changed, encoder.model.feature_extractor.training, encoder.training))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch, "update", update)
        if stop is None:
            train(noise_set, experiment, ngpu=0)
        else:
            stop_after(noise_set, experiment, stop)
    return seen


@pytest.mark.parametrize("stop", [1, HEAD_ONLY, HEAD_ONLY + 1])
def test_the_head_learns_alone_to_the_update_and_the_cnn_never(
    noise_set: Path, tiny_xlsr: Path, tmp_path: Path, stop: int
) -> None:
    """Stopped before, at and after the last update of the head alone, and gone on."""
    whole, parts = (write_xlsr_run(tmp_path / name, tiny_xlsr, SAVING) for name in ("whole", "parts"))
    undisturbed = watch(noise_set, whole)
    resumed = watch(noise_set, parts, stop=stop) + watch(noise_set, parts)
    assert resumed == undisturbed
    assert_same_training(whole, parts, tolerance=0.0)
    assert [update.number for update in undisturbed] == list(range(1, len(undisturbed) + 1))
    assert len(undisturbed) > HEAD_ONLY + 1
    for update in undisturbed:
        head_alone = update.number <= HEAD_ONLY
        assert {"ctc.ctc_lo.weight", "ctc.ctc_lo.bias"} <= update.changed
        assert any(name.startswith(NETWORK) for name in update.changed) != head_alone
        assert not any(name.startswith(CNN) for name in update.changed)
        assert not update.cnn_trains
        assert update.encoder_trains != head_alone


def gradients(model: Any) -> dict[str, Tensor]:
    torch.manual_seed(4)  # of dropout, masks and dropped layers
    logits, _ = model.train().ctc_logits(**waveforms())
    logits.square().mean().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_layers_computed_twice_give_the_same_gradients(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    """Gradient checkpointing, with the CNN frozen below it and everything random above it."""
    more = "--encoder_conf.dropout.hidden 0.2 --encoder_conf.dropout.attention 0.2"
    calls: dict[bool, int] = {}
    found = {}
    for checkpointing in (False, True):
        options = f"{more} --encoder_conf gradient_checkpointing={checkpointing}".lower()
        model = build_model(noise_set, tiny_xlsr, tmp_path, more=options)
        model.encoder.model.feature_extractor.requires_grad_(False)
        counted: list[int] = []
        model.encoder.model.encoder.layers[0].feed_forward.register_forward_pre_hook(
            lambda *_, seen=counted: seen.append(1)
        )
        found[checkpointing] = gradients(model)
        calls[checkpointing] = len(counted)
    assert calls == {False: 1, True: 2}
    assert found[True].keys() == found[False].keys()
    assert not any(name.startswith(CNN) for name in found[True])
    for name, gradient in found[False].items():
        torch.testing.assert_close(found[True][name], gradient, msg=name)


@pytest.mark.parametrize("lora", ["", "--lora rank=4"], ids=["partly frozen", "adapters"])
def test_two_processes_with_frozen_parts_and_checkpointing_train_like_one(
    noise_set: Path, tiny_xlsr: Path, tmp_path: Path, lora: str
) -> None:
    more = f"{SAVING} {NOTHING_RANDOM} {lora}"
    alone, together = (
        write_xlsr_run(tmp_path / name, tiny_xlsr, more, objective="ctc_dro") for name in ("alone", "together")
    )
    train(noise_set, alone, ngpu=0)
    train_together(noise_set, together, 2)
    assert_same_training(alone, together, tolerance=1e-5)


def test_two_processes_may_drop_different_layers(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    more = f"{SAVING} --encoder_conf.dropout.layer 0.6 --precision bf16 --layer_decay 0.9"
    train_together(noise_set, write_xlsr_run(tmp_path, tiny_xlsr, more), 2)
