"""The computation of Whisper's decoder, layer by layer: transformers' own has no mask for the encoder's frames.

Shapes: ``B`` utterances, ``R`` rows (hypotheses), ``L`` inputs, ``T`` encoder frames, ``H`` hidden units, ``V`` tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.models.whisper.modeling_whisper import WhisperDecoder


class Memory(NamedTuple):
    """What the decoder attends to.

    Attributes:
        frames: Encoder output, (B, T, H).
        own: Which frames are an utterance's own, (B, T).
    """

    frames: Tensor
    own: Tensor

    @classmethod
    def of(cls, frames: Tensor, lengths: Tensor) -> Memory:
        """Return the memory of encoder output (B, T, H), of which so many frames (B,) are an utterance's own."""
        return cls(frames, torch.arange(frames.size(1), device=frames.device) < lengths[:, None])

    def select(self, rows: Tensor) -> Memory:
        """Return the memory of some utterances."""
        return Memory(self.frames[rows], self.own[rows])


def decoder_states(
    network: WhisperDecoder, inputs: Tensor, memory: Memory, cache: EncoderDecoderCache | None = None
) -> Tensor:
    """Return the last layer (B, L, H).

    Args:
        network: The decoder.
        inputs: Tokens, (B, L).
        memory: What it attends to.
        cache: Keys and values of the inputs before these; it grows by these.
    """
    before = cache.get_seq_length() if cache is not None else 0
    positions = torch.arange(before, before + inputs.size(1), device=inputs.device)
    hidden = network.embed_tokens(inputs) + network.embed_positions.weight[positions]
    hidden = functional.dropout(hidden, p=network.dropout, training=network.training)
    causal = create_causal_mask(
        config=network.config,
        inputs_embeds=hidden,
        attention_mask=None,
        past_key_values=cache,
        position_ids=positions[None],
    )
    cross = create_bidirectional_mask(
        config=network.config,
        inputs_embeds=hidden,
        attention_mask=memory.own,
        encoder_hidden_states=memory.frames,
        allow_is_bidirectional_skip=False,  # to look at the values of the mask would wait for the device
    )
    for layer in network.layers:
        hidden = layer(
            hidden,
            causal,
            memory.frames,
            encoder_attention_mask=cross,
            past_key_values=cache,
            use_cache=cache is not None,
        )
    output: Tensor = network.layer_norm(hidden)
    return output


class WhisperSteps:
    """Hypotheses on their way through the decoder, with keys and values of what is written and heard kept.

    Args:
        network: The decoder.
        memory: What it attends to.
    """

    def __init__(self, network: WhisperDecoder, memory: Memory) -> None:
        self.network = network
        self.memory = memory
        self.cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def step(self, tokens: Tensor) -> Tensor:
        """Return log-probabilities (R, V) of what follows, after reading one more token in each row (R,)."""
        hidden = decoder_states(self.network, tokens[:, None], self.memory, self.cache)[:, 0]
        return functional.linear(hidden, self.network.embed_tokens.weight).float().log_softmax(dim=-1)

    def select(self, rows: Tensor, utterances: Tensor | None = None) -> None:
        """Go on with some rows, in this order; one row may become several.

        Args:
            rows: Numbers of rows.
            utterances: Numbers of the utterances that they belong to, if not all go on.
        """
        if utterances is None and len(rows) == len(self.memory.frames):  # rows change places within their utterance
            self.cache.self_attention_cache.batch_select_indices(rows)
            return
        self.memory = self.memory.select(rows)
        self.cache.batch_select_indices(rows)
