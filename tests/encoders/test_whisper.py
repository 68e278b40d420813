"""Whisper's encoder: transformers' features and outputs, exact lengths, padding without effect."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from asr_dro.encoders.whisper import FRAME_SAMPLES, LogMel, WhisperEncoder
from asr_dro.errors import UserError
from tests.encoders.whisper_models import WINDOW_FRAMES, read_whisper, waveforms, write_whisper

WINDOW_SAMPLES = WINDOW_FRAMES * FRAME_SAMPLES
LENGTHS = (1, 150, 319, 320, 321, 480, 3_217, 9_600, 15_300, WINDOW_SAMPLES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


def build(folder: Path, **options: Any) -> WhisperEncoder:
    encoder = WhisperEncoder(checkpoint=str(folder), **options)
    encoder.train(False)
    return encoder


def alone(encoder: WhisperEncoder, speech: Tensor, lengths: Tensor) -> list[Tensor]:
    """Encode utterances one by one, without padding."""
    outputs = []
    for waveform, length in zip(speech, lengths, strict=True):
        output, frames, _ = encoder(waveform[None, :length], length[None])
        assert output.size(1) == frames[0]
        outputs.append(output[0])
    return outputs


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("full_window", [False, True])
def test_features_are_those_of_transformers(bands: int, full_window: bool) -> None:
    lengths = (1, 240, 16_000, 33_333, 479_500, 479_999, 480_000)
    speech, sizes = waveforms(*lengths)
    speech[2] *= 1e-4
    speech[3] = 0.0  # silence
    found = LogMel(bands, 480_000)(speech, sizes, full_window=full_window)
    extractor: Any = WhisperFeatureExtractor(feature_size=bands)  # type: ignore[no-untyped-call]
    for row, length in enumerate(lengths):
        expected = extractor(speech[row, :length].numpy(), sampling_rate=16_000, return_tensors="pt").input_features[0]
        assert found.shape[2] == expected.shape[1] == 3000
        torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=0)
        short = LogMel(bands, 480_000)(speech[row : row + 1, :length], sizes[row : row + 1])
        assert short.shape[2] >= min(3000, -(-length // 160) + 2)
        torch.testing.assert_close(short[0], expected[:, : short.shape[2]], atol=1e-4, rtol=0)


def test_features_are_fp32_under_autocast() -> None:
    speech, lengths = waveforms(4_000)
    expected = LogMel(80, WINDOW_SAMPLES)(speech, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LogMel(80, WINDOW_SAMPLES)(speech, lengths), expected)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"num_mel_bins": 128, "activation_function": "relu"}])
def test_output_in_full_windows_is_that_of_transformers(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_whisper(tmp_path, **changes)
    speech, lengths = waveforms(*LENGTHS)
    found, frames, _ = build(folder, full_window=True)(speech, lengths)
    extractor: Any = WhisperFeatureExtractor(feature_size=changes.get("num_mel_bins", 80), chunk_length=1)  # type: ignore[no-untyped-call]
    features = [
        extractor(waveform[:length].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
        for waveform, length in zip(speech, lengths, strict=True)
    ]
    expected = read_whisper(folder).model.encoder(torch.cat(features)).last_hidden_state
    assert frames.tolist() == [WINDOW_FRAMES] * len(LENGTHS)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_without_padding_the_same_layers_see_the_utterance_alone(folder: Path) -> None:
    """The frames that go into the layers are Whisper's own; only attention to the padding is gone."""
    whisper = read_whisper(folder).model.encoder
    extractor: Any = WhisperFeatureExtractor(chunk_length=1)  # type: ignore[no-untyped-call]
    for length in LENGTHS:
        speech, lengths = waveforms(length)
        found, frames, _ = build(folder)(speech, lengths)
        features = extractor(speech[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
        hidden = torch.nn.functional.gelu(whisper.conv2(torch.nn.functional.gelu(whisper.conv1(features))))
        hidden = hidden.transpose(1, 2) + whisper.embed_positions.weight
        hidden = hidden[:, : frames[0]]
        for layer in whisper.layers:
            hidden = layer(hidden, None)
        torch.testing.assert_close(found, whisper.layer_norm(hidden), atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("full_window", [False, True])
def test_padding_changes_nothing(folder: Path, attention: str, full_window: bool) -> None:
    encoder = build(folder, attention=attention, full_window=full_window)
    for lengths in (LENGTHS, (700, 9_000), (*LENGTHS, 3 * WINDOW_SAMPLES + 1_000)):
        speech, sizes = waveforms(*lengths)
        together, frames, _ = encoder(speech, sizes)
        assert torch.isfinite(together).all()
        for row, expected in enumerate(alone(encoder, speech, sizes)):
            assert frames[row] == len(expected)
            torch.testing.assert_close(together[row, : frames[row]], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("full_window", [False, True])
def test_lengths_are_exact(folder: Path, full_window: bool) -> None:
    encoder = build(folder, full_window=full_window)
    lengths = torch.tensor([*range(1, 1_300, 37), *range(WINDOW_SAMPLES - 400, 4 * WINDOW_SAMPLES, 1_117)])
    promised = encoder.output_lengths(lengths)
    for length, frames in zip(lengths.tolist(), promised.tolist(), strict=True):
        output, found, _ = encoder(*waveforms(length))
        assert output.size(1) == int(found[0]) == frames


@torch.no_grad()
def test_longer_audio_is_encoded_in_equal_windows(folder: Path) -> None:
    encoder = build(folder)
    speech, lengths = waveforms(2 * WINDOW_SAMPLES + 1)
    found, _, _ = encoder(speech, lengths)
    window = 34 * FRAME_SAMPLES  # 101 frames in 3 windows
    pieces = [encoder(cut, torch.tensor([cut.size(1)]))[0] for cut in torch.split(speech, window, dim=1)]
    torch.testing.assert_close(found, torch.cat(pieces, dim=1), atol=1e-5, rtol=1e-5)


def test_masks_and_dropout_in_training_only(folder: Path) -> None:
    masks = {"time": {"probability": 0.5, "length": 4}, "mel": {"probability": 0.5, "length": 10}}
    dropout = {"hidden": 0.1, "output": 0.2}
    encoder = build(folder, masks=masks, dropout=dropout)
    plain = build(folder)
    speech, lengths = waveforms(9_000, 4_000)
    assert torch.equal(encoder(speech, lengths)[0], plain(speech, lengths)[0])
    trained = encoder.train()(speech, lengths)[0]
    assert (trained == 0).float().mean() == pytest.approx(0.2, abs=0.08)
    features = plain.log_mel(speech, lengths)
    frames = torch.tensor([57, 25])
    masked = encoder._corrupt(features, frames)
    assert torch.equal(masked[masked != 0], features[masked != 0])
    for part in (masked[0, :, :57], masked[1, :, :25]):
        dead = (part == 0).float().mean()
        assert 0.3 < dead < 0.95
    assert torch.equal(plain.train()(speech, lengths)[0], plain.eval()(speech, lengths)[0])


def test_layers_computed_again_give_the_same_gradients(folder: Path) -> None:
    speech, lengths = waveforms(9_000, 4_000)
    gradients = []
    for again in (False, True):
        encoder = build(folder, gradient_checkpointing=again).train()
        encoder(speech, lengths)[0].square().sum().backward()
        gradients.append({name: p.grad for name, p in encoder.named_parameters() if p.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected)


def test_positions_are_fixed_and_nothing_of_the_decoder_is_held(folder: Path) -> None:
    encoder = build(folder)
    assert {name for name, p in encoder.named_parameters() if not p.requires_grad} == {"model.embed_positions.weight"}
    expected = read_whisper(folder).model.encoder.state_dict()
    found = {name.removeprefix("model."): tensor for name, tensor in encoder.state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_description_rebuilds_the_network(folder: Path) -> None:
    encoder = build(folder)
    described = json.loads(json.dumps(WhisperEncoder.architecture_of(folder)))
    again = WhisperEncoder(architecture=described).eval()
    again.load_state_dict(encoder.state_dict(), strict=True)
    speech, lengths = waveforms(5_000)
    assert torch.equal(again(speech, lengths)[0], encoder(speech, lengths)[0])


def test_weights_of_the_bare_network_do_too(folder: Path, tmp_path: Path) -> None:
    read_whisper(folder).model.save_pretrained(tmp_path)
    first, second = build(folder).state_dict(), build(tmp_path).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": 80}, "encoder whisper reads samples: set frontend: null"),
        ({"checkpoint": None}, "encoder_conf needs a checkpoint"),
        (
            {"dropout": {"layer": 0.1, "hidden": 1}},
            "dropout.layer is not a key; allowed: hidden, attention, activation, output\n"
            "dropout.hidden must be from 0 to below 1, not 1",
        ),
        ({"masks": {"frequency": {}}}, "masks: frequency is not a key; allowed: time, mel"),
        ({"masks": {"mel": {"probability": 2}}}, "masks.mel.probability must be from 0 to 1"),
        ({"attention": "fast"}, "attention is 'fast'; allowed: sdpa"),
    ],
)
def test_wrong_options_are_named(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        WhisperEncoder(**{"checkpoint": str(folder), **options})


def test_unfit_checkpoints_are_refused(folder: Path, tmp_path: Path) -> None:
    other = write_whisper(tmp_path / "other", encoder_layers=1)
    description = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**description, "encoder_layers": 2}))
    with pytest.raises(UserError, match=r"weights do not fit config\.json; missing: encoder\.layers\.1\."):
        build(other)
    (other / "config.json").write_text(json.dumps({**description, "model_type": "wav2vec2"}))
    with pytest.raises(UserError, match="is of a wav2vec2 network, not of whisper"):
        build(other)
    (other / "config.json").write_text("[]")
    with pytest.raises(UserError, match="is of a None network"):
        build(other)
    (tmp_path / "tiny.pt").write_bytes(b"")
    with pytest.raises(UserError, match="no folder of a Whisper model in Hugging Face's form"):
        build(tmp_path / "tiny.pt")
