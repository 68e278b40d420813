"""Greedy search: the best token of every frame, or the decoder's best token at every place."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from asr_dro.decoding.search import Found, Search, SearchSetup


def build(setup: SearchSetup) -> Search:
    """Build the search."""

    def search(speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        return [[Found(tokens)] for tokens in setup.model.greedy(speech, lengths)]

    return search
