"""Whisper's decoder (Radford et al. 2022, arXiv 2212.04356): cross-entropy per utterance, and greedy search.

It reads ``<|startoftranscript|>`` and writes the labels of ``asr_dro.data.whisper_tokens``, the language's tag first.
All of them are in the loss, as in transformers' fine-tuning, so the model learns to name the language. The loss of an
utterance is the sum over its labels, ``-log p(labels | audio)`` as CTC's is, so that group-robust objectives compare
languages whatever the number of pieces that their script takes; transformers' own is the mean over a batch's labels.

Shapes: ``B`` utterances, ``L`` labels, ``T`` encoder frames, ``H`` hidden units, ``V`` tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from asr_dro.data.tokens import TOKENS, is_whisper_vocabulary, tag_language
from asr_dro.data.whisper_tokens import AFTER_LANGUAGES, END, NO_TIMESTAMPS, START, TRANSCRIBE
from asr_dro.decoders.steps import Windows, cross_entropies, greedy_labels
from asr_dro.decoders.whisper_states import Memory, WhisperSteps, decoder_states
from asr_dro.encoders import whisper_weights
from asr_dro.encoders.networks import check_dropout
from asr_dro.encoders.pretrained import find_network
from asr_dro.encoders.whisper import window_size
from asr_dro.errors import UserError

_LOSS = {"reduction": "sum", "label_smoothing": 0.0}


class WhisperDecoder(AbsDecoder):  # type: ignore[misc]  # ESPnet has no type information
    """The decoder of a checkpoint, with embeddings for the languages that Whisper lacks.

    Args:
        vocab_size: Tokens ``V``.
        encoder_output_size: Width ``H`` of the encoder's output.
        checkpoint: Folder, or ``organisation/model@revision``; None: random weights.
        architecture: What the network looks like; None: what the checkpoint says.
        dropout: Probabilities: ``hidden``, ``attention``, ``activation``. What is not named is 0.
        attention: ``sdpa``, ``eager``, or ``flash_attention_2`` where it is installed.
        gradient_checkpointing: Compute layers again in the backward pass: less memory, about a third more time.
        loss: ``reduction`` over an utterance's labels, ``sum`` or ``mean``; ``label_smoothing``, the share of each
            target that is spread over all tokens, in training only.

    Raises:
        UserError: For options that do not exist or a checkpoint that cannot be used.
    """

    architecture_of = staticmethod(whisper_weights.architecture_of)

    def __init__(
        self,
        vocab_size: int,
        encoder_output_size: int,
        checkpoint: str | None = None,
        architecture: Mapping[str, Any] | None = None,
        dropout: Mapping[str, float] | None = None,
        attention: str = "sdpa",
        gradient_checkpointing: bool = False,
        loss: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options = _read_loss(loss or {})
        self.reduction, self.label_smoothing = options["reduction"], float(options["label_smoothing"])
        path, self.architecture = find_network(checkpoint, architecture, self.architecture_of, option="decoder_conf")
        probabilities = check_dropout(dropout or {}, whisper_weights.DROPOUT)
        self.model = whisper_weights.build_decoder(path, self.architecture, attention=attention, dropout=probabilities)
        width = self.model.config.d_model
        if width != encoder_output_size:
            raise UserError(
                f"the encoder puts out {encoder_output_size} values a frame, the decoder takes {width}; give "
                "encoder_conf and decoder_conf the same checkpoint"
            )
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.own_tokens = int(self.model.config.vocab_size)  # Whisper's, without languages of ours
        if vocab_size > self.own_tokens:
            grown = nn.Embedding(vocab_size, width)
            with torch.no_grad():
                grown.weight[: self.own_tokens] = self.model.embed_tokens.weight
            self.model.embed_tokens = grown

    @property
    def most_labels(self) -> int:
        """Labels that an utterance can have, 448 for the published models."""
        return int(self.model.config.max_target_positions)

    @property
    def most_frames(self) -> int:
        """Encoder frames that an utterance can have, 1500 for the published models."""
        return int(self.model.config.max_source_positions)

    def use_tokens(self, tokens: Sequence[str]) -> None:
        """Learn what the tokens are; languages that Whisper lacks begin as the mean of those that it has.

        Args:
            tokens: The vocabulary, ``V``.

        Raises:
            UserError: If it is not the one of the checkpoint.
        """
        if not is_whisper_vocabulary(tokens):
            raise UserError(f"decoder whisper needs Whisper's own tokens: --data-conf whisper, not {TOKENS} of CTC")
        index = {token: place for place, token in enumerate(tokens)}
        tags = [place for place, token in enumerate(tokens) if tag_language(token) is not None]
        own = sum(tag_language(token) is None for token in tokens) + sum(tag < index[AFTER_LANGUAGES] for tag in tags)
        if own != self.own_tokens:
            raise UserError(
                f"the checkpoint of decoder_conf has {self.own_tokens} tokens, {TOKENS} {own} of Whisper's; "
                "tokens.type is whisper_v3 for large-v3 (51866 tokens), whisper for other multilingual models (51865)"
            )
        languages = slice(index[START] + 1, index[AFTER_LANGUAGES])
        embedding = self.model.embed_tokens.weight
        with torch.no_grad():
            embedding[own:] = embedding[languages].mean(dim=0)
        self.start, self.end = index[START], index[END]
        # What may be written at each place: a language, two marks, then text or its end.
        allowed = [torch.tensor(tags)] if tags else []
        allowed += [torch.tensor([index[TRANSCRIBE]]), torch.tensor([index[NO_TIMESTAMPS]]), torch.arange(self.end + 1)]
        forbidden = torch.ones(len(allowed), len(tokens), dtype=torch.bool)
        for place, choices in enumerate(allowed):
            forbidden[place, choices] = False
        self.register_buffer("forbidden", forbidden, persistent=False)
        self.forbidden: Tensor

    def forward(self, hs_pad: Tensor, hlens: Tensor, ys_in_pad: Tensor, ys_in_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Return unnormalised scores (B, L, V) of the tokens that follow each input, and ``ys_in_lens``.

        Args:
            hs_pad: Encoder output, (B, T, H).
            hlens: Its frames, (B,).
            ys_in_pad: Inputs, (B, L), from ``<|startoftranscript|>`` on; padding may hold any token.
            ys_in_lens: Number of inputs, (B,).
        """
        memory = Memory.of(hs_pad, hlens)
        return self._scores(decoder_states(self.model, ys_in_pad, memory)), ys_in_lens

    def utterance_losses(
        self, encoder_out: Tensor, encoder_lengths: Tensor, labels: Tensor, label_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of each utterance (B,), and which do not fit (B,), whose loss is 0.

        Args:
            encoder_out: Encoder output, (B, T, H).
            encoder_lengths: Its frames, (B,).
            labels: Labels, (B, L), padded with anything.
            label_lengths: Number of labels, (B,).
        """
        unfit = (label_lengths > self.most_labels) | (encoder_lengths > self.most_frames)
        labels = labels[:, : self.most_labels]
        inputs = functional.pad(labels[:, :-1], (1, 0), value=self.start).clamp(min=0)
        scores, _ = self(encoder_out, encoder_lengths, inputs, label_lengths)
        smoothing = self.label_smoothing if self.training else 0.0
        losses = cross_entropies(scores, labels.clamp(min=0), label_lengths, smoothing)
        if self.reduction == "mean":
            losses = losses / label_lengths.clamp(min=1)
        return losses.masked_fill(unfit, 0.0), unfit

    @torch.no_grad()
    def greedy(self, encoder_out: Tensor, encoder_lengths: Tensor) -> list[list[int]]:
        """Write the likeliest token again and again, from the language to the end of the text.

        Audio of more than one of Whisper's windows is recognised window by window; the first one names the language.

        Args:
            encoder_out: Encoder output, (B, T, H).
            encoder_lengths: Its frames, (B,).

        Returns:
            Labels of each utterance, without ``<|endoftext|>``.
        """
        windows = self.windows(encoder_out, encoder_lengths)
        # A label per frame is more than speech can need, and bounds what an untrained network writes.
        limits = (len(self.forbidden) + windows.lengths).clamp(max=self.most_labels)
        written = iter(greedy_labels(self.begin(windows.frames, windows.lengths), self, limits.tolist()))
        return [self.join([next(written) for _ in range(count)]) for count in windows.counts]

    def windows(self, encoder_out: Tensor, encoder_lengths: Tensor) -> Windows:
        """Cut utterances (B, T, H) that are longer than Whisper's window into equal parts."""
        sizes = encoder_lengths.tolist()
        cut = [
            frames[:size].split(window_size(size, self.most_frames))
            for frames, size in zip(encoder_out, sizes, strict=True)
        ]
        pieces = [piece for one in cut for piece in one]
        lengths = torch.tensor([len(piece) for piece in pieces], device=encoder_out.device)
        return Windows(pad_sequence(pieces, batch_first=True), lengths, [len(one) for one in cut])

    def join(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Return the labels of an utterance from those of its windows: the first one names the language."""
        prompt = len(self.forbidden) - 1
        return [*parts[0], *(label for part in parts[1:] for label in part[prompt:])]

    def begin(self, frames: Tensor, lengths: Tensor) -> WhisperSteps:
        """Return a search at its beginning, one row for each window.

        Args:
            frames: Encoder output, (B, T, H), of at most a window each.
            lengths: Its frames, (B,).
        """
        return WhisperSteps(self.model, Memory.of(frames, lengths))

    def _scores(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.model.embed_tokens.weight)


def _read_loss(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the loss.

    Raises:
        UserError: With every mistake.
    """
    problems = [f"loss.{key} is not a key; allowed: {', '.join(_LOSS)}" for key in values if key not in _LOSS]
    options = {**_LOSS, **values}
    if options["reduction"] not in ("sum", "mean"):
        problems.append(f"loss.reduction is {options['reduction']!r}; allowed: sum, mean")
    smoothing = options["label_smoothing"]
    if isinstance(smoothing, bool) or not isinstance(smoothing, int | float) or not 0 <= smoothing < 1:
        problems.append(f"loss.label_smoothing must be from 0 to below 1, not {smoothing!r}")
    if problems:
        raise UserError("\n".join(problems))
    return options
