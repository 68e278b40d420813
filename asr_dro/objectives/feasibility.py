"""Which utterances a loss can be computed for."""

from __future__ import annotations

import torch
from torch import Tensor


def usable_utterances(losses: Tensor, infeasible: Tensor | None = None) -> Tensor:
    """Return a ``(B,)`` mask of the utterances whose loss is finite and that are not marked as infeasible."""
    usable = torch.isfinite(losses)
    return usable if infeasible is None else usable & ~infeasible.bool()


def ctc_infeasible(targets: Tensor, target_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """Return which utterances have more labels than CTC can align to their frames.

    CTC needs one frame per label and one more for the blank between two equal neighbours. With ``zero_infinity=True``
    such an utterance has loss 0, which looks like a perfect result; so it is recognised here and not by its loss.

    Args:
        targets: ``(B, L)`` label indices, padded at the end with anything.
        target_lengths: ``(B,)`` labels per utterance.
        frame_lengths: ``(B,)`` frames per utterance, after subsampling.

    Returns:
        ``(B,)`` mask, true where no alignment exists.

    >>> ctc_infeasible(torch.tensor([[1, 1, 2], [1, 2, 3]]), torch.tensor([3, 3]), torch.tensor([3, 3]))
    tensor([ True, False])
    """
    position = torch.arange(1, max(targets.shape[1], 1), device=targets.device)
    repeated = (targets[:, 1:] == targets[:, :-1]) & (position < target_lengths.unsqueeze(1))  # (B, L-1)
    return target_lengths + repeated.sum(dim=1) > frame_lengths
