"""All layers of a pretrained network as features: a learnt weighted sum, as SUPERB's downstream models take it.

The sum is that of s3prl's ``Featurizer`` (arXiv 2105.01051, section 3): softmax of one weight per layer, the input of
the first layer included.

Shapes: ``B`` utterances, ``N`` samples, ``T`` frames, ``H`` hidden units, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from torch import Tensor, nn
from torch.nn import functional

from asr_dro.encoders import wav2vec2_weights
from asr_dro.encoders.networks import check_dropout
from asr_dro.encoders.pretrained import find_network
from asr_dro.encoders.wav2vec2_states import frame_lengths, hidden_states, prepare_waveforms


class WeightedSumFrontend(AbsFrontend):  # type: ignore[misc]  # ESPnet has no type information
    """A wav2vec 2.0 network whose layers' outputs are added up.

    No layer is left out in training and nothing is masked (ESPnet's ``specaug`` masks features);
    ``freeze: [frontend.model.*]`` makes the network a fixed extractor.

    Args:
        checkpoint: Folder, file of fairseq, or ``organisation/model@revision``; None: random weights.
        architecture: What the network looks like; None: what the checkpoint says.
        layer_norm: Normalise each layer's frames before the sum.
        attention: ``sdpa``, ``eager``, or ``flash_attention_2`` where it is installed.
        gradient_checkpointing: Compute layers again in the backward pass.
        dropout: Probabilities: ``projection``, ``hidden``, ``attention``, ``activation``; 0 where not named.

    Raises:
        UserError: For a checkpoint that cannot be used.
    """

    architecture_of = staticmethod(wav2vec2_weights.architecture_of)

    def __init__(
        self,
        checkpoint: str | None = None,
        architecture: Mapping[str, Any] | None = None,
        layer_norm: bool = False,
        attention: str = "sdpa",
        gradient_checkpointing: bool = False,
        dropout: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.model = load_frontend_network(checkpoint, architecture, attention, dropout)
        self.layer_norm = layer_norm
        self.weights = nn.Parameter(torch.zeros(self.model.config.num_hidden_layers + 1))  # (L,)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def output_size(self) -> int:
        """Return the width ``H`` of a frame."""
        return int(self.model.config.hidden_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return frames (B,) of waveforms of so many samples (B,)."""
        return frame_lengths(self.model.config, lengths)

    def forward(self, input: Tensor, input_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of waveforms; padding never changes an utterance's features.

        Args:
            input: Waveforms at 16 kHz, (B, N).
            input_lengths: Samples of each, (B,).

        Returns:
            Features (B, T, H) and lengths in frames (B,).
        """
        speech, lengths = prepare_waveforms(self.model.config, input, input_lengths, self.architecture["normalize_eps"])
        total: Tensor | None = None
        shares = functional.softmax(self.weights, dim=0)
        # One after the other: all layers stacked would be the largest tensor of the whole model.
        for share, hidden in zip(shares, hidden_states(self.model, speech, lengths), strict=True):
            layer = functional.layer_norm(hidden, hidden.shape[-1:]) if self.layer_norm else hidden
            total = share * layer if total is None else total + share * layer
        assert total is not None
        return total, self.output_lengths(input_lengths)


def load_frontend_network(
    checkpoint: str | None,
    architecture: Mapping[str, Any] | None,
    attention: str,
    dropout: Mapping[str, float] | None,
) -> tuple[dict[str, Any], Any]:
    """Return the description of a checkpoint and its network.

    Args:
        checkpoint: Name of the checkpoint; None: random weights.
        architecture: Description; None: what the checkpoint says.
        attention: Implementation of attention.
        dropout: Probabilities.

    Raises:
        UserError: If neither is given, or the checkpoint cannot be used.
    """
    path, described = find_network(checkpoint, architecture, wav2vec2_weights.architecture_of, option="frontend_conf")
    probabilities = check_dropout(dropout or {}, wav2vec2_weights.DROPOUT)
    return described, wav2vec2_weights.build_network(path, described, attention=attention, dropout=probabilities)
