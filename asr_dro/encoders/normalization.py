"""Feature normalisation that padding cannot reach.

Shapes: ``B`` utterances, ``T`` frames, ``F`` features.
"""

from __future__ import annotations

import torch
from espnet2.layers.abs_normalize import AbsNormalize
from torch import Tensor


class PerUtteranceNormalization(AbsNormalize):  # type: ignore[misc]  # ESPnet has no type information
    """Zero mean and unit variance of each feature over an utterance's own frames.

    ESPnet 202511's ``utterance_mvn`` with ``norm_vars`` subtracts the mean from the padding too and then counts it in
    the variance (espnet2/layers/utterance_mvn.py), so an utterance's features depend on its neighbours in the batch.

    Args:
        eps: Smallest standard deviation, against silence.
    """

    def __init__(self, eps: float = 1.0e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, input: Tensor, input_lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalise features.

        Args:
            input: Features, (B, T, F).
            input_lengths: Frames of each utterance, (B,); None: all are real.

        Returns:
            Normalised features (B, T, F), zero on padding, and the lengths (B,).
        """
        if input_lengths is None:
            input_lengths = torch.full((input.size(0),), input.size(1), device=input.device)
        frames = torch.arange(input.size(1), device=input.device)
        mask = (frames < input_lengths[:, None])[:, :, None].to(input.dtype)  # (B, T, 1)
        count = input_lengths[:, None, None].clamp(min=1)
        mean = (input * mask).sum(dim=1, keepdim=True) / count  # (B, 1, F)
        centred = (input - mean) * mask
        deviation = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
        return centred / deviation.clamp(min=self.eps), input_lengths
