"""wav2vec 2.0, XLSR-53, XLS-R and MMS as encoders of waveforms, fine-tuned as a whole.

Shapes: ``B`` utterances, ``N`` samples, ``T`` frames, ``H`` hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor, nn

from asr_dro.encoders import wav2vec2_weights
from asr_dro.encoders.networks import check_dropout
from asr_dro.encoders.pretrained import find_network
from asr_dro.encoders.span_masks import SpanMask
from asr_dro.encoders.wav2vec2_states import frame_lengths, hidden_states, prepare_waveforms
from asr_dro.errors import UserError


class Wav2Vec2Encoder(AbsEncoder):  # type: ignore[misc]  # ESPnet has no type information
    """The network of a checkpoint; its last layer is the output.

    Args:
        input_size: 1: it reads samples (``frontend: null``, ``input_size: 1``, ``normalize: null``).
        checkpoint: Folder, file of fairseq, or ``organisation/model@revision``; None: random weights.
        architecture: What the network looks like; None: what the checkpoint says.
        time_mask: Spans of frames replaced by a learnt vector in training (``SpanMask``; at least two per utterance).
        channel_mask: Spans of hidden units set to zero in training (``SpanMask``).
        dropout: Probabilities: ``projection`` (after the convolutions), ``hidden``, ``attention``, ``activation``,
            ``output`` (before the head), ``layer`` (whole layers left out). What is not named is 0, whatever the
            network was pretrained with.
        attention: ``sdpa``, ``eager``, or ``flash_attention_2`` where it is installed.
        gradient_checkpointing: Compute layers again in the backward pass: less memory, about a third more time.

    Raises:
        UserError: For options that do not exist or a checkpoint that cannot be used.
    """

    architecture_of = staticmethod(wav2vec2_weights.architecture_of)

    def __init__(
        self,
        input_size: int = 1,
        checkpoint: str | None = None,
        architecture: Mapping[str, Any] | None = None,
        time_mask: Mapping[str, Any] | None = None,
        channel_mask: Mapping[str, Any] | None = None,
        dropout: Mapping[str, float] | None = None,
        attention: str = "sdpa",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if input_size != 1:
            raise UserError("encoder wav2vec2 reads samples: set frontend: null, input_size: 1 and normalize: null")
        self.time_mask = SpanMask.from_mapping(time_mask, "time_mask", min_spans=2)
        self.channel_mask = SpanMask.from_mapping(channel_mask, "channel_mask")
        probabilities = check_dropout(dropout or {}, (*wav2vec2_weights.DROPOUT, "layer", "output"))
        self.layer_drop = probabilities["layer"]
        self.output_dropout = nn.Dropout(probabilities["output"])
        path, self.architecture = find_network(checkpoint, architecture, self.architecture_of)
        self.model = wav2vec2_weights.build_network(
            path,
            self.architecture,
            attention=attention,
            dropout=probabilities,
            time_masks=bool(self.time_mask.probability),
        )
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def output_size(self) -> int:
        """Return the width ``H`` of an output frame."""
        return int(self.model.config.hidden_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return frames (B,) of waveforms of so many samples (B,)."""
        return frame_lengths(self.model.config, lengths)

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Encode waveforms; padding never changes an utterance's output.

        Args:
            xs_pad: Waveforms at 16 kHz, (B, N).
            ilens: Samples of each, (B,).
            prev_states: Unused; part of ESPnet's interface.

        Returns:
            Output (B, T, H), lengths in frames (B,), and None.
        """
        speech, lengths = prepare_waveforms(self.model.config, xs_pad, ilens, self.architecture["normalize_eps"])
        layers = hidden_states(self.model, speech, lengths, corrupt=self._corrupt, layer_drop=self.layer_drop)
        hidden = speech
        for output in layers:
            hidden = output
        return self.output_dropout(hidden), self.output_lengths(ilens), None

    def _corrupt(self, hidden: Tensor, frames: Tensor) -> Tensor:
        """Mask features (B, T, H) in training."""
        if not self.training:
            return hidden
        if self.time_mask.probability:
            masked = self.time_mask.draw(frames, hidden.size(1))
            hidden = torch.where(masked[:, :, None], self.model.masked_spec_embed.to(hidden.dtype), hidden)
        if self.channel_mask.probability:
            width = hidden.size(2)
            masked = self.channel_mask.draw(torch.full_like(frames, width), width)
            hidden = hidden.masked_fill(masked[:, None, :], 0.0)
        return hidden
