"""A small separable-convolution encoder: the newcomer's model, a few minutes of CPU.

Shapes: ``B`` utterances, ``T`` input frames, ``S`` stacked frames (``T / stack``), ``F`` features, ``C`` channels.
"""

from __future__ import annotations

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcitation(nn.Module):
    """Scale channels by what the whole utterance is like (ContextNet, arXiv 2005.03191, section 2.2.4).

    Convolutions see a second or two; which language is spoken, and by whom, takes the utterance.

    Args:
        channels: Width of input and output.
        bottleneck: Width of the layer between.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Scale ``x`` (B, S, C); ``mask`` (B, S, 1) is 1 on frames and 0 on padding, which the mean leaves out."""
        mean = (x * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)  # (B, C)
        scale: Tensor = torch.sigmoid(self.excite(functional.relu(self.squeeze(mean))))
        return x * scale[:, None, :]


class SeparableConvBlock(nn.Module):
    """Depthwise and pointwise convolution with a residual connection (the unit of QuartzNet, arXiv 1910.10261).

    LayerNorm stands where QuartzNet has BatchNorm: with batches of one language the statistics of a batch are those
    of that language, and a network that mixes them at test time loses the rarest one.

    Args:
        channels: Width of input and output.
        kernel_size: Frames that the depthwise convolution sees; odd.
        dropout_p: Probability of dropping an activation.
    """

    def __init__(self, channels: int, kernel_size: int, dropout_p: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.pointwise = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.context = SqueezeExcitation(channels, max(1, channels // 8))
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform ``x`` (B, S, C); ``mask`` (B, S, 1) is 1 on frames and 0 on padding."""
        # The convolution would mix padding into the last frames, so an utterance would depend on its neighbours.
        hidden = self.depthwise((x * mask).transpose(1, 2)).transpose(1, 2)
        hidden = functional.relu(self.norm(self.pointwise(hidden)))
        residual: Tensor = self.dropout(self.context(hidden, mask))
        return x + residual


class SeparableConvEncoder(AbsEncoder):  # type: ignore[misc]  # ESPnet has no type information
    """Stack frames, project, then a pile of separable-convolution blocks.

    Args:
        input_size: Number of features ``F`` per input frame.
        channels: Width ``C`` of every block.
        blocks: Number of blocks.
        kernel_size: Frames that a depthwise convolution sees; odd.
        stack: Consecutive input frames joined into one (3 frames of 10 ms give 30 ms).
        dropout_p: Probability of dropping an activation.

    Raises:
        ValueError: If ``kernel_size`` is even or a size is below 1.
    """

    def __init__(
        self,
        input_size: int,
        channels: int = 192,
        blocks: int = 8,
        kernel_size: int = 11,
        stack: int = 3,
        dropout_p: float = 0.1,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd so that frames stay aligned, not {kernel_size}")
        if min(input_size, channels, blocks, stack) < 1:
            raise ValueError("input_size, channels, blocks and stack must be at least 1")
        self.channels = channels
        self.stack = stack
        self.input = nn.Linear(input_size * stack, channels)
        self.blocks = nn.ModuleList(SeparableConvBlock(channels, kernel_size, dropout_p) for _ in range(blocks))
        self.norm = nn.LayerNorm(channels)

    def output_size(self) -> int:
        """Return the width of an output frame."""
        return self.channels

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return stacked frames (B,) of so many input frames (B,): ``ceil(T / stack)``."""
        return torch.div(lengths + self.stack - 1, self.stack, rounding_mode="floor")

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Encode a padded batch; padding never changes an utterance's output.

        Args:
            xs_pad: Features, (B, T, F).
            ilens: Frames of each utterance, (B,).
            prev_states: Unused; part of ESPnet's interface.

        Returns:
            Output (B, S, C), lengths (B,) in stacked frames (``ceil(T / stack)``), and None.
        """
        lengths = self.output_lengths(ilens)
        frames = torch.arange(xs_pad.size(1), device=xs_pad.device)
        xs_pad = xs_pad.masked_fill((frames >= ilens[:, None])[:, :, None], 0.0)
        missing = -xs_pad.size(1) % self.stack
        xs_pad = functional.pad(xs_pad, (0, 0, 0, missing))
        # (B, T, F) -> (B, S, stack * F)
        stacked = xs_pad.reshape(xs_pad.size(0), -1, self.stack * xs_pad.size(2))
        hidden = self.input(stacked)  # (B, S, C)
        steps = torch.arange(hidden.size(1), device=hidden.device)
        mask = (steps < lengths[:, None])[:, :, None].to(hidden.dtype)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.norm(hidden), lengths, None
