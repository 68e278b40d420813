"""What CTC search is compared with: every path through the frames of tiny inputs, and n-gram scores by definition."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.search import SearchSetup

Labels = tuple[int, ...]
NGRAMS = Path(__file__).parent.parent / "data" / "ngrams"

# The numbers of NGRAMS / "bigram.arpa", log base 10: unigrams with their back-off weights, and bigrams.
UNIGRAMS = {
    "<unk>": (-1.5, 0.0),
    "<s>": (-99.0, -0.3),
    "</s>": (-1.0, 0.0),
    "a": (-0.5, -0.2),
    "b": (-0.7, -0.1),
    "<space>": (-0.9, -0.4),
}
BIGRAMS = {("<s>", "b"): -0.1, ("b", "a"): -0.2, ("a", "</s>"): -0.3, ("a", "<space>"): -0.6}


def ngram_score(units: Sequence[str]) -> float:
    """Return log10 of a sentence's probability: a bigram, or the back-off weight and the unigram."""
    known = [unit if unit in UNIGRAMS else "<unk>" for unit in units]
    pairs = itertools.pairwise(["<s>", *known, "</s>"])
    return sum(BIGRAMS[pair] if pair in BIGRAMS else UNIGRAMS[pair[0]][1] + UNIGRAMS[pair[1]][0] for pair in pairs)


def collapse(path: Sequence[int], blank: int = 0) -> Labels:
    """Join repeats, then drop blanks."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def path_scores(log_probs: NDArray[np.float32]) -> dict[Labels, float]:
    """Return the log-probability of every path, (T,) tokens."""
    frames, size = log_probs.shape
    return {
        path: float(sum(float(log_probs[frame, label]) for frame, label in enumerate(path)))
        for path in itertools.product(range(size), repeat=frames)
    }


def labelling_scores(log_probs: NDArray[np.float32]) -> dict[Labels, float]:
    """Return the log-probability of every labelling: the sum over its paths."""
    by_labels: dict[Labels, list[float]] = {}
    for path, score in path_scores(log_probs).items():
        by_labels.setdefault(collapse(path), []).append(score)
    return {labels: float(np.logaddexp.reduce(scores)) for labels, scores in by_labels.items()}


def random_log_probs(frames: int, size: int, *, seed: int, sharpness: float = 1.0) -> NDArray[np.float32]:
    """Return normalised log-probabilities, (frames, size)."""
    logits = sharpness * np.random.default_rng(seed).standard_normal((frames, size))
    normalised: NDArray[np.float32] = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    return normalised


def wide(**more: Any) -> DecodeConfig:
    """Return a configuration that drops nothing of a tiny input."""
    widths = {"beam_size": 5000, "tokens_per_frame": 50, "beam_threshold": 1e5, "nbest": 1}
    return DecodeConfig.from_mapping({"search": "beam", **widths, **more}, "test")


def setup_of(
    tokens: Sequence[str], config: Mapping[str, Any] | DecodeConfig, data_set: Path, logits: Tensor | None = None
) -> SearchSetup:
    """Return a setup whose model puts out logits (B, T, V), all of them valid up to the number of samples."""
    if not isinstance(config, DecodeConfig):
        config = DecodeConfig.from_mapping(config, "test")
    shown = torch.zeros(0) if logits is None else logits

    def ctc_logits(speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return shown.clone(), lengths

    model = SimpleNamespace(token_list=list(tokens), blank_id=0, ctc_logits=ctc_logits, ctc=object(), decoder=None)
    return SearchSetup(config, model, data_set)
