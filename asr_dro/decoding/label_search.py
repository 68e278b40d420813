"""``attention`` and ``joint``: beam search with the decoder, alone or together with CTC; under languages too.

Shapes: ``B`` utterances, ``N`` samples, ``T`` encoder frames, ``H`` hidden units, ``V`` tokens.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from asr_dro.decoders.steps import LabelDecoder, Windows
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.label_beam import BeamOptions, Ended, Heard, search_labels
from asr_dro.decoding.languages import LanguageChoice, build_choice, languages_to_try
from asr_dro.decoding.search import Found, Search, SearchSetup
from asr_dro.errors import UserError, first_of


def build(setup: SearchSetup) -> Search:
    """Build the search.

    Raises:
        UserError: If the model lacks a head that the search needs, or languages cannot be told apart.
    """
    _check_heads(setup)
    return LabelSearch(setup, _options(setup.config))


def build_greedy(setup: SearchSetup) -> Search:
    """Build greedy search under languages for a model that has a decoder and no CTC.

    Raises:
        UserError: If languages cannot be told apart.
    """
    return LabelSearch(setup, BeamOptions(beam_size=1))


def _options(config: DecodeConfig) -> BeamOptions:
    share = config.ctc_weight if config.search == "joint" else 0.0
    return BeamOptions(config.beam_size, config.nbest, config.length_penalty, share)


def _check_heads(setup: SearchSetup) -> None:
    model, search = setup.model, setup.config.search
    needed = {"a decoder": model.decoder} | ({"CTC": model.ctc} if search == "joint" else {})
    if all(head is not None for head in needed.values()):
        return
    has = "CTC and no decoder" if model.decoder is None else "a decoder and no CTC"
    instead = "greedy or beam" if model.decoder is None else "attention or greedy"
    raise UserError(f"search: {search} needs {' and '.join(needed)}, and this model has {has}; use search: {instead}")


class LabelSearch:
    """A search at work.

    Args:
        setup: What it is built from.
        options: How wide it searches.

    Raises:
        UserError: If languages cannot be told apart.
    """

    def __init__(self, setup: SearchSetup, options: BeamOptions) -> None:
        self.model, self.options = setup.model, options
        self.decoder: LabelDecoder = setup.model.decoder
        self.max_length_ratio = setup.config.max_length_ratio
        self.choice: LanguageChoice = build_choice(setup)
        if self.choice.mode == "given" and self.choice.tags.languages:
            _check_tags(languages_to_try(setup), self.choice)
        self._impossible: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, speech: Tensor, lengths: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypotheses of each utterance; see :class:`asr_dro.decoding.search.Search`."""
        with self.model.autocast():
            encoder_out, frames = self.model.encode_frames(speech, lengths)
            rounds = self._rounds(encoder_out, frames, languages)
            found = [self._search(encoder_out, frames, one) for one in rounds]
        together = [[one for hypotheses in of_rounds for one in hypotheses] for of_rounds in zip(*found, strict=True)]
        return [sorted(hypotheses, key=lambda one: -one.score)[: self.options.nbest] for hypotheses in together]

    def _rounds(self, encoder_out: Tensor, frames: Tensor, spoken: Sequence[str]) -> list[Sequence[str | None]]:
        """Return the languages to search under, ``B`` each time."""
        if self.choice.mode == "recognised":
            return [[None] * len(spoken)]
        if self.choice.mode == "given":
            return [spoken]
        names = self.choice.tags.languages
        windows = self.decoder.windows(encoder_out, frames)
        firsts = torch.tensor([sum(windows.counts[:number]) for number in range(len(spoken))], device=frames.device)
        start = torch.full((len(firsts),), self.decoder.start, device=frames.device)
        scores = self.decoder.begin(windows.frames[firsts], windows.lengths[firsts]).step(start)  # (B, V)
        tags = torch.tensor(list(self.choice.tags.indices.values()), device=frames.device)
        best = scores[:, tags].topk(min(int(self.choice.mode), len(names)), dim=1).indices
        return [[names[language] for language in column] for column in best.T.tolist()]

    def _search(self, encoder_out: Tensor, frames: Tensor, languages: Sequence[str | None]) -> list[list[Found]]:
        """Search once, each utterance under its language; None: under any."""
        windows = self.decoder.windows(encoder_out, frames)
        counts = enumerate(windows.counts)
        under = [language for (number, count) in counts for language in [languages[number]] * count]
        ended = iter(search_labels(self.decoder, self._heard(windows, under), self.options, blank=self.model.blank_id))
        return [
            [
                Found(self.decoder.join([part.labels for part in parts]), score, language=language)
                for score, parts in _best_together([next(ended) for _ in range(count)], self.options.nbest)
            ]
            for count, language in zip(windows.counts, languages, strict=True)
        ]

    def _heard(self, windows: Windows, languages: Sequence[str | None]) -> Heard:
        """Return what is searched in, window by window."""
        # Besides the marks that it must begin with, a hypothesis has so many labels for each frame.
        marks = len(self.decoder.forbidden)
        limits = (marks + self.max_length_ratio * windows.lengths).long().clamp(max=self.decoder.most_labels)
        log_probs = None
        if self.options.ctc_weight:
            log_probs = self.model.ctc.ctc_lo(windows.frames).float().log_softmax(dim=-1)
        device, indices = windows.frames.device, self.choice.tags.indices
        first = None
        if indices and languages[0] is not None:
            first = torch.tensor([indices[str(language)] for language in languages], device=device)
        impossible = None
        if self.choice.allowed and languages[0] is not None:
            impossible = torch.stack([self._impossible_under(str(language)) for language in languages]).to(device)
        return Heard(windows.frames, windows.lengths, limits.tolist(), first, impossible, log_probs)

    def _impossible_under(self, language: str) -> Tensor:
        """Return which tokens the training transcripts of a language do not hold, (V,)."""
        if language not in self._impossible:
            mask = torch.ones(len(self.choice.tags.tokens), dtype=torch.bool)
            mask[[*self.choice.allowed[language], self.decoder.end]] = False
            self._impossible[language] = mask
        return self._impossible[language]


def _check_tags(languages: Sequence[str], choice: LanguageChoice) -> None:
    """Refuse languages whose tag a decoder that begins with one cannot write."""
    lacking = [language for language in languages if language not in choice.tags.indices]
    if lacking:
        raise UserError(
            f"languages: given, but the model has no tag of {first_of(lacking)}, with which its "
            "decoder would have to begin; use languages: recognised"
        )


def _best_together(parts: Sequence[Sequence[Ended]], nbest: int) -> list[tuple[float, list[Any]]]:
    """Return the best ways to put hypotheses of an utterance's windows together, best first."""
    best: list[tuple[float, list[Any]]] = [(0.0, [])]
    for hypotheses in parts:
        longer = [(score + one.score, [*chosen, one]) for score, chosen in best for one in hypotheses]
        best = heapq.nlargest(nbest, longer, key=lambda one: one[0])
    return best
