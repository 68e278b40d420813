"""bf16 and fp16: where they apply, what stays in fp32, and trainings in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from espnet2.asr.frontend.default import DefaultFrontend
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from asr_dro.config import find_config
from asr_dro.decoding.decode import decode_sets
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, LAST_CHECKPOINT
from asr_dro.training import checkpoints
from asr_dro.training.epoch import EpochOptions, forward_backward, update
from asr_dro.training.precision import autocast, check_precision, full_precision, is_signal_processing
from asr_dro.training.run import train
from asr_dro.training.state import TrainingState
from tests.training.pretrained_runs import build_model, waveforms, write_xlsr_run
from tests.training.runs import assert_same_training, build, stop_after, write_run

CPU = torch.device("cpu")


def product_type(precision: str) -> torch.dtype:
    with autocast(precision, CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_matrix_products_take_the_precision() -> None:
    assert product_type("fp32") is torch.float32
    assert product_type("bf16") is torch.bfloat16
    assert product_type("fp16") is torch.float32, "decoding on the CPU what was trained in fp16 on a GPU"
    with autocast("bf16", CPU), full_precision(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        autocast("bf8", CPU)


def test_fp16_is_not_for_the_cpu(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    check_precision("bf16", ngpu=0)
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        train(noise_set, write_xlsr_run(tmp_path, tiny_xlsr, "--precision fp16"), ngpu=0)


def test_a_gpu_without_bf16_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    check_precision("fp16", ngpu=1)
    with pytest.raises(UserError, match="Old GPU cannot compute in bf16"):
        check_precision("bf16", ngpu=1)


def test_a_network_is_no_signal_processing() -> None:
    assert is_signal_processing(None)
    assert is_signal_processing(DefaultFrontend(center=False))
    assert not is_signal_processing(nn.Linear(1, 1))


def types_of_linear_outputs(model: Any) -> set[torch.dtype]:
    """Return the types that linear layers give in training, on dev and in decoding."""
    seen: set[torch.dtype] = set()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    batch: dict[str, Any] = {
        **waveforms(),
        "text": torch.tensor([[3, 4, 5], [4, 3, 3]]),
        "text_lengths": torch.tensor([3, 3]),
    }
    batch |= {"group": torch.tensor([[0], [1]]), "unreadable": torch.zeros(2, dtype=torch.bool), "empty": False}
    loss, stats, _ = model.train()(**batch, visit_fraction=1.0)
    loss.backward()
    assert loss.dtype is stats["losses"].dtype is torch.float32
    assert all(parameter.grad is None or parameter.grad.dtype is torch.float32 for parameter in model.parameters())
    assert model.eval().evaluate(batch)[0].dtype is torch.float32
    assert model.ctc_logits(**waveforms())[0].dtype is torch.float32
    model.greedy(**waveforms())
    return seen


@pytest.mark.parametrize("model", ["xlsr", "xlsr_s3prl"])
@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_pretrained_networks_run_in_it_and_losses_in_fp32(
    noise_set: Path, tiny_xlsr: Path, tmp_path: Path, model: str, precision: str, expected: torch.dtype
) -> None:
    """The network of a front end too, for which ESPnet itself switches it off."""
    more = f"--precision {precision}"
    assert types_of_linear_outputs(build_model(noise_set, tiny_xlsr, tmp_path, model=model, more=more)) == {expected}


def test_losses_are_near_those_of_fp32(noise_set: Path, tmp_path: Path) -> None:
    losses: dict[str, Tensor] = {}
    features: dict[str, Tensor] = {}
    for precision in ("fp32", "bf16"):
        model, batches = build(noise_set, tmp_path, precision=precision)
        losses[precision] = model.utterance_losses(batches[0])[0].detach()
        with model.autocast():
            features[precision] = model._extract_feats(batches[0]["speech"], batches[0]["speech_lengths"])[0]
    assert torch.equal(features["fp32"], features["bf16"]), "logarithms of spectra need all their digits"
    torch.testing.assert_close(losses["bf16"], losses["fp32"], rtol=0.02, atol=0.0)
    assert not torch.equal(losses["bf16"], losses["fp32"])


def test_a_training_in_bf16_resumes_bit_for_bit_and_decodes_in_bf16(noise_set: Path, tmp_path: Path) -> None:
    from asr_dro.decoding.model_loading import load_model

    more = "--precision bf16 --save_every_updates 1 --use_tensorboard false"
    whole, parts = (write_run(tmp_path / name, "ctc_dro", more) for name in ("whole", "parts"))
    train(noise_set, whole, ngpu=0)
    stop_after(noise_set, parts, 2)
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)
    state = checkpoints.load(whole / CHECKPOINTS / LAST_CHECKPOINT)
    assert {tensor.dtype for name, tensor in state["model"].items() if name.startswith("encoder.")} == {torch.float32}
    assert state["scaler"] is None
    assert load_model(whole, CPU).precision == "bf16"
    decode_sets(noise_set, whole, find_config("decode", "greedy"), nj=1, ngpu=0)


def one_update(noise_set: Path, folder: Path, scaler: GradScaler | None, *, broken: bool = False) -> TrainingState:
    """Return a training after one update, whose gradient is infinite if ``broken``."""
    model, batches = build(noise_set, folder)
    state = TrainingState(model, torch.optim.SGD(model.parameters(), lr=0.1), None, scaler)
    options = EpochOptions(model, CPU, batches_per_update=2, grad_clip=1.0, main_process=True)
    for batch in batches[:2]:
        forward_backward(state, dict(batch), options)
    if broken:
        next(model.parameters()).grad[0] = float("inf")
    update(state, options.grad_clip)
    return state


def test_scaled_losses_give_the_same_update(noise_set: Path, tmp_path: Path) -> None:
    """Clipping sees gradients as they are; one that overflows costs the update and lowers the scale, nothing else."""
    scaler = GradScaler("cpu", init_scale=2.0**10)
    plain, scaled = one_update(noise_set, tmp_path, None), one_update(noise_set, tmp_path, scaler)
    for (name, expected), found in zip(plain.model.named_parameters(), scaled.model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)
    assert (scaled.updates, scaled.skipped_updates, scaler.get_scale()) == (1, 0, 2.0**10)

    untouched, _ = build(noise_set, tmp_path)
    failed = one_update(noise_set, tmp_path, scaler, broken=True)
    assert (failed.updates, failed.skipped_updates, scaler.get_scale()) == (0, 1, 2.0**9)
    assert all(torch.equal(a, b) for a, b in zip(failed.model.parameters(), untouched.parameters(), strict=True))
    again = GradScaler("cpu")
    again.load_state_dict(failed.snapshot()["scaler"])
    assert again.get_scale() == 2.0**9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_on_a_gpu(noise_set: Path, tiny_xlsr: Path, tmp_path: Path, precision: str) -> None:
    more = f"--precision {precision} --save_every_updates 1 --lora rank=4 --encoder_conf gradient_checkpointing=true"
    whole, parts = (
        write_xlsr_run(tmp_path / name, tiny_xlsr, more, objective="ctc_dro") for name in ("whole", "parts")
    )
    train(noise_set, whole, ngpu=1)
    stop_after(noise_set, parts, 2, ngpu=1)
    train(noise_set, parts, ngpu=1)
    assert_same_training(whole, parts, tolerance=1e-3)
    state = checkpoints.load(whole / CHECKPOINTS / LAST_CHECKPOINT)
    assert (state["scaler"] is not None) == (precision == "fp16")
    assert state["updates"] >= 2
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    decode_sets(noise_set, whole, find_config("decode", "greedy"), nj=1, ngpu=1)
