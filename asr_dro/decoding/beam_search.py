"""CTC prefix beam search of batches, with language models and word lists, under one language or several.

Shapes: ``B`` utterances, ``N`` samples, ``T`` encoder frames, ``V`` tokens.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.data.tokens import SOS_EOS, decode
from asr_dro.decoding.config import LANGUAGE_IN_PATH, DecodeConfig
from asr_dro.decoding.ctc_search import CtcSearch
from asr_dro.decoding.frame_times import Token
from asr_dro.decoding.languages import TagFolding, languages_to_try
from asr_dro.decoding.ngrams import check_token_model, check_word_model, load_kenlm, read_unigrams
from asr_dro.decoding.prefix_search import Alphabet, Hypothesis, PrefixSearch
from asr_dro.decoding.search import Found, Search, SearchSetup
from asr_dro.decoding.word_lists import checked_words, spellable_words
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)


def build(setup: SearchSetup) -> Search:
    """Build the search.

    Raises:
        UserError: If the model has no CTC, or a language model or a word list is missing or wrong; all of them at once.
    """
    return BeamSearch(setup)


class BeamSearch(CtcSearch):
    """Prefix beam search.

    Args:
        setup: What it is built from.
    """

    def __init__(self, setup: SearchSetup) -> None:
        super().__init__(setup)
        self.config = setup.config
        self.alphabet = Alphabet(tuple(setup.model.token_list), int(setup.model.blank_id))
        self.files = SearchFiles(self.config, self.alphabet)
        self.files.check(languages_to_try(setup) if self.config.is_by_language else [None])
        conditioned = self.config.languages != "recognised" or self.config.lm or self.config.word_list
        given = self.config.languages == "given"
        self.by_language = bool(conditioned and (self.choice.tags.languages or given))
        self.never = [index for index, token in enumerate(self.alphabet.tokens) if token == SOS_EOS]

    def search(self, log_probs: Tensor, frames: Tensor, languages: Sequence[str]) -> list[list[Found]]:
        """Return the hypotheses of each utterance, best first, at most ``nbest``, with different texts."""
        counts = frames.tolist()
        if not self.by_language:
            rows = log_probs.cpu().numpy()
            free = self.files.search_of(None)
            return [
                self._distinct([Found.of(one.tokens, one.score) for one in free(row[:count], most=self._most)])
                for row, count in zip(rows, counts, strict=True)
            ]
        found: list[list[Found]] = [[] for _ in counts]
        rounds = self.choice.candidates(log_probs, frames, languages)
        folding = TagFolding(self.choice, log_probs)
        for tried in rounds:
            rows = folding.under(tried).cpu().numpy()
            for place, (language, count) in enumerate(zip(tried, counts, strict=True)):
                search = self.files.search_of(language)
                for one in search(rows[place, :count], most=self._most):
                    found[place].append(self._under(language, one, folding.tags[place, :count]))
        return [self._distinct(sorted(hypotheses, key=lambda one: -one.score)) for hypotheses in found]

    def log_probs(self, logits: Tensor) -> Tensor:
        """Return log-probabilities that the library can search in: a NaN would send it out of bounds."""
        log_probs = logits.log_softmax(dim=-1)
        broken = ~log_probs.amax(dim=-1).isfinite()
        if bool(broken.any()):
            logger.warning("the network's output is not finite in %d frames; they count as blank", int(broken.sum()))
            log_probs[broken] = -math.inf
            log_probs[..., self.alphabet.blank][broken] = 0.0
        log_probs[:, :, self.never] = -math.inf
        return log_probs

    @property
    def _most(self) -> int:
        """Hypotheses to ask for: some may have the same text, with a doubled space or in other pieces."""
        return 1 if self.config.nbest == 1 else self.config.beam_size

    def _under(self, language: str | None, one: Hypothesis, tags: NDArray[np.float32]) -> Found:
        """Return a hypothesis found under a language, its tag where it is likeliest."""
        index = self.choice.tags.indices.get(language or "")
        if index is not None and len(tags):
            column = tags[:, self.choice.tags.places[language]]
            frame = int(column.argmax())
            tag = Token(index, frame, frame + 1, float(np.exp(column[frame])))
            one = one._replace(tokens=[tag, *one.tokens])
        told = self.config.languages != "recognised" and self.choice.tags.languages
        return Found.of(one.tokens, one.score, language if told else None)

    def _distinct(self, hypotheses: list[Found]) -> list[Found]:
        """Keep the best of those with the same language and text, and of them the ``nbest``."""
        if self.config.nbest == 1:
            return hypotheses[:1]
        kept: dict[tuple[str | None, str | None, str], Found] = {}
        for one in hypotheses:
            kept.setdefault((one.language, *decode(one.tokens, self.alphabet.tokens)), one)
        return list(kept.values())[: self.config.nbest]


class _Files(NamedTuple):
    """Files of a search; None where there is none."""

    lm: Path | None
    word_list: Path | None


class SearchFiles:
    """Language models and word lists, one for all languages or one for each, and the searches with them.

    Args:
        config: Names them; ``{language}`` in a path stands for the language.
        alphabet: The model's vocabulary.
    """

    def __init__(self, config: DecodeConfig, alphabet: Alphabet) -> None:
        self.config = config
        self.alphabet = alphabet
        self._searches: dict[_Files, PrefixSearch] = {}
        self._by_language: dict[str | None, PrefixSearch] = {}

    def check(self, languages: Sequence[str | None]) -> None:
        """Read all files, and load them if they are the same for all languages; others are loaded when needed.

        Raises:
            UserError: With the problems of all of them.
        """
        needed = dict.fromkeys(self._files_of(language) for language in languages)
        problems = []
        for files in needed:
            try:
                self._check(files)
                if len(needed) == 1:
                    self._searches[files] = self._build(files)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))

    def search_of(self, language: str | None) -> PrefixSearch:
        """Return the search under a language; None: under none in particular."""
        if language not in self._by_language:
            files = self._files_of(language)
            if files not in self._searches:
                self._searches[files] = self._build(files)
            self._by_language[language] = self._searches[files]
        return self._by_language[language]

    def _files_of(self, language: str | None) -> _Files:
        names = [name.replace(LANGUAGE_IN_PATH, language or "") for name in (self.config.lm, self.config.word_list)]
        return _Files(*(Path(name) if name else None for name in names))

    def _check(self, files: _Files) -> None:
        words = checked_words(files.word_list, self.alphabet.tokens) if files.word_list else None
        if files.lm is None:
            return
        unigrams = read_unigrams(files.lm)
        if unigrams is None:
            logger.warning("%s does not hold its words: whether it goes with the model cannot be told", files.lm)
        if words is None:
            check_token_model(files.lm, unigrams, self.alphabet.tokens)
        else:
            check_word_model(files.lm, unigrams, words)

    def _build(self, files: _Files) -> PrefixSearch:
        words = spellable_words(files.word_list, self.alphabet.tokens) if files.word_list else []
        lm = load_kenlm(files.lm, words or self.alphabet.tokens) if files.lm else None
        return PrefixSearch(self.alphabet, self.config, lm=lm, words=words)
