"""CTC prefix beam search (Graves et al. 2006; Hannun et al. 2014), which flashlight-text does, on one utterance.

A hypothesis's score is the sum over all paths through the frames that give its labels, as far as the beam follows them,
plus what language model and word score add. Shapes: ``T`` encoder frames, ``V`` tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from flashlight.lib.text import decoder as flashlight
from numpy.typing import NDArray

from asr_dro.data.pieces import WORD_START
from asr_dro.data.tokens import SPACE
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.frame_times import BestPath, Token, tokens_of
from asr_dro.decoding.word_lists import WordTree, is_text_token

_UNFINISHED = -1e6  # what ending within a word costs: more than any utterance, and finite, so that sums stay numbers


class Hypothesis(NamedTuple):
    """What was found.

    Attributes:
        tokens: Its tokens with frames and confidences, of the likeliest way there.
        score: Natural logarithm of its probability, plus what was added.
    """

    tokens: list[Token]
    score: float


@dataclass(frozen=True)
class Alphabet:
    """What a search needs to know of a vocabulary.

    Attributes:
        tokens: The vocabulary, ``V``.
        blank: Index of the blank.
    """

    tokens: Sequence[str]
    blank: int = 0

    @property
    def has_pieces(self) -> bool:
        """Whether words are cut into pieces; otherwise into characters with a token for the space."""
        return self.tokens[2] != SPACE

    def begins_word(self, label: int) -> bool:
        """Tell whether a new word begins with or after a token."""
        return (WORD_START in self.tokens[label]) if self.has_pieces else self.tokens[label] == SPACE


class PrefixSearch:
    """A search that flashlight-text does, as far as it can.

    Args:
        alphabet: The vocabulary.
        config: Widths and weights.
        lm: KenLM over tokens, or over ``words`` if there are any; None: no language model.
        words: The only words that may be written; empty: any.

    Attributes:
        decoder: The library's.
    """

    def __init__(self, alphabet: Alphabet, config: DecodeConfig, *, lm: Any = None, words: Sequence[str] = ()) -> None:
        self.alphabet = alphabet
        self._lm = lm  # flashlight's decoder does not keep it alive
        self._last_frame: NDArray[np.float32] | None = None
        self._limited = bool(words)
        self._crowd = 0
        if not words:
            self.decoder = _free_decoder(alphabet, config, lm or flashlight.ZeroLM(), config.lm_weight if lm else 0.0)
        elif alphabet.has_pieces:
            self._lm = _WordsOfPieces(alphabet, config, lm, words)
            self._crowd = config.tokens_per_frame + 1  # with the blank, see _with_blank
            self.decoder = _free_decoder(alphabet, replace(config, tokens_per_frame=self._crowd), self._lm, 1.0)
        else:
            self.decoder = _word_decoder(alphabet, config, lm or flashlight.ZeroLM(), words, has_lm=lm is not None)
            # Words are spelt with the space after them; this frame lets the last one have it too.
            self._last_frame = np.full((1, len(alphabet.tokens)), _UNFINISHED, dtype=np.float32)
            self._last_frame[0, alphabet.tokens.index(SPACE)] = 0.0

    def __call__(self, log_probs: NDArray[np.float32], *, most: int = 1) -> list[Hypothesis]:
        """Search.

        Args:
            log_probs: Natural logarithms, (T, V), contiguous; minus infinity is impossible.
            most: Hypotheses to return, best first. They differ in their tokens.

        Returns:
            At least one.
        """
        frames, size = log_probs.shape
        if not frames:
            return [Hypothesis([], 0.0)]
        assert log_probs.dtype == np.float32 and log_probs.flags.c_contiguous and size == len(self.alphabet.tokens)
        decoder = self.decoder
        log_probs = self._with_blank(log_probs) if self._crowd else log_probs
        if self._last_frame is None:
            results = decoder.decode(log_probs.ctypes.data, frames, size)
        else:
            decoder.decode_begin()
            decoder.decode_step(log_probs.ctypes.data, frames, size)
            decoder.decode_step(self._last_frame.ctypes.data, 1, size)
            decoder.decode_end()
            results = decoder.get_all_final_hypothesis()
        return [self._hypothesis(result, log_probs) for result in results[:most]]

    def _hypothesis(self, result: Any, log_probs: NDArray[np.float32]) -> Hypothesis:
        """Return the tokens of a result, whose path has an element before the first frame and others after the last."""
        frames = len(log_probs)
        path = np.array(result.tokens[1 : frames + 1], dtype=np.int32)
        posteriors = np.exp(log_probs[np.arange(frames), path])
        tokens, score = tokens_of(BestPath(path, posteriors), self.alphabet.blank), float(result.score)
        if self._limited and score < _UNFINISHED / 2:  # the beam holds no hypothesis that ends with a word's end
            return Hypothesis(self._without_last_word(tokens), score - _UNFINISHED)
        return Hypothesis(tokens, score)

    def _with_blank(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Let the blank be among the best of every frame: where no word goes on with any of them, it is the way out."""
        blanks = log_probs[:, self.alphabet.blank]
        crowded = np.flatnonzero((log_probs >= blanks[:, None]).sum(axis=1) > self._crowd)  # itself counted
        if not len(crowded):
            return log_probs
        kept = log_probs.copy()
        for frame in crowded:
            others = np.argpartition(log_probs[frame], 1 - self._crowd)[: 1 - self._crowd]
            kept[frame, others] = -np.inf
        kept[:, self.alphabet.blank] = blanks
        return kept

    def _without_last_word(self, tokens: list[Token]) -> list[Token]:
        """Cut off a word that has only begun."""
        begins = (place for place in reversed(range(len(tokens))) if self.alphabet.begins_word(tokens[place].label))
        return tokens[: next(begins, 0)]


def _free_decoder(alphabet: Alphabet, config: DecodeConfig, lm: Any, lm_weight: float) -> Any:
    """Return a decoder without words. Its hypotheses are sums over paths; the space is a token like any other."""
    options = flashlight.LexiconFreeDecoderOptions(
        beam_size=config.beam_size,
        beam_size_token=config.tokens_per_frame,
        beam_threshold=config.beam_threshold,
        lm_weight=lm_weight,
        sil_score=0.0,
        log_add=True,
        criterion_type=flashlight.CriterionType.CTC,
    )
    # The first argument after the model is what the library takes to come before the first frame.
    return flashlight.LexiconFreeDecoder(options, lm, alphabet.blank, alphabet.blank, [])


def _word_decoder(alphabet: Alphabet, config: DecodeConfig, lm: Any, words: Sequence[str], *, has_lm: bool) -> Any:
    """Return a decoder of words spelt in characters, each with the space after it.

    Without that space the library would lose words whose last token lasts longer than a frame, and would write a double
    last letter where there is only one.
    """
    index = {token: label for label, token in enumerate(alphabet.tokens)}
    trie = flashlight.Trie(len(alphabet.tokens), index[SPACE])
    start = lm.start(False)
    for number, word in enumerate(words):
        spelling = [*(index[character] for character in word), index[SPACE]]
        trie.insert(spelling, number, lm.score(start, number)[1] if has_lm else 0.0)
    if has_lm:
        trie.smear(flashlight.SmearingMode.MAX)
    options = flashlight.LexiconDecoderOptions(
        beam_size=config.beam_size,
        beam_size_token=config.tokens_per_frame,
        beam_threshold=config.beam_threshold,
        lm_weight=config.lm_weight if has_lm else 0.0,
        word_score=config.word_score,
        unk_score=-math.inf,
        sil_score=0.0,
        log_add=True,
        criterion_type=flashlight.CriterionType.CTC,
    )
    return flashlight.LexiconDecoder(options, trie, lm, index[SPACE], alphabet.blank, -1, [], False)


class _WordsOfPieces(flashlight.LM):  # type: ignore[misc]  # the library has no type information
    """A language model that allows the words of a list, in whatever pieces, and asks KenLM about whole words.

    The library's own decoder of words wants a token after each of them, which pieces do not have.
    """

    def __init__(self, alphabet: Alphabet, config: DecodeConfig, lm: Any, words: Sequence[str]) -> None:
        super().__init__()
        self._units = [token if is_text_token(token) else None for token in alphabet.tokens]
        self._tree = WordTree(words)
        self._lm = lm
        self._lm_weight, self._word_score = config.lm_weight, config.word_score
        self._places: dict[Any, tuple[dict[str, Any], Any]] = {}  # by state: where in the tree, and KenLM's state

    def start(self, start_with_nothing: bool) -> Any:
        """Begin an utterance."""
        state = flashlight.LMState()
        self._places = {state: (self._tree.root, self._lm.start(start_with_nothing) if self._lm else None)}
        return state

    def score(self, state: Any, token: int) -> tuple[Any, float]:
        """Return the state after a token, and what it adds; minus infinity if no word goes on so."""
        child = state.child(token)
        unit = self._units[token]
        node, known = self._places.get(state, (None, None))
        after, finished = self._tree.walk(node, unit) if node is not None and unit is not None else (None, ())
        if after is None:
            return child, -math.inf
        score, known = self._words(known, finished)
        self._places[child] = after, known
        return child, score

    def finish(self, state: Any) -> tuple[Any, float]:
        """Return what the end adds."""
        node, known = self._places.get(state, ({}, None))
        if node is not self._tree.root and "" not in node:
            return state, _UNFINISHED
        score, known = self._words(known, () if node is self._tree.root else (node[""],))
        return state, score + (self._lm_weight * self._lm.finish(known)[1] if self._lm else 0.0)

    def _words(self, known: Any, finished: Sequence[int]) -> tuple[float, Any]:
        """Return what finished words add, and KenLM's state after them."""
        score = self._word_score * len(finished)
        for word in finished if self._lm else ():
            known, added = self._lm.score(known, word)
            score += self._lm_weight * added
        return score, known
