"""What a decoding configuration (``conf/decode/<name>.yaml``) holds: all keys, checked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr_dro.config import load_yaml
from asr_dro.config_values import is_count, is_number, take_fields
from asr_dro.decoding.search import MODULES
from asr_dro.errors import UserError

SEARCHES = tuple(MODULES)
LANGUAGES = ("recognised", "given")
LANGUAGE_IN_PATH = "{language}"  # in the paths of lm and word_list
_KEYS_OF = {  # keys that only some searches have
    "beam_size": ("beam", "attention", "joint"),
    "tokens_per_frame": ("beam",),
    "beam_threshold": ("beam",),
    "lm": ("beam",),
    "lm_weight": ("beam",),
    "word_score": ("beam",),
    "word_list": ("beam",),
    "ctc_weight": ("joint",),
    "length_penalty": ("attention", "joint"),
    "max_length_ratio": ("attention", "joint"),
}


@dataclass(frozen=True)
class DecodeConfig:
    """How hypotheses are searched.

    Attributes:
        search: ``greedy`` (best token of each frame, or the decoder's best token at each place), ``beam`` (CTC prefix
            beam search), ``attention`` (beam search with the decoder), ``joint`` (with decoder and CTC).
        seconds_per_batch: Audio in a batch, padding counted.
        languages: ``recognised`` (the search is free to write any language tag), ``given`` (each utterance's own
            language, from ``utt2lang``), or a number k: the text is searched under each of the k likeliest languages,
            and the best-scoring hypothesis is taken.
        language_tokens: With ``given`` or k: only tokens that the training transcripts of a language hold.
        nbest: Hypotheses of each utterance to keep; above 1, or with ``times``, in ``nbest.jsonl``.
        times: Write when each token was heard, and its confidence, to ``nbest.jsonl``.
        beam_size: Hypotheses that the search follows at a time.
        tokens_per_frame: Best tokens of a frame that the search goes on with.
        beam_threshold: Hypotheses with a score so far below the best one are dropped (natural logarithm).
        lm: File of an n-gram language model (ARPA, or KenLM's binary); empty: none. Without a word list it is over the
            model's tokens, with one over words. ``{language}`` in the path stands for the language searched under.
        lm_weight: Weight of its score beside CTC's (log base 10, as KenLM has it).
        word_score: Added for each word, where there is a word list (natural logarithm).
        word_list: File with the words that may be written, one a line; empty: any. ``{language}`` as in ``lm``.
        ctc_weight: Share of CTC in the score of ``joint``, the decoder has the rest.
        length_penalty: Added for each token.
        max_length_ratio: Most tokens for each encoder frame.
    """

    search: str
    seconds_per_batch: float = 60.0
    languages: str | int = "recognised"
    language_tokens: bool = False
    nbest: int = 1
    times: bool = False
    beam_size: int = 10
    tokens_per_frame: int = 10
    beam_threshold: float = 50.0
    lm: str = ""
    lm_weight: float = 0.5
    word_score: float = 0.0
    word_list: str = ""
    ctc_weight: float = 0.3
    length_penalty: float = 0.0
    max_length_ratio: float = 1.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], origin: str) -> DecodeConfig:
        """Build from the content of a YAML file.

        Args:
            values: Keys and values; what is missing has its default.
            origin: The file, for messages.

        Raises:
            UserError: With every mistake at once.
        """
        given, problems = take_fields(cls, values)
        config = cls(**{"search": None, **given})
        problems += _problems(config, given)
        if problems:
            raise UserError(f"{origin} has mistakes:\n  " + "\n  ".join(problems))
        return config

    @property
    def keeps_details(self) -> bool:
        """Whether more than the best text is written."""
        return self.nbest > 1 or self.times

    @property
    def is_by_language(self) -> bool:
        """Whether each language has a language model or a word list of its own."""
        return LANGUAGE_IN_PATH in self.lm + self.word_list

    def as_mapping(self) -> dict[str, Any]:
        """Return all keys and values."""
        return asdict(self)


def read_decode_config(path: Path) -> DecodeConfig:
    """Read ``conf/decode/<name>.yaml``.

    Raises:
        UserError: If the file is missing, a key is unknown or a value is not allowed.
    """
    return DecodeConfig.from_mapping(load_yaml(path), str(path))


def _is_positive(value: object) -> bool:
    return is_number(value) and value > 0


def _is_share(value: object) -> bool:
    return is_number(value) and 0 < value < 1


_VALUES: tuple[tuple[tuple[str, ...], Callable[[object], bool], str], ...] = (
    (("seconds_per_batch", "beam_threshold", "max_length_ratio"), _is_positive, "a number above 0"),
    (("nbest", "beam_size", "tokens_per_frame"), is_count, "a whole number from 1 on"),
    (("lm_weight", "word_score", "length_penalty"), is_number, "a number"),
    (("language_tokens", "times"), lambda value: isinstance(value, bool), "true or false"),
    (("lm", "word_list"), lambda value: isinstance(value, str), "the path of a file"),
    (("ctc_weight",), _is_share, "a number between 0 and 1"),
)


def _problems(config: DecodeConfig, given: Mapping[str, Any]) -> list[str]:
    """List values that are not allowed, and keys that this search does not have."""
    if config.search not in SEARCHES:
        return [f"search is {config.search!r}; allowed: {', '.join(SEARCHES)}"]
    problems = [
        f"{key} is a key of search {' or '.join(searches)}, not of {config.search}"
        for key, searches in _KEYS_OF.items()
        if key in given and config.search not in searches
    ]
    problems += [
        f"{key} must be {allowed}, not {getattr(config, key)!r}"
        for keys, is_allowed, allowed in _VALUES
        for key in keys
        if not is_allowed(getattr(config, key))
    ]
    if config.languages not in LANGUAGES and not is_count(config.languages):
        problems.append(
            f"languages is {config.languages!r}; allowed: {', '.join(LANGUAGES)}, or how many of the likeliest to try"
        )
    return problems + _contradictions(config)


def _contradictions(config: DecodeConfig) -> list[str]:
    """List values that do not go together."""
    problems = []
    for key in ("lm", "word_list"):
        if LANGUAGE_IN_PATH in str(getattr(config, key)) and config.languages == "recognised":
            problems.append(f"{key}: {LANGUAGE_IN_PATH} needs languages: given, or a number")
    if config.search == "beam" and config.word_score and not config.word_list:
        problems.append("word_score needs a word_list; without one the search does not know words")
    if config.language_tokens and config.languages == "recognised":
        problems.append("language_tokens needs languages: given, or a number")
    if config.search == "greedy" and is_count(config.nbest) and config.nbest > 1:
        problems.append(f"nbest is {config.nbest}; greedy search has one hypothesis, beam has more")
    if config.search in ("attention", "joint") and config.times:
        problems.append(f"times: a decoder does not say when it heard a token; search {config.search} has none")
    if (
        config.search == "beam"
        and is_count(config.nbest)
        and is_count(config.beam_size)
        and config.nbest > config.beam_size
    ):
        problems.append(f"nbest is {config.nbest}, more than beam_size {config.beam_size}")
    return problems
