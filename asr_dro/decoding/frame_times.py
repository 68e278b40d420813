"""Greedy CTC search with times and confidences: tokens of one window, and of windows that overlap.

Legend: ``T`` frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.errors import UserError

_MANY = 1000  # frames; enough that no edge hides a fraction of a sample
_LONG = 1 << 24  # samples
_CLEAR = 2  # frames at each side of a cut that are best without a token


class BestPath(NamedTuple):
    """The best token of each frame.

    Attributes:
        labels: Its index, (T,).
        posteriors: Its probability, (T,).
    """

    labels: NDArray[np.int32]
    posteriors: NDArray[np.float32]


class Token(NamedTuple):
    """A recognised token.

    Attributes:
        label: Index in the vocabulary.
        start: First frame.
        stop: Frame after its last one.
        confidence: Mean posterior over these frames.
    """

    label: int
    start: int
    stop: int
    confidence: float


def samples_per_frame(lengths: Callable[[Tensor], Tensor] | None) -> int:
    """Return the samples from one frame to the next, exactly.

    Args:
        lengths: A model's function from samples (B,) to frames (B,).

    Raises:
        UserError: If the model has no such function, or no constant number of samples.
    """
    if lengths is not None:
        step = round(_LONG / max(1, int(lengths(torch.tensor([_LONG]))[0])))
        probes = torch.arange(_LONG, _LONG + 2 * step)
        if bool((lengths(probes + _MANY * step) - lengths(probes) == _MANY).all()):
            return step
    raise UserError("this model's frames have no times: one of its parts does not say how it shortens its input")


def best_paths(logits: Tensor, lengths: Tensor) -> list[BestPath]:
    """Take the best token of every frame.

    Args:
        logits: Unnormalised scores, (B, T, V).
        lengths: Frames of each window, (B,).
    """
    posteriors, labels = logits.float().softmax(dim=-1).max(dim=-1)
    # Of equal posteriors the softmax may prefer another than the logits, by which stage 5 decides.
    labels = logits.argmax(dim=-1)
    found = torch.stack([labels.double(), posteriors.double()]).cpu().numpy()  # one wait for the device
    return [
        BestPath(found[0, row, :length].astype(np.int32), found[1, row, :length].astype(np.float32))
        for row, length in enumerate(lengths.tolist())
    ]


def join_paths(paths: Sequence[BestPath], starts: Sequence[int], blank: int = 0) -> BestPath:
    """Join the paths of windows that overlap.

    The earlier window counts up to a frame that is blank in both of them, the nearest to the middle of their overlap,
    best with no token close to it: what one window puts a frame earlier than the other must not come twice.

    Args:
        paths: Path of each window.
        starts: Frame at which each window begins; the first is 0.
        blank: Index of the blank token.
    """
    labels, posteriors = paths[0]
    for (later_labels, later_posteriors), start in zip(paths[1:], starts[1:], strict=True):
        overlap = max(0, min(len(labels) - start, len(later_labels)))
        cut = _cut(labels[start : start + overlap] == blank, later_labels[:overlap] == blank)
        labels = np.concatenate([labels[: start + cut], later_labels[cut:]])
        posteriors = np.concatenate([posteriors[: start + cut], later_posteriors[cut:]])
    return BestPath(labels, posteriors)


def _cut(earlier: NDArray[np.bool_], later: NDArray[np.bool_]) -> int:
    """Return where to go from one window to the other, given where each is blank in their overlap."""
    both = earlier & later
    near = np.convolve(~both, np.ones(2 * _CLEAR + 1), mode="same") if len(both) > 2 * _CLEAR else ~both
    for candidates in (np.flatnonzero(near == 0), np.flatnonzero(both), np.flatnonzero(earlier | later)):
        if len(candidates):
            return int(candidates[np.abs(candidates - len(both) // 2).argmin()])
    return len(both) // 2


def tokens_of(path: BestPath, blank: int = 0) -> list[Token]:
    """Join repeats and drop blanks."""
    if not len(path.labels):
        return []
    starts = np.flatnonzero(np.concatenate([[True], path.labels[1:] != path.labels[:-1]]))
    stops = np.append(starts[1:], len(path.labels))
    means = np.add.reduceat(path.posteriors.astype(np.float64), starts) / (stops - starts)
    rows = zip(path.labels[starts].tolist(), starts.tolist(), stops.tolist(), means.tolist(), strict=True)
    return [Token(*row) for row in rows if row[0] != blank]
