"""What every search has in common: what it is given, what it finds, and where each one lives.

Shapes: ``B`` utterances, ``N`` samples.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:  # what a configuration may say is known without torch
    from torch import Tensor

    from asr_dro.decoding.config import DecodeConfig
    from asr_dro.decoding.frame_times import Token


class Found(NamedTuple):
    """One hypothesis of an utterance.

    Attributes:
        tokens: Indices in the model's vocabulary, language tag included.
        score: Natural logarithm of its probability with all that the search adds; the higher, the better. 0 where the
            search knows none.
        frames: First encoder frame of each token, and the frame after its last; None where the search knows none.
        confidences: Mean posterior of each token over its frames, from 0 to 1; None where the search knows none.
        language: The language that the search was told to write; None where it was free.
    """

    tokens: Sequence[int]
    score: float = 0.0
    frames: Sequence[tuple[int, int]] | None = None
    confidences: Sequence[float] | None = None
    language: str | None = None

    @classmethod
    def of(cls, tokens: Sequence[Token], score: float, language: str | None = None) -> Found:
        """Return a hypothesis whose tokens were heard in known frames."""
        return cls(
            [token.label for token in tokens],
            score,
            [(token.start, token.stop) for token in tokens],
            [token.confidence for token in tokens],
            language,
        )


@dataclass(frozen=True)
class SearchSetup:
    """What a search is built from.

    Attributes:
        config: The decoding configuration.
        model: The network, in eval mode (``GroupRobustASRModel``).
        data_set: Prepared set; its training transcripts say which tokens a language has.
    """

    config: DecodeConfig
    model: Any
    data_set: Path


class Search(Protocol):
    """A search at work on batches."""

    def __call__(self, speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypotheses of each utterance, best first, at least one and at most ``nbest``.

        Args:
            speech: Samples, (B, N), padded with zeros, on the model's device.
            lengths: Numbers of samples, (B,).
            languages: The utterances' languages from ``utt2lang``; only ``languages: given`` may look at them.
        """
        ...


# Module of each search by the name in the configuration; it has ``build(setup: SearchSetup) -> Search``.
MODULES: Mapping[str, str] = {
    "greedy": "asr_dro.decoding.greedy_search",
    "beam": "asr_dro.decoding.beam_search",
    "attention": "asr_dro.decoding.label_search",
    "joint": "asr_dro.decoding.label_search",
}


def build_search(setup: SearchSetup) -> Search:
    """Import and build the search that the configuration names.

    Raises:
        UserError: If it does not go with the model, or a file that it needs is missing or wrong.
    """
    search: Search = importlib.import_module(MODULES[setup.config.search]).build(setup)
    return search
