"""What decoders have in common: losses per utterance, and hypotheses that grow label by label.

Shapes: ``B`` utterances, ``R`` rows (hypotheses; those of an utterance beside each other), ``L`` labels, ``T`` encoder
frames, ``H`` hidden units, ``V`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Windows(NamedTuple):
    """What a decoder hears at a time.

    Attributes:
        frames: Encoder output, (windows, T, H).
        lengths: Frames of each window, (windows,).
        counts: Windows of each utterance, ``B``.
    """

    frames: Tensor
    lengths: Tensor
    counts: list[int]


class Steps(Protocol):
    """Hypotheses on their way through a decoder."""

    def step(self, tokens: Tensor) -> Tensor:
        """Return log-probabilities (R, V) of what follows, after reading one more token in each row (R,)."""
        ...

    def select(self, rows: Tensor, utterances: Tensor | None = None) -> None:
        """Go on with some rows, in this order, equally many for each utterance; one row may become several.

        Args:
            rows: Numbers of rows.
            utterances: Numbers of the utterances that they belong to, if not all go on.
        """
        ...


class LabelDecoder(Protocol):
    """A decoder that can be searched.

    Attributes:
        start: Token that it reads first.
        end: Token that it writes last.
        forbidden: Tokens that may not be written at each place, (places, V); the last one is for all further places.
    """

    start: int
    end: int
    forbidden: Tensor

    @property
    def most_labels(self) -> int:
        """Labels that an utterance can have."""
        ...

    def windows(self, encoder_out: Tensor, encoder_lengths: Tensor) -> Windows:
        """Cut what is too long to be heard at a time."""
        ...

    def join(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Return the labels of an utterance from those of its windows."""
        ...

    def begin(self, frames: Tensor, lengths: Tensor) -> Steps:
        """Return a search at its beginning, one row for each utterance."""
        ...


def cross_entropies(scores: Tensor, labels: Tensor, counts: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy of each utterance (B,), summed over its labels.

    Args:
        scores: Unnormalised scores, (B, L, V).
        labels: Labels, (B, L), padded with any token.
        counts: Number of labels, (B,).
        smoothing: Share of each target that is spread over all tokens.
    """
    losses = functional.cross_entropy(
        scores.float().transpose(1, 2),  # (B, V, L), fp32 whatever the decoder's precision
        labels,
        reduction="none",
        label_smoothing=smoothing,
    )
    own = torch.arange(labels.size(1), device=labels.device) < counts[:, None]
    return losses.masked_fill(~own, 0.0).sum(dim=1)


def greedy_labels(steps: Steps, decoder: LabelDecoder, limits: Sequence[int]) -> list[list[int]]:
    """Write the likeliest allowed token in each row, again and again, until the end.

    Args:
        steps: The decoder at its beginning.
        decoder: Says what is allowed.
        limits: Most labels of each row.

    Returns:
        Labels of each row, without the end.
    """
    written: list[list[int]] = [[] for _ in limits]
    rows = list(range(len(limits)))  # those in the batch; some of them may have ended
    running = set(rows)
    tokens = torch.full((len(rows),), decoder.start, device=decoder.forbidden.device)
    place = 0
    while running:
        forbidden = decoder.forbidden[min(place, len(decoder.forbidden) - 1)]
        tokens = steps.step(tokens).masked_fill(forbidden, -torch.inf).argmax(dim=-1)
        place += 1
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if row in running and token != decoder.end:
                written[row].append(token)
            if token == decoder.end or len(written[row]) >= limits[row]:
                running.discard(row)
        if running and 2 * len(running) <= len(rows):  # a copy of the caches pays for itself only now and then
            kept = torch.tensor([number for number, row in enumerate(rows) if row in running], device=tokens.device)
            rows = [row for row in rows if row in running]
            tokens = tokens[kept]
            steps.select(kept, kept)
    return written
