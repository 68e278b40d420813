"""Lists of the words that may be written: read, checked, and spelt in a model's tokens."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from asr_dro.data.pieces import WORD_START
from asr_dro.data.tokens import BLANK, SOS_EOS, SPACE, UNKNOWN, tag_language
from asr_dro.errors import UserError, first_of

logger = logging.getLogger(__name__)

_MARKS = (BLANK, UNKNOWN, SOS_EOS, SPACE)


def read_words(path: Path) -> list[str]:
    """Read a word list.

    Args:
        path: A file with a word on each line, UTF-8; empty lines count for nothing.

    Returns:
        Different words in Unicode NFC, as the text of prepared sets is, in the file's order.

    Raises:
        UserError: If the file cannot be read, has no word, or has lines that are not one word each.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"word_list {path} cannot be read: {error.strerror}") from None
    words: dict[str, None] = {}
    problems = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            fields = line.decode("utf-8").split()
        except UnicodeDecodeError:
            problems.append(f"line {number} is not UTF-8")
            continue
        if len(fields) > 1:
            problems.append(f"line {number} has {len(fields)} words")
        elif fields:
            words[unicodedata.normalize("NFC", fields[0])] = None
    if problems:
        raise UserError(f"word_list {path} must have one word on a line: {first_of(problems)}")
    if not words:
        raise UserError(f"word_list {path} has no word")
    return list(words)


def spellable_words(path: Path, tokens: Sequence[str]) -> list[str]:
    """Read a word list without the words that a model cannot write.

    Raises:
        UserError: If there are problems with the file, or no word is left.
    """
    words = read_words(path)
    kept = list(filter(speller(tokens), words))
    if not kept:
        raise UserError(
            f"word_list {path}: none of the {len(words)} words can be spelt in the model's tokens, e.g. "
            f"{first_of(words)}; words are written as in the text of the prepared set"
        )
    return kept


def checked_words(path: Path, tokens: Sequence[str]) -> list[str]:
    """Do what :func:`spellable_words` does, and warn of the words that are lost."""
    words, kept = read_words(path), spellable_words(path, tokens)
    lost = sorted(set(words) - set(kept))
    if lost:
        message = "%s: %d of %d words cannot be spelt in the model's tokens and are never written: %s"
        logger.warning(message, path, len(lost), len(words), first_of(lost))
    return kept


def speller(tokens: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a word can be written in a vocabulary of characters or pieces."""
    units = {token for token in tokens if is_text_token(token)}
    if tokens[2] == SPACE:
        return units.issuperset
    longest = max(map(len, units), default=0)

    def can_spell(word: str) -> bool:
        marked = WORD_START + word
        reached = [True] + [False] * len(marked)
        for stop in range(1, len(marked) + 1):
            starts = range(max(0, stop - longest), stop)
            reached[stop] = any(reached[start] and marked[start:stop] in units for start in starts)
        return reached[-1] and WORD_START not in word

    return can_spell


def is_text_token(token: str) -> bool:
    """Tell whether a token is part of words: no mark, no tag, not the space between words."""
    return token not in _MARKS and tag_language(token) is None


class WordTree:
    """Words as a tree of characters, walked piece by piece.

    A node is a dictionary from a character to the next node; under the empty string it has the number of its word.

    Args:
        words: The words.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.root: dict[str, Any] = {}
        for number, word in enumerate(words):
            node = self.root
            for character in word:
                node = node.setdefault(character, {})
            node[""] = number
        self._walks: dict[tuple[int, str], tuple[dict[str, Any] | None, tuple[int, ...]]] = {}

    def walk(self, node: dict[str, Any], piece: str) -> tuple[dict[str, Any] | None, tuple[int, ...]]:
        """Write a piece.

        Args:
            node: Where the last word has come to.
            piece: Characters; U+2581 is a space.

        Returns:
            Where the last word is now, None if no word begins so, and the numbers of words that were finished.
        """
        key = (id(node), piece)  # nodes live as long as the tree
        found = self._walks.get(key)
        if found is None:
            found = self._walks[key] = self._walk(node, piece)
        return found

    def _walk(self, node: dict[str, Any], piece: str) -> tuple[dict[str, Any] | None, tuple[int, ...]]:
        finished = []
        for character in piece:
            if character != WORD_START:
                if character not in node:
                    return None, ()
                node = node[character]
            elif node is not self.root:
                if "" not in node:
                    return None, ()
                finished.append(node[""])
                node = self.root
        return node, tuple(finished)
