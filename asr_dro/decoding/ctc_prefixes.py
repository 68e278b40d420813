"""CTC's probability that a transcript begins with given labels (Watanabe et al. 2017), for joint search.

ESPnet computes it; here is what it needs to go from label to label with hypotheses that change places.

Shapes: ``B`` utterances, ``R`` rows (hypotheses; those of an utterance beside each other), ``T`` encoder frames, ``V``
tokens, ``C`` candidates.
"""

from __future__ import annotations

from typing import Any

import torch
from espnet.nets.ctc_prefix_score import CTCPrefixScoreTH
from torch import Tensor

_IMPOSSIBLE = -1e9  # what ESPnet gives in place of minus infinity lies below


class CtcPrefixes:
    """Hypotheses on their way through CTC.

    Args:
        log_probs: Log-probabilities of the frames, (B, T, V).
        lengths: Frames of each utterance, (B,).
        blank: Index of the blank.
        end: Index of the decoder's end.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor, *, blank: int, end: int) -> None:
        self.log_probs, self.lengths = log_probs, lengths
        self.blank, self.end = blank, end
        self.place = 0  # labels of each row so far
        self.state: Any = None
        self._prepare()

    def step(self, tokens: Tensor, candidates: Tensor) -> Tensor:
        """Return how much less likely each candidate makes a row, (R, V); minus infinity for all other tokens.

        Args:
            tokens: The last token of each row, (R,).
            candidates: Tokens that may follow, (R, C); the end is one whether it is named or not.
        """
        prefixes = [[self.end] * self.place + [token] for token in tokens.tolist()]
        scores, self.found = self.scorer(prefixes, self.state, candidates)
        self.place += 1
        masked: Tensor = scores.masked_fill(self.found[1] < _IMPOSSIBLE, -torch.inf)
        return masked

    def select(self, rows: Tensor, tokens: Tensor, utterances: Tensor | None = None) -> None:
        """Go on with some rows and the token that each has taken.

        Args:
            rows: Numbers of rows.
            tokens: Candidates of the last step; where the end was taken, the row is of no more use.
            utterances: Numbers of the utterances that the rows belong to, if not all go on.
        """
        forward, totals, first, last, places = self.found
        kept = forward[:, :, rows, places[rows, tokens].clamp(min=0)]
        self.state = kept, totals[rows, tokens][:, None].expand(-1, totals.size(1)), first, last
        if utterances is not None:
            self.log_probs, self.lengths = self.log_probs[utterances], self.lengths[utterances]
            self._prepare()

    def _prepare(self) -> None:
        # The scorer overwrites the padding of what it is given.
        self.scorer: Any = CTCPrefixScoreTH(self.log_probs.clone(), self.lengths.tolist(), self.blank, self.end)
