"""Greedy search: the best token of every frame, or the decoder's best token at every place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from asr_dro.decoding.frame_times import BestPath, best_paths, tokens_of
from asr_dro.decoding.search import Found, Search, SearchSetup
from asr_dro.errors import UserError


def build(setup: SearchSetup) -> Search:
    """Build the search.

    Raises:
        UserError: If times are asked for of a model that does not know them, or languages of one without them.
    """
    model = setup.model
    if setup.config.times and model.ctc is None:
        raise UserError("times: this model writes with a decoder, which does not say when it heard a token")
    if setup.config.languages != "recognised":
        if model.ctc is None:
            from asr_dro.decoding.label_search import build_greedy

            return build_greedy(setup)
        from asr_dro.decoding.greedy_languages import GreedyByLanguage

        return GreedyByLanguage(setup)

    def search(speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        return [[Found(tokens)] for tokens in model.greedy(speech, lengths)]

    def timed_search(speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        paths = best_paths(*model.ctc_logits(speech, lengths))
        return [[timed(path, model.blank_id)] for path in paths]

    return timed_search if setup.config.times else search


def timed(path: BestPath, blank: int) -> Found:
    """Return the hypothesis of a path: its tokens with frames and confidences, its score the path's."""
    return Found.of(tokens_of(path, blank), float(np.log(path.posteriors.astype(np.float64)).sum()))
