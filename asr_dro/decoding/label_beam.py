"""Beam search over labels: with a decoder, or with decoder and CTC together (Watanabe et al. 2017), in batches.

It finds what ESPnet's ``BatchBeamSearch`` finds, with these differences: utterances go through the decoder together,
what a decoder may not write is never followed, and it ends as soon as nothing that still runs can become better than
the best hypotheses found.

Shapes: ``B`` utterances, ``W`` hypotheses of each, ``R = B * W`` rows, ``T`` encoder frames, ``H`` hidden units,
``V`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from asr_dro.decoders.steps import LabelDecoder
from asr_dro.decoding.ctc_prefixes import CtcPrefixes

_FEWEST_CANDIDATES = 10  # tokens that CTC scores of each hypothesis
_CANDIDATES = 1.5  # of them for each hypothesis of the beam, as in ESPnet


class Ended(NamedTuple):
    """A hypothesis that has come to its end.

    Attributes:
        score: Its score; that of the end included, unless it is as long as allowed.
        labels: Its labels, without the end.
    """

    score: float
    labels: list[int]


@dataclass(frozen=True)
class BeamOptions:
    """How wide is searched, and what counts.

    Attributes:
        beam_size: Hypotheses followed at a time.
        nbest: Hypotheses to find.
        length_penalty: Added for each label, the end included.
        ctc_weight: Share of CTC in the score; 0: the decoder alone.
    """

    beam_size: int
    nbest: int = 1
    length_penalty: float = 0.0
    ctc_weight: float = 0.0


@dataclass(frozen=True)
class Heard:
    """What is searched in.

    Attributes:
        frames: Encoder output, (B, T, H).
        lengths: Its frames, (B,).
        limits: Most labels of each utterance, ``B``; CTC allows no more than frames, whatever they are.
        first: The first label of each utterance, (B,); None: the search is free.
        impossible: Tokens that an utterance may not have after its first label, (B, V); None: all that the decoder can
            write.
        ctc: CTC's log-probabilities, (B, T, V); None where it has no share.
    """

    frames: Tensor
    lengths: Tensor
    limits: Sequence[int]
    first: Tensor | None = None
    impossible: Tensor | None = None
    ctc: Tensor | None = None


def search_labels(decoder: LabelDecoder, heard: Heard, options: BeamOptions, *, blank: int = 0) -> list[list[Ended]]:
    """Return the best hypotheses of each utterance, best first.

    Args:
        decoder: The decoder, in eval mode.
        heard: What is searched in.
        options: How.
        blank: Index of CTC's blank.
    """
    beam = _Beam(decoder, heard, options, blank)
    while beam.running:
        rows, tokens = beam.extend()
        beam.collect()
        beam.go_on(rows, tokens)
    return beam.ended


class _Beam:
    """Hypotheses of a batch: all have as many labels, and each utterance as many hypotheses."""

    def __init__(self, decoder: LabelDecoder, heard: Heard, options: BeamOptions, blank: int) -> None:
        device, count = heard.frames.device, len(heard.limits)
        self.decoder, self.heard, self.options = decoder, heard, options
        self.steps = decoder.begin(heard.frames, heard.lengths)
        self.ctc = None
        if heard.ctc is not None:
            self.ctc = CtcPrefixes(heard.ctc, heard.lengths, blank=blank, end=decoder.end)
        self.batch = torch.arange(count, device=device)  # numbers of the utterances in the batch, (B,)
        self.running = set(range(count))  # those of them that have not ended
        self.ended: list[list[Ended]] = [[] for _ in range(count)]
        # Sums of hundreds of numbers: in double precision, so that a step's order is that of its scores.
        self.scores = torch.zeros(count, 1, dtype=torch.double, device=device)  # (B, W)
        self.written = torch.zeros(count, 1, 0, dtype=torch.long, device=device)  # (B, W, labels)
        self.place = 0

    def extend(self) -> tuple[Tensor, Tensor]:
        """Append a label to the best hypotheses; return which those are, (B, W) numbers of rows, and the labels."""
        batch, width = self.scores.shape
        scores = self._scores(batch, width)
        totals = (self.scores.view(-1, 1) + scores + self.options.length_penalty).view(batch, -1)  # (B, W * V)
        best = totals.topk(min(self.options.beam_size, totals.size(1)), dim=1)
        tokens = best.indices % scores.size(1)
        rows = best.indices // scores.size(1) + width * torch.arange(batch, device=tokens.device)[:, None]
        self.written = torch.cat([self.written.flatten(0, 1)[rows], tokens[..., None]], dim=2)
        self.scores = best.values
        self.place += 1
        return rows, tokens

    def _scores(self, batch: int, width: int) -> Tensor:
        """Return scores of all tokens after each hypothesis, (R, V); minus infinity for what is not allowed."""
        so_far = self.written.flatten(0, 1)
        tokens = so_far[:, -1] if self.place else torch.full((batch,), self.decoder.start, device=so_far.device)
        forbidden = self.decoder.forbidden[min(self.place, len(self.decoder.forbidden) - 1)].expand(batch, -1)
        if self.place == 0 and self.heard.first is not None:
            forbidden = torch.ones_like(forbidden).scatter(1, self.heard.first[:, None], False)
        elif self.heard.impossible is not None:
            forbidden = forbidden | self.heard.impossible[self.batch]
        scores = self.steps.step(tokens).masked_fill(forbidden.repeat_interleave(width, dim=0), -torch.inf)
        if self.ctc is None:
            return scores
        count = max(_FEWEST_CANDIDATES, int(_CANDIDATES * self.options.beam_size))
        candidates = scores.topk(min(count, scores.size(1)), dim=1).indices
        share = self.options.ctc_weight
        return (1 - share) * scores + share * self.ctc.step(tokens, candidates)

    def collect(self) -> None:
        """Put hypotheses that have ended aside, and find out which utterances are done."""
        scores = self.scores.tolist()
        for number, (utterance, labels) in enumerate(zip(self.batch.tolist(), self.written.tolist(), strict=True)):
            limit = self.heard.limits[utterance]
            if utterance in self.running:
                self._collect(self.ended[utterance], scores[number], labels, at_limit=self.place >= limit)
                if self._is_over(self.ended[utterance], max(scores[number]), limit - self.place):
                    self.running.remove(utterance)
        self.scores = torch.tensor(scores, dtype=torch.double, device=self.scores.device)

    def _collect(self, found: list[Ended], scores: list[float], labels: list[list[int]], *, at_limit: bool) -> None:
        """Move an utterance's hypotheses that have ended to ``found``; their running scores become minus infinity."""
        for place, (score, written) in enumerate(zip(scores, labels, strict=True)):
            is_end = written[-1] == self.decoder.end
            if is_end or at_limit:
                scores[place] = -torch.inf
                if score > -torch.inf:
                    found.append(Ended(score, written[:-1] if is_end else written))
        found.sort(key=lambda one: -one.score)
        del found[self.options.nbest :]

    def _is_over(self, found: Sequence[Ended], best: float, left: int) -> bool:
        """Tell whether no running hypothesis can come among the best: probabilities only fall."""
        if best == -torch.inf:
            return True
        bonus = max(0.0, self.options.length_penalty) * left
        return len(found) == self.options.nbest and found[-1].score >= best + bonus

    def go_on(self, rows: Tensor, tokens: Tensor) -> None:
        """Let the decoder follow the hypotheses that are left; utterances that are done leave once they are many."""
        if not self.running:
            return
        kept = None
        if 2 * len(self.running) <= len(self.batch):  # a copy of the caches pays for itself only now and then
            numbers = [number for number, one in enumerate(self.batch.tolist()) if one in self.running]
            kept = torch.tensor(numbers, device=rows.device)
            self.batch, self.scores, self.written = self.batch[kept], self.scores[kept], self.written[kept]
            rows, tokens = rows[kept], tokens[kept]
        self.steps.select(rows.flatten(), kept)
        if self.ctc is not None:
            self.ctc.select(rows.flatten(), tokens.flatten(), kept)
