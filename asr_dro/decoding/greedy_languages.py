"""Greedy CTC search under given languages, or under the likeliest ones.

Shapes: ``B`` utterances, ``N`` samples, ``T`` encoder frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asr_dro.decoding.frame_times import BestPath, tokens_of
from asr_dro.decoding.languages import build_choice, needs_ctc
from asr_dro.decoding.search import Found, Search, SearchSetup


def build(setup: SearchSetup) -> Search:
    """Build the search.

    Raises:
        UserError: If the model has no CTC or no languages, or the set does not say which tokens a language has.
    """
    needs_ctc(setup)
    return GreedyByLanguage(setup)


class GreedyByLanguage:
    """The best token of each frame among those that a language allows; see :class:`asr_dro.decoding.search.Search`.

    A hypothesis's score is the logarithm of its path's probability, in which what is impossible has its share still: of
    several languages the one with the likeliest path wins, and of equal ones the language with the likeliest tag.

    Args:
        setup: What it is built from.
    """

    def __init__(self, setup: SearchSetup) -> None:
        self.model = setup.model
        self.choice = build_choice(setup)

    @torch.no_grad()
    def __call__(self, speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypothesis of each utterance.

        Args:
            speech: Samples, (B, N), padded with zeros.
            lengths: Numbers of samples, (B,).
            languages: The utterances' languages.
        """
        logits, frames = self.model.ctc_logits(speech, lengths)
        return self.search(logits.log_softmax(dim=-1), frames, languages)

    def search(self, log_probs: Tensor, frames: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Search in log-probabilities.

        Args:
            log_probs: Natural logarithms, (B, T, V).
            frames: Frames of each utterance, (B,).
            languages: The utterances' languages.
        """
        counts = frames.tolist()
        best: list[Found | None] = [None] * len(counts)
        for tried in self.choice.candidates(log_probs, frames, languages):
            values, labels = self.choice.conditioned(log_probs, tried).max(dim=-1)
            found = torch.stack([labels.double(), values.double()]).cpu().numpy()  # one wait for the device
            for row, (language, count, before) in enumerate(zip(tried, counts, best, strict=True)):
                score = float(found[1, row, :count].sum())
                if before is None or score > before.score:
                    path = BestPath(found[0, row, :count].astype(np.int32), np.exp(found[1, row, :count]))
                    best[row] = self._found(path, score, language)
        return [[one] for one in best if one is not None]

    def _found(self, path: BestPath, score: float, language: str | None) -> Found:
        tokens = tokens_of(path, self.choice.blank)
        return Found(
            [token.label for token in tokens],
            score,
            [(token.start, token.stop) for token in tokens],
            [token.confidence for token in tokens],
            language if self.choice.tags.languages else None,
        )
