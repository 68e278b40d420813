"""The computation of wav2vec 2.0, layer by layer, so that padding never changes an utterance's output.

The weights are those of transformers' ``Wav2Vec2Model``; what is done here in place of its ``forward``: the group norm
of base models takes its statistics over an utterance's own frames (in fairseq and transformers they are over the
padding too, so that an utterance depends on its neighbours), masks are drawn on the device, and a dropped layer keeps
its place in the graph, which several processes need.

Shapes: ``B`` utterances, ``N`` samples, ``T`` frames, ``C`` channels, ``H`` hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from transformers import Wav2Vec2Config, Wav2Vec2Model
from transformers.masking_utils import create_bidirectional_mask

Corruption = Callable[[Tensor, Tensor], Tensor]


def shortest_input(config: Wav2Vec2Config) -> int:
    """Return the receptive field of the convolutions in samples, 400 for the published networks."""
    field, stride = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    return field


def frame_lengths(config: Wav2Vec2Config, samples: Tensor) -> Tensor:
    """Return frames (B,) of waveforms of so many samples (B,); shorter than the receptive field counts as one frame."""
    lengths = samples.clamp(min=shortest_input(config))
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def prepare_waveforms(
    config: Wav2Vec2Config, speech: Tensor, lengths: Tensor, normalize_eps: float | None
) -> tuple[Tensor, Tensor]:
    """Bring waveforms to zero mean and unit variance over their own samples, and to the shortest length that works.

    Args:
        config: Of the network.
        speech: Waveforms, (B, N), padded with anything.
        lengths: Samples of each, (B,).
        normalize_eps: Added to the variance; None: waveforms stay as they are.

    Returns:
        Waveforms (B, N), zero on padding, and their lengths (B,); what is too short is taken to end in silence.
    """
    shortest = shortest_input(config)
    mask = torch.arange(speech.size(1), device=speech.device) < lengths[:, None]
    speech = speech.masked_fill(~mask, 0.0)
    if speech.size(1) < shortest:
        speech = functional.pad(speech, (0, shortest - speech.size(1)))
    lengths = lengths.clamp(min=shortest)
    if speech.size(0) == 1:  # alone, it needs no masks
        speech = speech[:, : int(lengths[0])]
    if normalize_eps is None:
        return speech, lengths
    mask = torch.arange(speech.size(1), device=speech.device) < lengths[:, None]
    speech = speech.float()
    mean = speech.sum(dim=1, keepdim=True) / lengths[:, None]
    centred = (speech - mean).masked_fill(~mask, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / lengths[:, None]
    return centred / (variance + normalize_eps).sqrt(), lengths


def hidden_states(
    network: Wav2Vec2Model,
    speech: Tensor,
    lengths: Tensor,
    *,
    corrupt: Corruption | None = None,
    layer_drop: float = 0.0,
) -> Iterator[Tensor]:
    """Yield the input of the first layer, then the output of each, the last one after the final norm; (B, T, H) each.

    Args:
        network: The network.
        speech: Prepared waveforms, (B, N).
        lengths: Samples of each, (B,).
        corrupt: Changes features (B, T, H), given the frames of each utterance (B,), before the first layer.
        layer_drop: Probability of leaving a layer out, in training.
    """
    features = _convolve(network, speech, lengths).transpose(1, 2)  # (B, T, C)
    frames = frame_lengths(network.config, lengths)
    hidden, _ = network.feature_projection(features)  # (B, T, H)
    if corrupt is not None:
        hidden = corrupt(hidden, frames)
    mask = torch.arange(hidden.size(1), device=hidden.device) < frames[:, None]  # (B, T)
    hidden = hidden.masked_fill(~mask[:, :, None], 0.0)
    attention_mask = None
    if hidden.size(0) > 1:
        # Elsewhere than on the CPU, to look whether all is true and the mask not needed would wait for the device.
        readable = hidden.device.type == "cpu"
        attention_mask = create_bidirectional_mask(
            config=network.config, inputs_embeds=hidden, attention_mask=mask, allow_is_bidirectional_skip=readable
        )
    encoder = network.encoder
    hidden = hidden + encoder.pos_conv_embed(hidden)
    if not network.config.do_stable_layer_norm:
        hidden = encoder.layer_norm(hidden)
    hidden = encoder.dropout(hidden)
    for layer in encoder.layers:
        yield hidden
        if layer_drop and layer.training and torch.rand(()).item() < layer_drop:
            hidden = _keep_in_graph(hidden, layer)
        else:
            hidden = layer(hidden, attention_mask=attention_mask)
    yield encoder.layer_norm(hidden) if network.config.do_stable_layer_norm else hidden


def _convolve(network: Wav2Vec2Model, speech: Tensor, lengths: Tensor) -> Tensor:
    """Return the features of waveforms, (B, N) -> (B, C, T)."""
    hidden = speech[:, None]
    layers: Any = network.feature_extractor.conv_layers
    for layer in layers:
        norm = getattr(layer, "layer_norm", None)
        if not isinstance(norm, nn.GroupNorm):
            hidden = layer(hidden)
            continue
        kernel, stride = layer.conv.kernel_size[0], layer.conv.stride[0]
        frames = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        hidden = layer.activation(channel_norm(norm, layer.conv(hidden), frames))
    return hidden


def channel_norm(norm: nn.GroupNorm, hidden: Tensor, frames: Tensor) -> Tensor:
    """Apply a group norm of one channel per group over each utterance's own frames.

    Args:
        norm: The group norm.
        hidden: Features, (B, C, T).
        frames: Frames of each utterance in them, (B,).

    Returns:
        Normalised features, (B, C, T), in the precision they came in.
    """
    mask = (torch.arange(hidden.size(2), device=hidden.device) < frames[:, None])[:, None]  # (B, 1, T)
    count = frames[:, None, None]
    wide = hidden.float()  # sums over a minute of 3200 frames a second need it
    mean = wide.masked_fill(~mask, 0.0).sum(dim=2, keepdim=True) / count
    centred = (wide - mean).masked_fill(~mask, 0.0)
    variance = centred.square().sum(dim=2, keepdim=True) / count
    scale = norm.weight[:, None] * (variance + norm.eps).rsqrt()
    return (centred * scale + norm.bias[:, None]).to(hidden.dtype)


def _keep_in_graph(hidden: Tensor, layer: nn.Module) -> Tensor:
    """Return ``hidden`` as it is; among several processes each parameter must have a gradient, if of zeros."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return hidden
    learning = [parameter.sum() for parameter in layer.parameters() if parameter.requires_grad]
    return hidden + 0.0 * torch.stack(learning).sum() if learning else hidden
