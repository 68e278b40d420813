"""ESPnet's transformer decoder with one loss per utterance, and a search that computes only what is new.

It reads ``<sos/eos>`` and writes an utterance's labels and ``<sos/eos>``. Where there are language tags, the first
label is one and no later label is. The loss of an utterance is the sum over its labels and the end,
``-log p(labels | audio)``, as CTC's and Whisper's are, so that the two heads of a hybrid weigh alike.

Shapes: ``B`` utterances, ``R`` rows (hypotheses; those of an utterance beside each other), ``L`` labels, ``T`` encoder
frames, ``H`` hidden units, ``V`` tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder as EspnetTransformerDecoder
from torch import Tensor
from torch.nn import functional

from asr_dro.data.tokens import BLANK, SOS_EOS, is_whisper_vocabulary, tag_language
from asr_dro.decoders.steps import Windows, cross_entropies, greedy_labels
from asr_dro.errors import UserError

_UNBOUNDED = 2**31 - 1


class TransformerDecoder(EspnetTransformerDecoder):  # type: ignore[misc]  # ESPnet has no type information
    """``decoder: transformer``; its options are ESPnet's.

    Attributes:
        label_smoothing: Share of each target that is spread over all tokens, in training only; the model sets it.
    """

    label_smoothing = 0.0
    most_labels = _UNBOUNDED  # its positions are sines, made as they are needed
    most_frames = _UNBOUNDED

    def use_tokens(self, tokens: Sequence[str]) -> None:
        """Learn what the tokens are.

        Args:
            tokens: The vocabulary, ``V``.

        Raises:
            UserError: If it is Whisper's.
        """
        if is_whisper_vocabulary(tokens):
            raise UserError(
                "decoder transformer has no use for Whisper's tokens; prepare the data with another --data-conf"
            )
        self.start = self.end = tokens.index(SOS_EOS)
        tags = torch.tensor([tag_language(token) is not None for token in tokens])
        text = tags.clone()
        text[tokens.index(BLANK)] = True
        # What may not be written at each place: anything but a tag, then tags and CTC's blank.
        self.register_buffer("forbidden", torch.stack([~tags, text] if tags.any() else [text]), persistent=False)
        self.forbidden: Tensor

    def utterance_losses(
        self, encoder_out: Tensor, encoder_lengths: Tensor, labels: Tensor, label_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of each utterance (B,), and which do not fit (B,): none.

        Args:
            encoder_out: Encoder output, (B, T, H).
            encoder_lengths: Its frames, (B,).
            labels: Labels without end, (B, L), padded with anything.
            label_lengths: Number of labels, (B,).
        """
        counts = label_lengths + 1
        places = torch.arange(int(counts.max()), device=labels.device)
        labels = functional.pad(labels[:, : len(places) - 1].clamp(min=0), (0, 1), value=self.end)
        labels = labels.masked_fill(places >= label_lengths[:, None], self.end)
        inputs = functional.pad(labels[:, :-1], (1, 0), value=self.start)
        scores, _ = self(encoder_out, encoder_lengths, inputs, counts)
        smoothing = self.label_smoothing if self.training else 0.0
        losses = cross_entropies(scores, labels, counts, smoothing)
        return losses, torch.zeros_like(label_lengths, dtype=torch.bool)

    def windows(self, encoder_out: Tensor, encoder_lengths: Tensor) -> Windows:
        """Return what is searched at a time: utterances as they are, (B, T, H)."""
        return Windows(encoder_out, encoder_lengths, [1] * len(encoder_lengths))

    def join(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Return the labels of an utterance from those of its only window."""
        return list(parts[0])

    def begin(self, frames: Tensor, lengths: Tensor) -> TransformerSteps:
        """Return a search at its beginning, one row for each utterance.

        Args:
            frames: Encoder output, (B, T, H).
            lengths: Its frames, (B,).
        """
        return TransformerSteps(self, frames, lengths)

    @torch.no_grad()
    def greedy(self, encoder_out: Tensor, encoder_lengths: Tensor) -> list[list[int]]:
        """Write the likeliest token again and again, from the language to the end of the text.

        Args:
            encoder_out: Encoder output, (B, T, H).
            encoder_lengths: Its frames, (B,).

        Returns:
            Labels of each utterance, without ``<sos/eos>``; at most one for each frame and place of ``forbidden``.
        """
        limits = len(self.forbidden) + encoder_lengths
        return greedy_labels(self.begin(encoder_out, encoder_lengths), self, limits.tolist())


class TransformerSteps:
    """Hypotheses on their way through the decoder, with keys and values of what is written kept.

    ESPnet computes those of the encoder's frames anew at every step and for every hypothesis; here once for each
    utterance.

    Args:
        decoder: The decoder, in eval mode.
        frames: Encoder output, (B, T, H).
        lengths: Its frames, (B,).
    """

    def __init__(self, decoder: TransformerDecoder, frames: Tensor, lengths: Tensor) -> None:
        self.decoder = decoder
        own = torch.arange(frames.size(1), device=frames.device) < lengths[:, None]
        self.own = own[:, None, None]  # (B, 1, 1, T)
        attentions = [layer.src_attn for layer in decoder.decoders]
        self.heard = [(_keys(attention, frames), _values(attention, frames)) for attention in attentions]
        self.read: list[tuple[Tensor, Tensor]] = []  # of each layer, (R, heads, L, H / heads)
        self.tokens = torch.zeros(len(frames), 0, dtype=torch.long, device=frames.device)  # (R, L)

    def step(self, tokens: Tensor) -> Tensor:
        """Return log-probabilities (R, V) of what follows, after reading one more token in each row (R,)."""
        self.tokens = torch.cat([self.tokens, tokens[:, None]], dim=1)
        hidden = self.decoder.embed(self.tokens)[:, -1:]  # (R, 1, H)
        read = []
        for number, layer in enumerate(self.decoder.decoders):
            before = self.read[number] if self.read else None
            hidden, now = self._layer(layer, hidden, before, self.heard[number])
            read.append(now)
        self.read = read
        if self.decoder.normalize_before:
            hidden = self.decoder.after_norm(hidden)
        scores: Tensor = self.decoder.output_layer(hidden[:, 0])
        return scores.float().log_softmax(dim=-1)

    def select(self, rows: Tensor, utterances: Tensor | None = None) -> None:
        """Go on with some rows, in this order; one row may become several.

        Args:
            rows: Numbers of rows.
            utterances: Numbers of the utterances that they belong to, if not all go on.
        """
        self.tokens = self.tokens[rows]
        self.read = [(keys[rows], values[rows]) for keys, values in self.read]
        if utterances is not None:
            self.own = self.own[utterances]
            self.heard = [(keys[utterances], values[utterances]) for keys, values in self.heard]

    def _layer(
        self, layer: Any, inputs: Tensor, before: tuple[Tensor, Tensor] | None, heard: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return a layer's output (R, 1, H), and keys and values of its inputs so far."""
        first = layer.normalize_before  # norms before each part, or after it
        hidden = layer.norm1(inputs) if first else inputs
        now = _keys(layer.self_attn, hidden), _values(layer.self_attn, hidden)
        if before is not None:
            now = torch.cat([before[0], now[0]], dim=2), torch.cat([before[1], now[1]], dim=2)
        read = _attend(layer.self_attn, hidden, *now)
        inputs = inputs + (layer.concat_linear1(torch.cat([hidden, read], dim=-1)) if layer.concat_after else read)
        inputs = inputs if first else layer.norm1(inputs)
        hidden = layer.norm2(inputs) if first else inputs
        # The hypotheses of an utterance ask the same frames: they are queries of one row.
        asking = hidden.view(len(self.own), -1, hidden.size(-1))
        found = _attend(layer.src_attn, asking, *heard, self.own).view_as(hidden)
        inputs = inputs + (layer.concat_linear2(torch.cat([hidden, found], dim=-1)) if layer.concat_after else found)
        inputs = inputs if first else layer.norm2(inputs)
        output = inputs + layer.feed_forward(layer.norm3(inputs) if first else inputs)
        return output if first else layer.norm3(output), now


def _heads(attention: Any, hidden: Tensor) -> Tensor:
    """Cut (R, L, H) into heads, (R, heads, L, H / heads)."""
    return hidden.view(hidden.size(0), -1, attention.h, attention.d_k).transpose(1, 2)


def _keys(attention: Any, hidden: Tensor) -> Tensor:
    keys: Tensor = attention.k_norm(_heads(attention, attention.linear_k(hidden)))
    return keys


def _values(attention: Any, hidden: Tensor) -> Tensor:
    return _heads(attention, attention.linear_v(hidden))


def _attend(attention: Any, hidden: Tensor, keys: Tensor, values: Tensor, own: Tensor | None = None) -> Tensor:
    """Return what hidden units (R, L, H) find among keys and values, (R, L, H)."""
    queries = attention.q_norm(_heads(attention, attention.linear_q(hidden)))
    found = functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=own, scale=1.0 / math.sqrt(attention.d_k)
    )
    output: Tensor = attention.linear_out(found.transpose(1, 2).reshape(hidden.shape))
    return output
