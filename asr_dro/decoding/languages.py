"""Search under a language: which languages an utterance may be in, and which tokens each of them allows.

Shapes: ``B`` utterances, ``T`` encoder frames, ``V`` tokens, ``L`` languages that have a tag.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.packed_columns import read_integers, read_strings
from asr_dro.data.tokens import TOKENS, read_token_list, tag_language
from asr_dro.decoding.search import SearchSetup
from asr_dro.errors import UserError, first_of

_SMALLEST = 1e-7  # of a frame's probability to hold no tag: rounding must not make it 0


@dataclass(frozen=True)
class LanguageTags:
    """The language tags of a vocabulary.

    Attributes:
        tokens: The vocabulary.
    """

    tokens: Sequence[str]

    @cached_property
    def indices(self) -> Mapping[str, int]:
        """Index of each language's tag, languages in the vocabulary's order."""
        named = ((tag_language(token), index) for index, token in enumerate(self.tokens))
        return {language: index for language, index in named if language is not None}

    @cached_property
    def places(self) -> Mapping[str | None, int]:
        """Place of each language among those that have a tag."""
        return {language: place for place, language in enumerate(self.indices)}

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that have a tag, ``L``."""
        return tuple(self.indices)

    def log_posteriors(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        """Return how likely each language is the one that a transcript names.

        A transcript's language is that of its first tag. CTC takes frames to be independent, so a tag is the first
        one with the probability that some frame holds it and no frame before holds any; this sum is exact.

        Args:
            log_probs: Normalised log-probabilities, (B, T, V).
            lengths: Frames of each utterance, (B,).

        Returns:
            Natural logarithms, (B, L + 1); the last is that of no tag at all. Probabilities add up to 1.
        """
        indices = torch.tensor(list(self.indices.values()), device=log_probs.device, dtype=torch.long)
        tags = log_probs.index_select(2, indices).double()  # (B, T, L)
        inside = torch.arange(tags.size(1), device=tags.device) < lengths[:, None]  # (B, T)
        tags = tags.masked_fill(~inside[..., None], -math.inf)
        untagged = torch.log1p(-tags.exp().sum(dim=2).clamp(max=1 - _SMALLEST)).cumsum(dim=1)  # (B, T)
        before = torch.nn.functional.pad(untagged, (1, 0))
        first = torch.logsumexp(tags + before[:, :-1, None], dim=1)
        return torch.cat([first, before[:, -1:]], dim=1)


@dataclass(frozen=True)
class LanguageChoice:
    """Which languages each utterance is searched under, and what they allow.

    Attributes:
        tags: The model's tags.
        mode: ``given``, ``recognised``, or how many of the likeliest.
        allowed: Tokens that a language may write besides its tag and the blank, by language; empty: all.
        blank: Index of the blank.
    """

    tags: LanguageTags
    mode: str | int
    allowed: Mapping[str, Sequence[int]] = field(default_factory=dict)
    blank: int = 0

    def candidates(self, log_probs: Tensor, lengths: Tensor, spoken: Sequence[str]) -> list[list[str | None]]:
        """Return the languages to search under, likeliest first.

        Args:
            log_probs: Normalised log-probabilities, (B, T, V).
            lengths: Frames of each utterance, (B,).
            spoken: The utterances' own languages, ``B``.

        Returns:
            As many rounds as languages are tried, each with a language for every utterance. ``recognised`` has one
            round, of the likeliest languages; there, None says that no tag is likelier than any.
        """
        if self.mode == "given":
            return [list(spoken)]
        posteriors = self.tags.log_posteriors(log_probs, lengths)
        names: list[str | None] = [*self.tags.languages, None]
        if self.mode == "recognised":
            return [[names[index] for index in posteriors.argmax(dim=1).tolist()]]
        count = min(int(self.mode), len(self.tags.languages))
        best = posteriors[:, :-1].topk(count, dim=1).indices.tolist()
        return [[names[row[rank]] for row in best] for rank in range(count)]

    def conditioned(self, log_probs: Tensor, languages: Sequence[str | None]) -> Tensor:
        """Return log-probabilities in which everything that a language does not allow is impossible.

        They are not normalised again, so hypotheses under different languages compare: what is left is the probability
        that an utterance is in the language and has the text.

        Args:
            log_probs: Normalised log-probabilities, (B, T, V).
            languages: The language of each utterance; None allows no tag, and every other token.
        """
        indices = self.tags.indices
        found = log_probs.clone()
        for row, language in enumerate(languages):
            others = [index for name, index in indices.items() if name != language]
            found[row, :, others] = -math.inf
        return self.limited(found, languages)

    def limited(self, log_probs: Tensor, languages: Sequence[str | None]) -> Tensor:
        """Return log-probabilities in which each utterance has the tokens of its language alone, tags as they are."""
        if not self.allowed:
            return log_probs
        masks = torch.stack([self._not_allowed(language) for language in languages]).to(log_probs.device)
        return log_probs.masked_fill(masks[:, None, :], -math.inf)

    def _not_allowed(self, language: str | None) -> Tensor:
        """Return which tokens a language does not have, (V,)."""
        mask = torch.zeros(len(self.tags.tokens), dtype=torch.bool)
        if language is not None and language in self.allowed:
            mask[:] = True
            mask[[self.blank, *self.tags.indices.values(), *self.allowed[language]]] = False
        return mask


class TagFolding:
    """Log-probabilities of the text alone, under one language after another.

    Other tags are impossible and the language's own is added to the blank: it is wherever the network wants it, or
    nowhere. So the search sees text only, as language models and word lists do, and a text's probability is the sum
    over all places of the tag. As with :meth:`LanguageChoice.conditioned`, nothing is normalised again.

    Args:
        choice: Languages and their tokens.
        log_probs: Normalised log-probabilities, (B, T, V); they are written over, for copies of them cost time.
    """

    def __init__(self, choice: LanguageChoice, log_probs: Tensor) -> None:
        self._choice = choice
        self._log_probs = log_probs
        self._blanks = log_probs[:, :, choice.blank].clone()  # (B, T)
        self._columns = torch.tensor(list(choice.tags.indices.values()), dtype=torch.long, device=log_probs.device)
        self._tags = log_probs.index_select(2, self._columns)  # (B, T, L)
        self.tags: NDArray[np.float32] = self._tags.cpu().numpy()

    def under(self, languages: Sequence[str | None]) -> Tensor:
        """Return (B, T, V), good until the next call.

        Args:
            languages: The language of each utterance; None allows no tag, and every other token.
        """
        choice, found = self._choice, self._log_probs
        found.index_fill_(2, self._columns, -math.inf)
        found[:, :, choice.blank] = self._blanks
        places = choice.tags.places
        for row, language in enumerate(languages):
            if language in places:
                tag = self._tags[row, :, places[language]]
                found[row, :, choice.blank] = torch.logaddexp(self._blanks[row], tag)
        return choice.limited(found, languages)


def build_choice(setup: SearchSetup) -> LanguageChoice:
    """Build what a CTC search needs for ``languages`` and ``language_tokens``.

    Raises:
        UserError: If the model names no languages and they are to be recognised, or the training transcripts are not
            those of the model's vocabulary.
    """
    tokens = tuple(setup.model.token_list)
    mode = setup.config.languages
    tags = LanguageTags(tokens)
    if not tags.languages and mode not in ("given", "recognised"):
        raise UserError(
            f"languages: {mode} takes the likeliest by the model's language tags, and this model has none (task: asr); "
            "use languages: given or recognised"
        )
    allowed = read_language_tokens(setup.data_set, tokens) if setup.config.language_tokens else {}
    if setup.config.language_tokens:
        _check_all_have_tokens(languages_to_try(setup), allowed, setup.data_set)
    return LanguageChoice(tags, mode, allowed, int(setup.model.blank_id))


def languages_to_try(setup: SearchSetup) -> list[str]:
    """Return every language that may be searched under, sorted: those of dev and test, or those with a tag."""
    if setup.config.languages != "given":
        return sorted(LanguageTags(setup.model.token_list).languages)
    paths = [setup.data_set / split / "utt2lang" for split in ("dev", "test")]
    return sorted({language for path in paths if path.exists() for language in read_two_columns(path).values()})


def read_language_tokens(data_set: Path, tokens: Sequence[str]) -> dict[str, list[int]]:
    """Read which tokens the training transcripts of each language hold.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        tokens: The model's vocabulary.

    Returns:
        Sorted indices by language, tags included.

    Raises:
        UserError: If the set has another vocabulary than the model, or its files do not belong together.
    """
    if list(tokens) != read_token_list(data_set / TOKENS):
        raise UserError(
            f"language_tokens: {data_set / TOKENS} is not the model's vocabulary, so the set does not say which of "
            "its tokens a language has; decode with the set that the model was trained on"
        )
    utt_ids, languages = read_strings(data_set / "train" / "utt2lang")
    others, labels = read_integers(data_set / "train" / "token_ids")
    if not utt_ids.same_as(others):
        raise UserError(f"{data_set}/train: utt2lang and token_ids differ in their utterances; run stage 3 again")
    seen: dict[str, NDArray[np.bool_]] = {}
    for position, language in enumerate(languages):
        found = seen.setdefault(language, np.zeros(len(tokens), dtype=bool))
        found[labels[position]] = True
    return {language: np.flatnonzero(found).tolist() for language, found in seen.items()}


def _check_all_have_tokens(languages: Iterable[str], allowed: Mapping[str, object], data_set: Path) -> None:
    lacking = [language for language in languages if language not in allowed]
    if lacking:
        raise UserError(
            f"language_tokens: {data_set / 'train'} has no transcript in {first_of(lacking)}; "
            "set language_tokens: false, or decode languages that were trained"
        )
