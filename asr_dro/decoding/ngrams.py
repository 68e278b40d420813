"""N-gram language models: what is in the files, and KenLM (Heafield 2011) as flashlight-text brings it along."""

from __future__ import annotations

import contextlib
import gzip
import logging
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any

from asr_dro.data.tokens import SPACE
from asr_dro.decoding.word_lists import is_text_token
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

_GZIP = b"\x1f\x8b"
_BINARY = b"mmap lm http://kheafield.com/code"  # how KenLM's own files begin
_UNKNOWN = b"<unk>\0"  # the first of the words that such a file ends with
_MARKS = frozenset({"<s>", "</s>", "<unk>", "<UNK>"})
_LEAST_TOKENS = 0.5  # of a model over tokens, share of its unigrams that are the network's tokens
_LEAST_WORDS = 0.1  # of a model over words, share of the word list that it knows
_NAMED = 5


def read_unigrams(path: Path) -> set[str] | None:
    """Read which units a language model knows.

    Args:
        path: ARPA, also packed by gzip, or KenLM's binary form.

    Returns:
        Its unigrams without marks of sentences and of unknown words; None for a binary file without them.

    Raises:
        UserError: If the file cannot be read or is neither.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(len(_BINARY))
            if head == _BINARY:
                return _binary_unigrams(file)
        with gzip.open(path, "rt", encoding="utf-8") if head[:2] == _GZIP else open(path, encoding="utf-8") as text:
            return _arpa_unigrams(text, path)
    except (OSError, EOFError) as error:
        raise UserError(f"lm {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"lm {path} is not UTF-8") from None


def _arpa_unigrams(lines: IO[str], path: Path) -> set[str]:
    """Read the section of unigrams: log10 probability, unit, and perhaps a back-off weight, one on a line."""
    first = next((line for line in map(str.strip, lines) if line), "")
    if first != "\\data\\":
        raise UserError(f"lm {path} is no language model: neither ARPA, which begins with \\data\\, nor KenLM's binary")
    if not any(line.strip() == "\\1-grams:" for line in lines):
        raise UserError(f"lm {path} has no \\1-grams:")
    found = set()
    for line in lines:
        fields = line.strip(" \t\r\n").replace(" ", "\t").split("\t")
        if line.startswith("\\"):
            break
        if len(fields) > 1:
            found.add(fields[1])
    return found - _MARKS


def _binary_unigrams(file: IO[bytes]) -> set[str] | None:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.rfind(_UNKNOWN)
        if start < 0:
            return None
        return set(content[start:].decode("utf-8").split("\0")) - _MARKS - {""}


def check_token_model(path: Path, unigrams: AbstractSet[str] | None, tokens: Sequence[str]) -> None:
    """Refuse a language model that is not over a network's tokens.

    Args:
        path: Its file, for messages.
        unigrams: What it knows; None: it does not say.
        tokens: The network's vocabulary.

    Raises:
        UserError: If it is over something else, words for example.
    """
    if unigrams is None:
        return
    units = {token for token in tokens if is_text_token(token)} | ({SPACE} & set(tokens))
    strange = sorted(unigrams - units)
    if len(unigrams) - len(strange) < _LEAST_TOKENS * max(1, len(unigrams)):
        raise UserError(
            f"lm {path}: {len(strange)} of its {len(unigrams)} unigrams are none of the model's tokens "
            f"({', '.join(strange[:_NAMED])}). Without word_list a language model is over the tokens of tokens.txt, "
            "with spaces between them; one over words needs a word_list"
        )
    if SPACE in units and SPACE not in unigrams:
        raise UserError(f"lm {path} does not know {SPACE}, the token between words; count it in the training text")


def check_word_model(path: Path, unigrams: AbstractSet[str] | None, words: Sequence[str]) -> None:
    """Refuse a language model that knows hardly any word of a list.

    Args:
        path: Its file, for messages.
        unigrams: What it knows; None: it does not say.
        words: The word list.

    Raises:
        UserError: If it knows fewer than a tenth of the words.
    """
    if unigrams is None:
        return
    lacking = [word for word in words if word not in unigrams]
    if len(words) - len(lacking) < _LEAST_WORDS * len(words):
        raise UserError(
            f"lm {path} knows {len(words) - len(lacking)} of the {len(words)} words of word_list (not "
            f"{', '.join(lacking[:_NAMED])}). With word_list a language model is over words, not over tokens"
        )
    if lacking:
        logger.warning("%s: %d of %d words of word_list are unknown to it", path, len(lacking), len(words))


def load_kenlm(path: Path, units: Sequence[str]) -> Any:
    """Load a language model.

    Args:
        path: ARPA, or KenLM's binary form.
        units: What the search calls by the index: tokens or words.

    Returns:
        flashlight-text's ``KenLM``; its scores are logarithms to base 10.

    Raises:
        UserError: If KenLM cannot read the file.
    """
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    try:
        with _chatter_dropped():
            return KenLM(str(path), Dictionary(list(units)))
    except RuntimeError as error:
        said = " ".join(str(error).partition("\n")[2].split()) or str(error)
        raise UserError(f"lm {path} cannot be loaded: {said}") from None


@contextlib.contextmanager
def _chatter_dropped() -> Iterator[None]:
    """Pass over what KenLM writes to the standard error's file itself: a bar of 100 stars for each model."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as elsewhere:
            os.dup2(elsewhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
