"""The wav2vec 2.0 encoder against transformers' own, and what padding, masks, freezing and layer drop do to it."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from asr_dro.encoders.networks import usable_attention
from asr_dro.encoders.wav2vec2 import Wav2Vec2Encoder
from asr_dro.encoders.wav2vec2_states import hidden_states, prepare_waveforms
from asr_dro.errors import UserError
from asr_dro.training.freezing import FreezeSchedule

KINDS = ("xlsr", "base")
LENGTHS = (16_000, 15_999, 9_123, 1_000, 400, 399, 20)


def noise(count: int, samples: int = 16_000) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.05 * torch.randn(count, samples, generator=generator) + 0.01


def encoder(folder: Path, **options: Any) -> Any:
    return Wav2Vec2Encoder(checkpoint=str(folder), **options).eval()


def transformers_own(folder: Path) -> Any:
    model: Any = Wav2Vec2Model.from_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_that_of_transformers(tiny_wav2vec2: Path, kind: str, attention: str) -> None:
    ours = encoder(tiny_wav2vec2 / kind, attention=attention)
    theirs = transformers_own(tiny_wav2vec2 / kind)
    speech = noise(1)
    extractor: Any = Wav2Vec2FeatureExtractor.from_pretrained(tiny_wav2vec2 / kind)
    inputs = extractor(speech[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**inputs, output_hidden_states=True)
        prepared, lengths = prepare_waveforms(ours.model.config, speech, torch.tensor([16_000]), 1e-7)
        states = list(hidden_states(ours.model, prepared, lengths))
        output, frames, _ = ours(speech, torch.tensor([16_000]))
    torch.testing.assert_close(prepared, inputs.input_values, atol=1e-5, rtol=0.0)
    for one, other in zip(states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(states[-1], expected.last_hidden_state, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(output, expected.last_hidden_state, atol=1e-5, rtol=0.0)
    assert frames.item() == output.size(1) == 49


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_and_what_lies_behind_the_end_change_nothing(tiny_wav2vec2: Path, kind: str) -> None:
    model = encoder(tiny_wav2vec2 / kind)
    speech, lengths = noise(len(LENGTHS)), torch.tensor(LENGTHS)
    padded = speech.masked_fill(torch.arange(16_000) >= lengths[:, None], float("nan"))
    with torch.no_grad():
        together, frames, _ = model(padded, lengths)
        for row, length in enumerate(LENGTHS):
            alone, own, _ = model(speech[row : row + 1, :length], lengths[row : row + 1])
            assert own[0] == frames[row]
            torch.testing.assert_close(together[row, : own[0]], alone[0], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(("lengths", "masked"), [((16_000, 16_000), False), ((16_000, 15_000), True)])
def test_attention_has_a_mask_only_where_something_is_padded(
    tiny_wav2vec2: Path, lengths: tuple[int, int], masked: bool
) -> None:
    model = encoder(tiny_wav2vec2 / "xlsr")
    given: list[Tensor | None] = []
    for layer in model.model.encoder.layers:
        layer.register_forward_pre_hook(lambda _, __, named: given.append(named["attention_mask"]), with_kwargs=True)
    with torch.no_grad():
        model(noise(2), torch.tensor(lengths))
    assert [mask is not None for mask in given] == [masked] * len(model.model.encoder.layers)


def test_in_transformers_neighbours_do_change_base_networks(tiny_wav2vec2: Path) -> None:
    """If this fails, the group norm of ours is no longer needed."""
    model = transformers_own(tiny_wav2vec2 / "base")
    speech = noise(1)
    mask = torch.arange(16_000)[None] < 8_000
    with torch.no_grad():
        alone = model(speech[:, :8_000]).last_hidden_state
        padded = model(speech * mask, attention_mask=mask.long()).last_hidden_state
    assert (padded[:, : alone.size(1)] - alone).abs().max() > 1e-2


def test_gradients_of_the_group_norm_are_those_of_pytorch(tiny_wav2vec2: Path) -> None:
    ours, theirs = encoder(tiny_wav2vec2 / "base"), transformers_own(tiny_wav2vec2 / "base")
    speech = noise(1)
    ours(speech, torch.tensor([16_000]))[0].square().sum().backward()
    normalized, _ = prepare_waveforms(ours.model.config, speech, torch.tensor([16_000]), 1e-7)
    theirs(normalized).last_hidden_state.square().sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.model.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-3, rtol=1e-3, msg=name)


def test_loudness_does_not_matter_and_silence_is_finite(tiny_wav2vec2: Path) -> None:
    model, speech, length = encoder(tiny_wav2vec2 / "xlsr"), noise(1), torch.tensor([16_000])
    with torch.no_grad():
        torch.testing.assert_close(model(7 * speech + 3, length)[0], model(speech, length)[0], atol=1e-4, rtol=0.0)
        assert torch.isfinite(model(torch.zeros(1, 16_000), length)[0]).all()


def test_waveforms_stay_as_they_are_where_the_folder_says_so(tiny_wav2vec2: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_wav2vec2 / "xlsr", tmp_path / "raw"))
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": False}))
    ours, theirs = encoder(folder), transformers_own(folder)
    with torch.no_grad():
        output, _, _ = ours(noise(1), torch.tensor([16_000]))
        torch.testing.assert_close(output, theirs(noise(1)).last_hidden_state, atol=1e-5, rtol=0.0)


def test_a_file_of_fairseq_gives_the_same(tiny_wav2vec2: Path) -> None:
    folder, file = encoder(tiny_wav2vec2 / "xlsr"), encoder(tiny_wav2vec2 / "xlsr.pt")
    for name, tensor in folder.model.state_dict().items():
        assert torch.equal(tensor, file.model.state_dict()[name]), name
    speech = noise(1) / 0.05  # so loud that what fairseq adds to the variance (1e-5, not 1e-7) does not matter
    with torch.no_grad():
        outputs = [model(speech, torch.tensor([16_000]))[0] for model in (folder, file)]
    torch.testing.assert_close(*outputs, atol=1e-4, rtol=0.0)
    assert file.architecture["normalize_eps"] == 1e-5


def test_masks_come_in_training_alone(tiny_wav2vec2: Path) -> None:
    model = encoder(
        tiny_wav2vec2 / "xlsr", time_mask={"probability": 0.5}, channel_mask={"probability": 0.3, "length": 4}
    )
    speech, lengths = noise(2), torch.tensor([16_000, 9_000])
    with torch.no_grad():
        first, second = model(speech, lengths)[0], model(speech, lengths)[0]
        assert torch.equal(first, second)
        model.train()
        assert not torch.equal(model(speech, lengths)[0], model(speech, lengths)[0])
        features = torch.ones(2, 49, 32)
        masked = model._corrupt(features, torch.tensor([49, 27]))
    for row, frames in zip(masked, (49, 27), strict=True):
        zero = (row == 0).all(dim=0)
        assert 4 <= zero.sum() < 32, "spans of four hidden units are zero in all frames"
        replaced = (row[:, ~zero] == model.model.masked_spec_embed[~zero]).all(dim=1)
        assert replaced[:frames].sum() >= 10
        assert not replaced[frames:].any(), "padding is no place for masks"
        assert (row[:, ~zero][~replaced] == 1).all()


def test_layers_are_left_out_as_often_as_asked(tiny_wav2vec2: Path) -> None:
    model = encoder(tiny_wav2vec2 / "xlsr", dropout={"layer": 0.4}).train()
    calls = []
    for layer in model.model.encoder.layers:
        layer.register_forward_hook(lambda *_: calls.append(1))
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(300):
            model(noise(1, 800), torch.tensor([800]))
    assert len(calls) / 900 == pytest.approx(0.6, abs=0.06)
    model.eval()
    calls.clear()
    model(noise(1, 800), torch.tensor([800]))
    assert len(calls) == 3


def test_among_processes_every_parameter_has_a_gradient(tiny_wav2vec2: Path) -> None:
    options = {"dropout": {"layer": 0.99}, "time_mask": {"probability": 0.0}, "channel_mask": {"probability": 0.1}}
    model = encoder(tiny_wav2vec2 / "xlsr", **options).train()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    try:
        model(noise(1), torch.tensor([16_000]))[0].sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_checkpointing_changes_memory_and_nothing_else(tiny_wav2vec2: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = encoder(tiny_wav2vec2 / "xlsr", gradient_checkpointing=checkpointing).train()
        model(noise(2), torch.tensor([16_000, 9_000]))[0].square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert all(layer.gradient_checkpointing == checkpointing for layer in model.model.encoder.layers)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_frozen_convolutions_rest_and_cost_no_gradient(tiny_wav2vec2: Path) -> None:
    model = torch.nn.ModuleDict({"encoder": encoder(tiny_wav2vec2 / "base", dropout={"hidden": 0.1})})
    FreezeSchedule(model, ["encoder.model.feature_extractor.*"]).apply(0)
    network: Any = model["encoder"].model
    assert not any(module.training for module in network.feature_extractor.modules())
    assert network.encoder.training
    model["encoder"](noise(1), torch.tensor([16_000]))[0].sum().backward()
    assert all(parameter.grad is None for parameter in network.feature_extractor.parameters())
    assert network.feature_projection.projection.weight.grad is not None


def test_the_description_rebuilds_the_network(tiny_wav2vec2: Path) -> None:
    first = encoder(tiny_wav2vec2 / "base", time_mask={"probability": 0.1})
    description = json.loads(json.dumps(Wav2Vec2Encoder.architecture_of(tiny_wav2vec2 / "base")))
    second = Wav2Vec2Encoder(architecture=description, time_mask={"probability": 0.1}).eval()
    second.load_state_dict(first.state_dict(), strict=True)
    with torch.no_grad():
        outputs = [model(noise(1), torch.tensor([16_000]))[0] for model in (first, second)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": 80}, "frontend: null"),
        ({"dropout": {"hidden_": 0.1}}, "dropout.hidden_ is not a key; allowed: projection"),
        ({"dropout": {"hidden": 1.0}}, "dropout.hidden must be from 0 to below 1"),
        ({"time_mask": {"prob": 0.1}}, "time_mask.prob is not a key"),
        ({"attention": "fast"}, "allowed: sdpa, eager, flash_attention_2"),
    ],
)
def test_wrong_options_are_named(tiny_wav2vec2: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoder(tiny_wav2vec2 / "xlsr", **options)


def test_no_checkpoint_and_no_description_is_refused() -> None:
    with pytest.raises(UserError, match="needs a checkpoint"):
        Wav2Vec2Encoder()


def test_a_network_that_was_never_masked_learns_its_vector_for_masked_frames(
    tiny_wav2vec2: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_wav2vec2 / "xlsr", tmp_path / "unmasked"))
    state = load_file(folder / "model.safetensors")
    del state["wav2vec2.masked_spec_embed"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model = encoder(folder, time_mask={"probability": 0.5}).train()
    begun = model.model.masked_spec_embed.detach()
    assert begun.min() >= 0 and begun.max() <= 1 and begun.unique().numel() > 1
    output, _, _ = model(noise(2), torch.tensor([16_000, 16_000]))
    output.sum().backward()
    assert output.isfinite().all() and model.model.masked_spec_embed.grad.abs().sum() > 0


def test_weights_that_do_not_fit_are_refused_with_names(tiny_wav2vec2: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_wav2vec2 / "xlsr", tmp_path / "broken"))
    state = load_file(folder / "model.safetensors")
    del state["wav2vec2.encoder.layers.1.attention.k_proj.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"missing: encoder\.layers\.1\.attention\.k_proj\.weight"):
        encoder(folder)
    path = folder / "config.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "model_type": "whisper"}))
    with pytest.raises(UserError, match="whisper network"):
        encoder(folder)
    path.write_text(json.dumps({**described, "add_adapter": True}))
    with pytest.raises(UserError, match="add_adapter"):
        encoder(folder)
    path.write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        encoder(folder)


def test_flash_attention_that_is_not_there_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("about machines without a GPU")
    assert usable_attention("flash_attention_2") == "sdpa"
    assert "sdpa is used" in caplog.text


def test_half_precision_keeps_close(tiny_wav2vec2: Path) -> None:
    """Under autocast the statistics of waveforms and of the group norm stay in fp32."""
    model, speech, length = encoder(tiny_wav2vec2 / "base"), noise(1), torch.tensor([16_000])
    with torch.no_grad():
        exact = model(speech, length)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(speech, length)[0].float()
    difference = ((rounded - exact).abs().mean() / exact.abs().mean()).item()
    assert 0 < difference < 0.03
