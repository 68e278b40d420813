"""Greedy CTC search under given languages, or under the likeliest ones.

Shapes: ``B`` utterances, ``T`` encoder frames, ``V`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asr_dro.decoding.ctc_search import CtcSearch
from asr_dro.decoding.frame_times import BestPath, tokens_of
from asr_dro.decoding.search import Found


class GreedyByLanguage(CtcSearch):
    """The best token of each frame among those that a language allows.

    A hypothesis's score is the logarithm of its path's probability, in which what is impossible has its share still: of
    several languages the one with the likeliest path wins, and of equal ones the language with the likeliest tag.
    """

    def search(self, log_probs: Tensor, frames: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypothesis of each utterance; see :meth:`CtcSearch.search`."""
        counts = frames.tolist()
        best: list[Found | None] = [None] * len(counts)
        for tried in self.choice.candidates(log_probs, frames, languages):
            values, labels = self.choice.conditioned(log_probs, tried).max(dim=-1)
            found = torch.stack([labels.double(), values.double()]).cpu().numpy()  # one wait for the device
            for row, (language, count, before) in enumerate(zip(tried, counts, best, strict=True)):
                score = float(found[1, row, :count].sum())
                if before is None or score > before.score:
                    path = BestPath(found[0, row, :count].astype(np.int32), np.exp(found[1, row, :count]))
                    told = language if self.choice.tags.languages else None
                    best[row] = Found.of(tokens_of(path, self.choice.blank), score, told)
        return [[one] for one in best if one is not None]
