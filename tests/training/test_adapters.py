"""LoRA: what learns, what an adapter computes, checkpoints with and without it, merging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from espnet2.torch_utils.load_pretrained_model import load_pretrained_model
from torch import Tensor, nn
from torch.nn import functional

from asr_dro.config import find_config
from asr_dro.decoding.decode import decode_sets
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, LAST_CHECKPOINT, MODEL
from asr_dro.training import checkpoints
from asr_dro.training.adapters import add_adapters, find_targets, merge_adapters
from asr_dro.training.finetuning import LoraOptions
from asr_dro.training.run import train
from tests.training.pretrained_runs import build_model, waveforms, write_xlsr_run
from tests.training.runs import assert_same_training, stop_after

LORA = "--lora rank=4 --lora alpha=6 --lora dropout=0.1"
ATTENTION = "encoder.model.encoder.layers.{}.attention.{}"
ADAPTED = {ATTENTION.format(layer, name) for layer in range(3) for name in ("q_proj", "v_proj")}
WIDTH, RANK, SCALE = 32, 4, 6 / 4


def train_adapters_somewhat(model: nn.Module) -> None:
    """Give adapters other values than the zeros they begin with."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return torch.cat([row.flatten() for row in model.eval().ctc_logits(**waveforms())[0]])


def plain_names(name: str) -> str:
    return name.replace(".base_layer", "")


def test_only_adapters_and_the_head_learn(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path, more=LORA)
    learning = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapters = {f"{name}.lora_{side}.default.weight": RANK * WIDTH for name in ADAPTED for side in "AB"}
    head = {f"ctc.{name}": parameter.numel() for name, parameter in model.ctc.named_parameters()}
    assert learning == adapters | head


def test_beside_a_weighted_sum_everything_new_learns(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    more = f"{LORA} --lora learn=[frontend.upstream.model.encoder.layer_norm.*]"
    model = build_model(noise_set, tiny_xlsr, tmp_path, model="xlsr_s3prl", more=more)
    for name, parameter in model.named_parameters():
        in_network = name.startswith("frontend.upstream.")
        expected = not in_network or ".lora_" in name or name.startswith("frontend.upstream.model.encoder.layer_norm")
        assert parameter.requires_grad == expected, name
    assert model.frontend.featurizer.weights.requires_grad


def test_untrained_adapters_change_nothing(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    plain = build_model(noise_set, tiny_xlsr, tmp_path)
    adapted = build_model(noise_set, tiny_xlsr, tmp_path, more=LORA)
    assert torch.equal(logits(plain), logits(adapted))


def test_an_adapter_adds_a_product_of_two_small_matrices(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path, more=LORA).eval()
    train_adapters_somewhat(model)
    layer = model.get_submodule(sorted(ADAPTED)[0])
    x = torch.randn(3, WIDTH)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert (down.shape, up.shape) == ((RANK, WIDTH), (WIDTH, RANK))
    expected = functional.linear(x, layer.base_layer.weight + SCALE * up @ down, layer.base_layer.bias)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_merged_it_is_a_plain_model_with_the_same_outputs(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path, more=LORA)
    train_adapters_somewhat(model)
    before, weights = logits(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert merge_adapters(model) == len(ADAPTED)
    torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=1e-5)

    plain = build_model(noise_set, tiny_xlsr, tmp_path)
    untouched = logits(plain)
    plain.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(logits(plain), logits(model))
    assert not torch.allclose(untouched, before, atol=1e-2), "the adapters must matter for this to mean anything"
    for name in ADAPTED:
        product = weights[f"{name}.lora_B.default.weight"] @ weights[f"{name}.lora_A.default.weight"]
        expected = weights[f"{name}.base_layer.weight"] + SCALE * product
        torch.testing.assert_close(model.get_submodule(name).weight, expected)
    assert merge_adapters(model) == 0


def test_broken_adapters_are_not_merged(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path, more=LORA)
    model.get_submodule(sorted(ADAPTED)[0]).lora_B["default"].weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        merge_adapters(model)


@pytest.mark.parametrize("key", ["", ":encoder:encoder"])
def test_weights_without_adapters_can_be_a_start(noise_set: Path, tiny_xlsr: Path, tmp_path: Path, key: str) -> None:
    """``init_param`` of ESPnet, for the whole model and for a part of it."""
    plain = build_model(noise_set, tiny_xlsr, tmp_path)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.1)
    torch.save(plain.state_dict(), tmp_path / "start.pt")
    model = build_model(noise_set, tiny_xlsr, tmp_path, more=LORA)
    load_pretrained_model(f"{tmp_path / 'start.pt'}{key}", model, ignore_init_mismatch=False)
    loaded = {plain_names(name): tensor for name, tensor in model.state_dict().items() if ".lora_" not in name}
    for name, tensor in plain.state_dict().items():
        assert torch.equal(loaded[name], tensor) == (not key or name.startswith("encoder.")), name


def test_training_changes_adapters_and_head_alone_and_decodes(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    """Resumed in the middle, dropout included, it equals the undisturbed run bit for bit."""
    more = f"{LORA} --save_every_updates 1 --layer_decay 0.9 --max_epoch 1"
    whole, parts = (
        write_xlsr_run(tmp_path / name, tiny_xlsr, more, objective="ctc_dro") for name in ("whole", "parts")
    )
    before = build_model(noise_set, tiny_xlsr, tmp_path, more=more).state_dict()
    train(noise_set, whole, ngpu=0)
    stop_after(noise_set, parts, 2)
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)

    after = checkpoints.load(whole / CHECKPOINTS / LAST_CHECKPOINT)["model"]
    pretrained = {name for name in after if name.startswith("encoder.") and ".lora_" not in name}
    assert pretrained
    for name in pretrained:
        assert torch.equal(after[name], before[name]), name
    assert all(after[f"{name}.lora_B.default.weight"].abs().max() > 0 for name in ADAPTED)
    assert (whole / CHECKPOINTS / MODEL).exists()
    outputs = decode_sets(noise_set, whole, find_config("decode", "greedy"), nj=1, ngpu=0)
    assert all(path.exists() for path in outputs)


class Attention(nn.Module):
    """Layers of any names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"q_proj": nn.Linear(4, 4), "k_proj": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
        self.decoder = nn.MultiheadAttention(4, 2)
        self.ctc = nn.ModuleDict({"ctc_lo": nn.Linear(4, 3)})


def test_unknown_targets_are_answered_with_what_there_is() -> None:
    with pytest.raises(UserError, match=r"called 'wq', 'norm'; there are: q_proj \(1\), k_proj \(1\)$"):
        add_adapters(Attention(), LoraOptions(targets=("q_proj", "wq", "norm")))
    with pytest.raises(UserError, match="'ctc_lo'"):
        find_targets(Attention(), ["ctc_lo"])
    with pytest.raises(UserError, match=r"no parameter fits 'encoder\.nothing\.\*'"):
        add_adapters(Attention(), LoraOptions(targets=("q_proj",), learn=("encoder.nothing.*",)))


def test_a_name_may_be_narrowed_down_and_never_fits_the_end_of_a_word() -> None:
    model = Attention()
    model.encoder["seq_proj"] = nn.Linear(4, 4)
    assert find_targets(model, ["q_proj"]) == ["encoder.q_proj"]
    assert find_targets(model, ["encoder.k_proj", "q_proj", "q_proj"]) == ["encoder.k_proj", "encoder.q_proj"]


def test_attention_that_reads_weights_past_an_adapter_is_refused() -> None:
    class MultiheadAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = nn.Linear(4, 4)

    model = Attention()
    model.encoder["self_attn"] = MultiheadAttention()
    with pytest.raises(UserError, match=r"encoder\.self_attn\.q_proj is in a MultiheadAttention"):
        find_targets(model, ["q_proj"])


def test_what_was_frozen_elsewhere_stays_frozen() -> None:
    model = Attention()
    model.decoder.requires_grad_(False)
    add_adapters(model, LoraOptions(rank=2, targets=("q_proj",)))
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {
        *(f"encoder.q_proj.lora_{side}.default.weight" for side in "AB"),
        *("ctc.ctc_lo.weight", "ctc.ctc_lo.bias"),
    }
