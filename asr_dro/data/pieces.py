"""Pieces of words by SentencePiece (Kudo and Richardson 2018): trained on a balanced draw of sentences, and used.

Text is normalised already, so SentencePiece's own normalisation is off; so is its fallback to bytes, which would make
one character several errors. ``[`` and ``<`` stay pieces of their own: no piece looks like a tag or a mark.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from asr_dro.data.config import TokenConfig
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's sign for a space
RESERVED = frozenset({WORD_START, "\N{LOWER FIVE EIGHTHS BLOCK}"})  # SentencePiece cannot have these in text
MOST_CHARACTERS = 10_000_000  # of training text: what bounds SentencePiece's memory and time
_LONGEST_SENTENCE = 1000  # characters; SentencePiece would leave out sentences above 4192 bytes
_ALONE = "[<"

Sentence = Sequence[str]  # utterance id, text, language


class Pieces:
    """A trained model.

    Args:
        model: Content of ``spm.model``.

    Attributes:
        names: The pieces by index, without SentencePiece's ``<unk>``.
    """

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor: Any = SentencePieceProcessor(model_proto=model)
        self.names: list[str] = [
            self._processor.id_to_piece(index) for index in range(1, self._processor.get_piece_size())
        ]

    def encode(self, text: str) -> list[int | None]:
        """Cut a text with single spaces; None stands for a run of characters that no piece has."""
        for character in RESERVED:
            text = text.replace(character, "\N{REPLACEMENT CHARACTER}")
        return [index - 1 if index else None for index in self._processor.encode(text)]


def train_pieces(
    sentences: Callable[[], Iterable[Sentence]],
    characters: Mapping[str, int],
    known: Collection[str],
    config: TokenConfig,
) -> bytes:
    """Train a model; equal sentences give equal bytes.

    Args:
        sentences: Returns the training sentences anew at each call; they are never held at once.
        characters: Characters of text by language.
        known: The characters that get a piece, each of them.
        config: Type, number of pieces, temperature.

    Returns:
        Content of ``spm.model`` with exactly ``config.vocabulary_size`` pieces beside ``<unk>``.

    Raises:
        UserError: If the text has no model of that size; the message says which sizes it has.
    """
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=_draw(sentences(), draws_per_sentence(characters, config.temperature), known),
            model_writer=model,
            model_type=config.type,
            vocab_size=config.vocabulary_size + 1,  # its <unk>
            character_coverage=1.0,
            normalization_rule_name="identity",
            byte_fallback=False,
            user_defined_symbols=[character for character in _ALONE if character in known],
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=2,  # its log is C++'s, for errors alone
        )
    except RuntimeError as error:
        raise UserError(_explain(str(error), config, smallest=len(set(known) - RESERVED - {" "}) + 1)) from error
    return model.getvalue()


def _explain(message: str, config: TokenConfig, *, smallest: int) -> str:
    given = f"tokens.vocabulary_size is {config.vocabulary_size} (tokens.type {config.type})"
    if re.search(r"smaller than required_chars|too small", message):
        return (
            f"{given}; every character of the training text needs a piece, so it must be at least {smallest}. "
            "Raise it, raise tokens.min_count, or use tokens.type char"
        )
    if most := re.search(r"value <= (\d+)", message):
        return f"{given}; this training text allows {smallest} to {int(most[1]) - 1}"
    return f"{given}: SentencePiece cannot be trained: {message}"


def draws_per_sentence(characters: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Return how often each sentence of a language is drawn, so that its share is ~ (characters) ** temperature.

    Args:
        characters: Characters of text by language, all positive.
        temperature: 1 takes languages as they are, 0 all alike.

    Returns:
        Draws per sentence by language: 1 for all if temperature is 1 and the text is not too long.
    """
    total = sum(characters.values())
    weights = {language: (count / total) ** temperature for language, count in characters.items()}
    scale = min(total, MOST_CHARACTERS) / sum(weights.values())
    return {language: scale * weights[language] / count for language, count in characters.items()}


def _draw(sentences: Iterable[Sentence], draws: Mapping[str, float], known: Collection[str]) -> Iterator[str]:
    """Yield the drawn sentences, long ones in parts, and at the end each known character that was not among them."""
    counts: Counter[str] = Counter()
    unknown = _Blanks(known)
    for utt_id, text, language in sentences:
        whole, part = divmod(draws[language], 1)
        times = int(whole) + (_uniform(utt_id) < part)
        if not times:
            continue
        sentence = " ".join(text.translate(unknown).split())
        counts.update(sentence)
        for start in range(0, len(sentence), _LONGEST_SENTENCE):
            for _ in range(times):
                yield sentence[start : start + _LONGEST_SENTENCE]
    yield from sorted(set(known) - RESERVED - {" "} - set(counts))


class _Blanks(dict[int, str | int]):
    """A table for ``str.translate`` that turns every character that has no piece into a space."""

    def __init__(self, known: Collection[str]) -> None:
        super().__init__({ord(character): ord(character) for character in set(known) - RESERVED})

    def __missing__(self, code_point: int) -> str:
        return " "


def _uniform(utt_id: str) -> float:
    """Return a number in [0, 1) that depends on the id alone: neither on the order of sentences nor on a generator."""
    return int.from_bytes(hashlib.blake2b(utt_id.encode(), digest_size=8).digest(), "big") / 2**64
