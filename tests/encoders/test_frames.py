"""Lengths without running the network, against the real parts of ESPnet, and masks of its subsampling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.frontend.default import DefaultFrontend
from espnet2.asr.preencoder.linear import LinearProjection
from torch import nn

from asr_dro.encoders.frames import chain, module_lengths, shortest_samples, use_true_masks

INPUT_LAYERS = ("conv1d2", "conv2d", "conv2d1", "conv2d2", "conv2d6", "conv2d8", "linear", None)


def transformer(input_layer: str | None) -> TransformerEncoder:
    size = 20 if input_layer else 8
    return TransformerEncoder(size, output_size=8, attention_heads=2, linear_units=8, num_blocks=1,
                              input_layer=input_layer).eval()  # fmt: skip


def conformer() -> ConformerEncoder:
    return ConformerEncoder(20, output_size=8, attention_heads=2, linear_units=8, num_blocks=1,
                            input_layer="conv2d", cnn_module_kernel=3).eval()  # fmt: skip


@pytest.mark.parametrize("kind", [*INPUT_LAYERS, "conformer"])
def test_frames_of_espnet_are_told_exactly_and_padding_is_no_frame(kind: str | None) -> None:
    encoder: Any = conformer() if kind == "conformer" else transformer(kind)
    use_true_masks(encoder)
    lengths_of = module_lengths(encoder)
    assert lengths_of is not None
    width = 8 if kind is None else 20
    features = torch.randn(13, 40, width)
    lengths = torch.arange(40, 27, -1)
    with torch.no_grad():
        together, frames, _ = encoder(features, lengths)
        assert frames.tolist() == lengths_of(lengths).tolist()
        for row, length in enumerate(lengths.tolist()):
            alone, own, _ = encoder(features[row : row + 1, :length], lengths[row : row + 1])
            assert own.item() == frames[row].item() == alone.size(1)
            if isinstance(encoder, TransformerEncoder):
                torch.testing.assert_close(together[row, : own[0]], alone[0], atol=1e-5, rtol=0.0)


def test_without_the_correction_neighbours_count() -> None:
    """If this fails, ESPnet is mended and ``use_true_masks`` can go."""
    _, frames, _ = transformer("conv2d2")(torch.randn(2, 40, 20), torch.tensor([40, 20]))
    _, alone, _ = transformer("conv2d2")(torch.randn(1, 20, 20), torch.tensor([20]))
    assert frames[1] > alone[0]


@pytest.mark.parametrize("center", [False, True])
def test_frames_of_the_spectrogram(center: bool) -> None:
    frontend = DefaultFrontend(n_fft=512, win_length=400, hop_length=160, center=center, frontend_conf=None)
    lengths_of = module_lengths(frontend)
    assert lengths_of is not None
    for samples in (512, 671, 672, 673, 16_000):
        features, frames = frontend(torch.randn(1, samples), torch.tensor([samples]))
        assert features.size(1) == frames.item() == lengths_of(torch.tensor([samples])).item()


def test_the_shortest_input_is_found_over_a_chain() -> None:
    frontend = DefaultFrontend(n_fft=512, hop_length=128, center=False, frontend_conf=None)
    lengths_of = chain([frontend, None, LinearProjection(80, 20), transformer("conv2d")])
    assert lengths_of is not None
    assert shortest_samples(lengths_of) == 512 + 6 * 128  # 7 frames
    assert shortest_samples(lambda lengths: lengths) == 1


def test_a_part_that_is_not_known_makes_the_chain_unknown() -> None:
    assert chain([nn.Linear(3, 3)]) is None
