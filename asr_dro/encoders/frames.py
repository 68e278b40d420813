"""How many frames a network puts out for so many samples, exactly, without running it.

Classes of ours say it themselves (``output_lengths``); those of ESPnet that the shipped models use are described here.

Shapes: ``B`` utterances, ``T`` frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from espnet.nets.pytorch_backend.transformer import subsampling
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.default import DefaultFrontend
from espnet2.asr.preencoder.linear import LinearProjection
from torch import Tensor, nn

LONGEST_MINIMUM = 1 << 20  # samples; no network needs more to put out a frame
SUBSAMPLING = (
    subsampling.Conv1dSubsampling1,
    subsampling.Conv1dSubsampling2,
    subsampling.Conv1dSubsampling3,
    subsampling.Conv2dSubsampling,
    subsampling.Conv2dSubsampling1,
    subsampling.Conv2dSubsampling2,
    subsampling.Conv2dSubsampling6,
    subsampling.Conv2dSubsampling8,
)

Lengths = Callable[[Tensor], Tensor]


def module_lengths(module: nn.Module) -> Lengths | None:
    """Return the function from input to output lengths of a part of a model; None if it is not known."""
    own: Lengths | None = getattr(module, "output_lengths", None)
    if own is not None:
        return own
    if isinstance(module, DefaultFrontend):
        return lambda lengths: _stft_lengths(module.stft, lengths)
    if isinstance(module, LinearProjection):
        return lambda lengths: lengths
    if isinstance(module, AbsEncoder) and hasattr(module, "embed"):  # ESPnet's transformer and its relatives
        embed = module.embed
        if isinstance(embed, SUBSAMPLING):
            return lambda lengths: subsampled_lengths(embed, lengths)
        if embed is None or isinstance(embed, nn.Linear | nn.Sequential):
            return lambda lengths: lengths
    return None


def _stft_lengths(stft: Any, lengths: Tensor) -> Tensor:
    added = 2 * (stft.n_fft // 2) if stft.center else 0
    return torch.div(lengths + added - stft.n_fft, stft.hop_length, rounding_mode="floor") + 1


def subsampled_lengths(embed: nn.Module, lengths: Tensor) -> Tensor:
    """Return the frames (B,) that ESPnet's convolutions leave of so many (B,)."""
    for layer in embed.conv:  # type: ignore[union-attr]
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            lengths = torch.div(lengths - layer.kernel_size[0], layer.stride[0], rounding_mode="floor") + 1
    return lengths


def chain(parts: Sequence[nn.Module | None]) -> Lengths | None:
    """Return the function from samples (B,) to frames (B,) of parts that follow each other; None if one is not known.

    Frames below 1 mean that the input is too short.
    """
    functions = [module_lengths(part) for part in parts if part is not None]
    if any(function is None for function in functions):
        return None

    def lengths_of(lengths: Tensor) -> Tensor:
        for function in functions:
            assert function is not None
            lengths = function(lengths)
        return lengths

    return lengths_of


def shortest_samples(lengths: Lengths) -> int:
    """Return the fewest samples that give a frame."""
    low, high = 0, LONGEST_MINIMUM  # gives none, gives some
    while high - low > 1:
        middle = (low + high) // 2
        if int(lengths(torch.tensor([middle]))[0]) >= 1:
            high = middle
        else:
            low = middle
    return high


def use_true_masks(model: nn.Module) -> None:
    """Make the subsampling of ESPnet's encoders mark an utterance's own frames, whatever its neighbours are.

    ESPnet 202511 cuts the mask of a batch like its longest utterance (``x_mask[:, :, :-2:2]``), so shorter ones have up
    to two frames more than alone, computed from padding (espnet/nets/pytorch_backend/transformer/subsampling.py).
    """
    for module in model.modules():
        if isinstance(module, SUBSAMPLING):
            module.register_forward_hook(_true_mask)


def _true_mask(
    module: nn.Module, inputs: tuple[Any, ...], output: tuple[Any, Tensor | None]
) -> tuple[Any, Tensor | None]:
    hidden, mask = output
    if mask is None:
        return output
    lengths = subsampled_lengths(module, inputs[1].sum(dim=2)[:, 0])  # (B,) from (B, 1, T)
    frames = torch.arange(mask.size(2), device=mask.device)
    return hidden, (frames < lengths[:, None])[:, None]
