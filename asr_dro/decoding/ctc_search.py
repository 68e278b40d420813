"""What searches with CTC under languages have in common: from samples to log-probabilities.

Shapes: ``B`` utterances, ``N`` samples, ``T`` encoder frames, ``V`` tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from asr_dro.data.tokens import is_whisper_vocabulary
from asr_dro.decoding.languages import build_choice
from asr_dro.decoding.search import Found, SearchSetup
from asr_dro.errors import UserError


class CtcSearch(ABC):
    """A search in CTC's log-probabilities; see :class:`asr_dro.decoding.search.Search`.

    Args:
        setup: What it is built from.

    Raises:
        UserError: If the model has no CTC, or not the languages that are asked for.
    """

    def __init__(self, setup: SearchSetup) -> None:
        _check_ctc(setup)
        self.model = setup.model
        self.choice = build_choice(setup)

    @torch.no_grad()
    def __call__(self, speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypotheses of each utterance; see :class:`asr_dro.decoding.search.Search`."""
        logits, frames = self.model.ctc_logits(speech, lengths)
        return self.search(self.log_probs(logits), frames, languages)

    def log_probs(self, logits: Tensor) -> Tensor:
        """Return natural logarithms of probabilities to search in, (B, T, V), of the network's output (B, T, V)."""
        return logits.log_softmax(dim=-1)

    @abstractmethod
    def search(self, log_probs: Tensor, frames: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypotheses of each utterance, best first.

        Args:
            log_probs: Natural logarithms, (B, T, V); they may be written over.
            frames: Frames of each utterance, (B,).
            languages: The utterances' languages.
        """


def _check_ctc(setup: SearchSetup) -> None:
    """Refuse a model that CTC cannot decode."""
    if is_whisper_vocabulary(setup.model.token_list) or setup.model.ctc is None:
        raise UserError(
            f"search: {setup.config.search} needs a model with CTC, and this one has none: it writes with a decoder; "
            "use search: attention or greedy"
        )
