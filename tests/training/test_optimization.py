"""Learning rates and weight decay by parameter, against rates written down by hand."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model, WhisperConfig, WhisperModel

from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, EPOCHS, LAST_CHECKPOINT
from asr_dro.training.finetuning import RateOptions
from asr_dro.training.optimization import build_optimizer, learning_rate_scales, learning_rates, network_levels
from asr_dro.training.run import train
from asr_dro.training.schedules import TriStageLR
from tests.training.pretrained_runs import build_model, write_xlsr_run
from tests.training.runs import assert_same_training, stop_after

# Patterns, the first that fits counts, and what the rate of the head is multiplied with when a layer has half of the
# rate of the one above it.
XLSR = {
    "ctc.*": 1,
    "encoder.model.encoder.layers.2.*": 1 / 2,
    "encoder.model.encoder.layer_norm.*": 1 / 2,  # after the layers, in networks of this kind
    "encoder.model.encoder.layers.1.*": 1 / 4,
    "encoder.model.encoder.layers.0.*": 1 / 8,
    "encoder.model.*": 1 / 16,  # convolutions, projection, positions, vector of masks
}
RECIPE = {
    "ctc.*": 1,
    "encoder.encoders.1.*": 1 / 2,
    "encoder.after_norm.*": 1 / 2,
    "encoder.encoders.0.*": 1 / 4,
    "encoder.embed.*": 1 / 8,
    "preencoder.*": 1 / 16,
    "frontend.featurizer.*": 1 / 32,  # weights of the sum over layers
    "frontend.upstream.model.encoder.layers.2.*": 1 / 32,
    "frontend.upstream.model.encoder.layer_norm.*": 1 / 32,
    "frontend.upstream.model.encoder.layers.1.*": 1 / 64,
    "frontend.upstream.model.encoder.layers.0.*": 1 / 128,
    "frontend.upstream.model.*": 1 / 256,
}
HALF = RateOptions(layer_decay=0.5)


class Parts(nn.Module):
    """Networks under ESPnet's names of parts."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def expected_scale(name: str, table: dict[str, float]) -> float:
    return next(scale for pattern, scale in table.items() if fnmatchcase(name, pattern))


@pytest.mark.parametrize(("model", "table"), [("xlsr", XLSR), ("xlsr_s3prl", RECIPE)])
def test_rates_of_every_parameter(
    noise_set: Path, tiny_xlsr: Path, tmp_path: Path, model: str, table: dict[str, float]
) -> None:
    network = build_model(noise_set, tiny_xlsr, tmp_path, model=model)
    scales = learning_rate_scales(network, HALF)
    assert scales == {name: expected_scale(name, table) for name, _ in network.named_parameters()}
    seen = {pattern for pattern in table if any(fnmatchcase(name, pattern) for name in scales)}
    assert seen == set(table), "every line of the table is about something"

    optimizer = build_optimizer(network, torch.optim.AdamW, {"lr": 0.3, "weight_decay": 0.1}, HALF)
    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rate_of) == sum(len(group["params"]) for group in optimizer.param_groups) == len(scales)
    for name, parameter in network.named_parameters():
        assert rate_of[id(parameter)] == pytest.approx(0.3 * expected_scale(name, table)), name
    assert learning_rates(optimizer)["head"] == max(learning_rates(optimizer).values()) == 0.3
    assert sorted(learning_rates(optimizer).values()) == pytest.approx(sorted({0.3 * s for s in table.values()}))


def test_one_norm_before_or_after_the_layers() -> None:
    """transformers calls both ``encoder.layer_norm``; the base network has it before its layers."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    small = {"conv_dim": (4,), "conv_stride": (5,), "conv_kernel": (10,), "num_conv_pos_embedding_groups": 2}
    for stable, expected in ((False, 1 / 8), (True, 1 / 2)):
        network = Wav2Vec2Model(Wav2Vec2Config(**sizes, **small, do_stable_layer_norm=stable))  # type: ignore[arg-type]
        model = Parts(encoder=network, ctc=nn.Linear(8, 3))
        assert learning_rate_scales(model, HALF)["encoder.encoder.layer_norm.weight"] == expected


def test_whisper_from_the_spectrogram_to_the_last_layer_of_the_decoder() -> None:
    whisper = WhisperModel(
        WhisperConfig(
            vocab_size=12,
            d_model=8,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=8,
            decoder_ffn_dim=8,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=0,
            decoder_start_token_id=0,
        )
    )
    model = Parts(encoder=whisper.encoder, decoder=whisper.decoder)
    found = {level: len(names) for level, names in network_levels(model)}
    assert list(found) == [
        *("encoder.input", "encoder.layer0", "encoder.layer1"),
        *("decoder.input", "decoder.layer0", "decoder.layer1"),
    ]
    scales = learning_rate_scales(model, RateOptions(layer_decay=0.5, head_lr_scale=10))
    expected = {
        "encoder.conv1.weight": 2**-5,
        "encoder.layers.0.fc1.weight": 2**-4,
        "encoder.layers.1.fc1.weight": 2**-3,
        "encoder.layer_norm.weight": 2**-3,  # after the layers
        "decoder.embed_tokens.weight": 10 * 2**-2,
        "decoder.layers.0.fc1.weight": 10 * 2**-1,
        "decoder.layers.1.fc1.weight": 10,
        "decoder.layer_norm.weight": 10,
    }
    assert {name: scales[name] for name in expected} == expected
    assert sorted(scales) == sorted(name for name, _ in model.named_parameters())


def test_without_options_all_is_as_before(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    """One group, parameters in their order: the optimiser of earlier checkpoints."""
    model = build_model(noise_set, tiny_xlsr, tmp_path)
    optimizer = build_optimizer(model, torch.optim.Adam, {"lr": 0.01}, RateOptions())
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(p) for p in model.parameters()]
    assert len(optimizer.param_groups) == 1
    assert learning_rates(optimizer) == {"all": 0.01}


def test_the_head_may_learn_faster(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path)
    optimizer = build_optimizer(model, torch.optim.Adam, {"lr": 0.01}, RateOptions(head_lr_scale=5))
    assert learning_rates(optimizer) == {"head": 0.05, "body": 0.01}
    fast = {id(p) for group in optimizer.param_groups if group["lr"] == 0.05 for p in group["params"]}
    assert fast == {id(p) for p in model.ctc.parameters()}


def test_biases_and_norms_keep_their_weight(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    """With gradients of zero, AdamW changes what decays and nothing else."""
    model = build_model(noise_set, tiny_xlsr, tmp_path)
    options = RateOptions(layer_decay=0.5, exclude_weight_decay=True)
    optimizer = build_optimizer(model, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.5}, options)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        vector = name.endswith("bias") or "norm" in name or name.endswith("masked_spec_embed")
        factor = 1.0 if vector else 1 - 0.1 * expected_scale(name, XLSR) * 0.5
        torch.testing.assert_close(parameter.detach(), before[name] * factor, msg=name)


def test_a_schedule_scales_all_levels_alike(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path)
    optimizer = build_optimizer(model, torch.optim.SGD, {"lr": 2.0}, HALF)
    schedule = TriStageLR(optimizer, 20, warmup_share=0.5, hold_share=0.0, decay="linear")
    for _ in range(5):
        optimizer.step()
        schedule.step()
    warm = 0.01 + 0.99 * 5 / 10
    assert learning_rates(optimizer)["head"] == pytest.approx(2 * warm)
    assert learning_rates(optimizer)["encoder.input"] == pytest.approx(2 * warm / 16)


def test_a_training_with_layer_decay_resumes_bit_for_bit_and_reports_its_rates(
    noise_set: Path, tiny_xlsr: Path, tmp_path: Path
) -> None:
    more = "--layer_decay 0.5 --head_lr_scale 4 --exclude_weight_decay true --save_every_updates 1 --freeze_updates 1"
    whole, parts = (write_xlsr_run(tmp_path / name, tiny_xlsr, more) for name in ("whole", "parts"))
    train(noise_set, whole, ngpu=0)
    stop_after(noise_set, parts, 3)
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)

    record = json.loads((whole / EPOCHS).read_text().splitlines()[-1])
    rates = record["lr_by_level"]
    assert record["lr"] == rates["head"] == max(rates.values())
    assert rates["encoder.layer2"] / rates["encoder.input"] == pytest.approx(8)
    assert rates["head"] / rates["encoder.layer2"] == pytest.approx(2 * 4)
    groups = torch.load(whole / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["optimizer"]["param_groups"]
    assert {group["name"]: group["lr"] for group in groups} == rates


def test_rates_go_to_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from asr_dro.training.scalars import write_scalars

    errors = {"mean": 0.5, "worst": 0.6, "by_language": {}}
    record = {
        "epoch": 3, "lr": 0.2, "lr_by_level": {"head": 0.2, "encoder.layer0": 0.1},
        "train": {"loss": 1.0, "loss_by_group": {}}, "dev": {"loss": 1.0, "cer": errors, "lid_error": errors},
    }  # fmt: skip
    write_scalars(tmp_path, record, nn.Identity())
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [events.Scalars(name)[0].value for name in ("lr", "lr/head", "lr/encoder.layer0")] == pytest.approx(
        [0.2, 0.2, 0.1]
    )


def test_an_unknown_optimiser_is_named() -> None:
    from asr_dro.task import GroupRobustASRTask

    with pytest.raises(UserError, match=r"'adamv' is unknown; allowed: .*adamw"):
        GroupRobustASRTask.build_optimizers(SimpleNamespace(optim="adamv"), nn.Linear(1, 1))  # type: ignore[arg-type]
