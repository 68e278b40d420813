"""What transformers' modules compute with fairseq's weights, against what fairseq computed (tests/data/fairseq)."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2ForPreTraining, Wav2Vec2Model

from asr_dro.encoders.fairseq_checkpoint import FairseqCheckpoint, read_fairseq_checkpoint
from asr_dro.encoders.fairseq_wav2vec2 import build, to_fairseq, to_transformers
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT

GOLDEN = ROOT / "tests" / "data" / "fairseq"
LANGUAGES = {"base": None, "base_ctc": None, "large": None, "large_ctc": None, "adapters": "fra"}
TOLERANCE = 1e-5  # the goal is 1e-4; a swapped pair of tensors gives 1e-2 and more


def read(name: str) -> FairseqCheckpoint:
    return read_fairseq_checkpoint(GOLDEN / f"{name}.pt", LANGUAGES[name])


def load(path: Path, language: str | None = None) -> Any:
    """Return a file's encoder, without its output layer or what pretraining needed."""
    model = build(*to_transformers(read_fairseq_checkpoint(path, language)))
    return model if isinstance(model, Wav2Vec2Model) else model.wav2vec2


def golden(name: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, np.ndarray[Any, Any]]]:
    """Return the waveforms, which samples are no padding, and fairseq's outputs."""
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    audio, lengths = torch.from_numpy(arrays.pop("audio")), torch.from_numpy(arrays.pop("lengths"))
    return audio, torch.arange(audio.shape[1]) < lengths[:, None], arrays


def outputs(model: Wav2Vec2Model, audio: torch.Tensor, mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Return what the golden files hold, by their names."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: object, inputs: object, output: torch.Tensor) -> None:
            found[name] = output

        return hook

    hooks = [layer.register_forward_hook(keep(f"layer{index}")) for index, layer in enumerate(model.encoder.layers)]
    with torch.no_grad():
        result = model(audio, attention_mask=None if mask is None else mask.long())
        found["cnn"] = model.feature_extractor(audio).transpose(1, 2)
    for hook in hooks:
        hook.remove()
    return {**found, "features": result.extract_features, "final": result.last_hidden_state}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", LANGUAGES)
def test_every_layer_equals_fairseq(name: str, attention: str) -> None:
    audio, mask, expected = golden(name)
    model = load(GOLDEN / f"{name}.pt", LANGUAGES[name])
    assert type(model) is Wav2Vec2Model and not model.training
    model.set_attn_implementation(attention)
    batch = outputs(model, audio, mask)
    alone = outputs(model, audio[1:, mask[1]], None)
    found = {f"batch.{key}": value for key, value in batch.items()} | {f"alone.{key}": v for key, v in alone.items()}
    wanted = {key: value for key, value in expected.items() if not key.endswith("logits")}
    assert found.keys() == wanted.keys() and {"batch.layer0", "batch.layer1", "batch.layer2"} < found.keys()
    for key, value in wanted.items():
        assert np.abs(value).max() > 0.1, f"{key}: nothing to compare"
        np.testing.assert_allclose(found[key].numpy(), value, atol=TOLERANCE, rtol=0, err_msg=key)


@pytest.mark.parametrize("name", ["base_ctc", "large_ctc", "adapters"])
def test_logits_equal_fairseq(name: str) -> None:
    audio, mask, expected = golden(name)
    model = build(*to_transformers(read(name)))
    assert type(model) is Wav2Vec2ForCTC
    with torch.no_grad():
        logits = model(audio, attention_mask=mask.long()).logits
    np.testing.assert_allclose(logits.numpy(), expected["batch.logits"], atol=TOLERANCE, rtol=0)


def test_adapters_of_the_other_language_compute_something_else() -> None:
    audio, mask, expected = golden("adapters")
    english = outputs(load(GOLDEN / "adapters.pt", "eng"), audio, mask)
    assert np.abs(english["layer0"].numpy() - expected["batch.layer0"]).max() > 0.01


@pytest.mark.parametrize(("name", "leaks"), [("base", True), ("large", False)])
def test_only_group_norm_lets_padding_in(name: str, leaks: bool) -> None:
    """The known leak, in fairseq's own outputs and in ours: base models see how far a batch was padded."""
    audio, mask, expected = golden(name)
    model = load(GOLDEN / f"{name}.pt")
    frames = expected["alone.final"].shape[1]
    ours = (outputs(model, audio, mask)["final"][1:, :frames] - outputs(model, audio[1:, mask[1]], None)["final"]).abs()
    theirs = np.abs(expected["batch.final"][1:, :frames] - expected["alone.final"])
    for difference in (float(ours.max()), float(theirs.max())):
        assert difference > 0.01 if leaks else difference < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", LANGUAGES)
def test_there_and_back_to_the_bit(name: str, dtype: torch.dtype) -> None:
    checkpoint = read(name)
    checkpoint = dataclasses.replace(checkpoint, state={key: t.to(dtype) for key, t in checkpoint.state.items()})
    config, state = to_transformers(checkpoint)
    assert {tensor.dtype for tensor in state.values()} == {dtype}
    back = to_fairseq(config, state, normalize=checkpoint.normalize)["model"]
    assert back.keys() == checkpoint.state.keys()
    assert all(torch.equal(back[key], checkpoint.state[key]) for key in back)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("base", Wav2Vec2ForPreTraining), ("large", Wav2Vec2ForPreTraining), ("large_ctc", Wav2Vec2ForCTC)],
)
def test_state_is_of_the_named_class(name: str, kind: type) -> None:
    config, state = to_transformers(read(name))
    assert config.architectures == [kind.__name__]
    assert state.keys() == kind(config).state_dict().keys()


def test_weight_norm_of_newer_torch_is_the_same() -> None:
    checkpoint = read("large")
    new = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    renamed = dict(checkpoint.state)
    for old, name in new.items():
        renamed[f"encoder.pos_conv.0.{name}"] = renamed.pop(f"encoder.pos_conv.0.{old}")
    _, state = to_transformers(dataclasses.replace(checkpoint, state=renamed))
    assert all(torch.equal(state[key], tensor) for key, tensor in to_transformers(checkpoint)[1].items())
    old_style = {key: tensor for key, tensor in state.items() if "original" not in key}
    for old, name in new.items():
        old_style[f"wav2vec2.encoder.pos_conv_embed.conv.{old}"] = state[f"wav2vec2.encoder.pos_conv_embed.conv.{name}"]
    back = to_fairseq(to_transformers(checkpoint)[0], old_style, normalize=True)["model"]
    assert all(torch.equal(back[key], tensor) for key, tensor in checkpoint.state.items())


def test_missing_and_surplus_tensors_are_all_named() -> None:
    checkpoint = read("base_ctc")
    state = dict(checkpoint.state)
    gone = ["w2v_encoder.proj.bias", "w2v_encoder.w2v_model.encoder.layers.2.fc1.weight"]
    for name in gone:
        del state[name]
    state |= {"decoder.embed": torch.zeros(2), "w2v_encoder.w2v_model.encoder.layers.3.fc1.bias": torch.zeros(2)}
    with pytest.raises(UserError) as raised:
        to_transformers(dataclasses.replace(checkpoint, state=state))
    message = str(raised.value)
    assert f"missing: {', '.join(gone)}" in message and str(checkpoint.path) in message
    assert "not known: decoder.embed, w2v_encoder.w2v_model.encoder.layers.3.fc1.bias" in message


def test_shapes_that_differ_are_all_named() -> None:
    checkpoint = read("base")
    config = {**checkpoint.config, "encoder_ffn_embed_dim": 25}
    with pytest.raises(UserError, match=r"shapes differ.*layers\.0.*\(24, 16\), configured \(25, 16\).*layers\.2"):
        to_transformers(dataclasses.replace(checkpoint, config=config))


@pytest.mark.parametrize("cause", ["no quantizer", "gated targets"])
def test_pretraining_tensors_are_left_out_by_name(cause: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    checkpoint = read("base")
    state = dict(checkpoint.state)
    if cause == "no quantizer":
        del state["quantizer.vars"]
    else:
        state |= {"target_glu.0.weight": torch.zeros(16, 8), "target_glu.0.bias": torch.zeros(16)}
    config, converted = to_transformers(dataclasses.replace(checkpoint, state=state))
    assert config.architectures == ["Wav2Vec2Model"]
    assert converted.keys() == Wav2Vec2Model(config).state_dict().keys()
    left = ["final_proj.bias", "project_q.weight", "quantizer.weight_proj.bias"]
    assert all(name in caplog.text for name in left)


def test_several_adapters_are_refused() -> None:
    checkpoint = read("adapters")
    state = {key: tensor.repeat(2, *[1] * (tensor.dim() - 1)) if "adapter_layer" in key else tensor
             for key, tensor in checkpoint.state.items()}  # fmt: skip
    with pytest.raises(UserError, match="holds 2 adapters"):
        to_transformers(dataclasses.replace(checkpoint, state=state))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_weights_are_loaded_as_float32_and_let_go_of_the_file(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "model.pt"
    checkpoint = read("large")
    state = {name: tensor.to(dtype) for name, tensor in checkpoint.state.items()}
    torch.save(to_fairseq(*to_transformers(dataclasses.replace(checkpoint, state=state)), normalize=True), path)
    model = load(path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with open(path, "r+b") as file:  # in place: a mapped file would change under the model
        file.write(bytes(path.stat().st_size))
    assert {tensor.dtype for tensor in before.values()} == {torch.float32}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(before["encoder.layer_norm.weight"], state["encoder.layer_norm.weight"].float())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_without_masking_the_mask_embedding_keeps_its_place() -> None:
    checkpoint = read("large_ctc")
    config = {**checkpoint.config, "mask_prob": 0.0, "mask_channel_prob": 0.0}
    converted, state = to_transformers(dataclasses.replace(checkpoint, config=config))
    assert not converted.apply_spec_augment and "wav2vec2.masked_spec_embed" in state
    assert build(converted, state).train()(torch.randn(1, 800)).logits.isfinite().all()
    masked, _ = to_transformers(checkpoint)
    assert masked.apply_spec_augment and masked.mask_time_prob == 0.5 and masked.mask_feature_prob == 0.2


# Width, layers, width of the feed-forward, heads of XLS-R with 0.3, 1 and 2 billion parameters (arXiv:2111.09296).
@pytest.mark.parametrize("sizes", [(1024, 24, 4096, 16), (1280, 48, 5120, 16), (1920, 48, 7680, 16)])
def test_sizes_come_from_the_configuration(sizes: tuple[int, int, int, int]) -> None:
    """The published sizes of XLS-R, without memory for their weights."""
    width, layers, feed_forward, heads = sizes
    options: dict[str, Any] = {"conv_bias": True, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    options |= {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": feed_forward}
    config = Wav2Vec2Config(**options, num_attention_heads=heads)
    with torch.device("meta"):
        state = Wav2Vec2Model(config).state_dict()
    made = to_fairseq(config, state, normalize=True)
    assert made["model"]["encoder.pos_conv.0.weight_v"].shape == (width, width // 16, 128)
    checkpoint = FairseqCheckpoint(Path("meta.pt"), made["cfg"]["model"], made["model"], False, True, 16_000, ())
    converted, back = to_transformers(checkpoint)
    assert {name: tensor.shape for name, tensor in back.items()} == {name: t.shape for name, t in state.items()}
    assert (converted.hidden_size, converted.num_hidden_layers, converted.intermediate_size) == sizes[:3]


def test_what_fairseq_has_no_place_for_is_refused() -> None:
    config, state = to_transformers(read("adapters"))
    with pytest.raises(UserError, match="equal width"):
        to_fairseq(config, {**state, "wav2vec2.feature_projection.projection.bias": torch.ones(16)}, normalize=True)
    with pytest.raises(UserError, match=r"layer_norm_eps=.*add_adapter=True"):
        to_fairseq(
            Wav2Vec2Config(**{**config.to_dict(), "layer_norm_eps": 1e-6, "add_adapter": True}), state, normalize=True
        )
    with pytest.raises(UserError, match=r"not known: extra"):
        to_fairseq(config, {**state, "extra": torch.zeros(1)}, normalize=True)


def test_copy_in_another_place_reads_the_same(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "large_omegaconf.pt", tmp_path / "any name.bin")  # the name says nothing
    state = load(tmp_path / "any name.bin").state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in load(GOLDEN / "large.pt").state_dict().items())
