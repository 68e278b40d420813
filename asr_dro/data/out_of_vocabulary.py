"""Characters that transcripts have and the vocabulary lacks: no training can make a recogniser write them."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr_dro.data.done import write_if_changed

logger = logging.getLogger(__name__)

FILE_NAME = "oov.tsv"
COLUMNS = ("language", "split", "characters", "out_of_vocabulary", "share", "commonest")
MUCH = 0.01  # a share that deserves a warning
_N_COMMONEST = 10
_N_WORST = 3


@dataclass
class TextCount:
    """What one language's transcripts in one split hold.

    Attributes:
        characters: All characters but white space.
        unknown: Those that are not in the vocabulary, with their numbers.
    """

    characters: int = 0
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Unknown characters per character."""
        return self.unknown.total() / self.characters if self.characters else 0.0


class OutOfVocabulary:
    """Counts by language and split.

    Args:
        known: The characters of the vocabulary; None: it has all.
    """

    def __init__(self, known: Collection[str] | None) -> None:
        self._known = None if known is None else frozenset(known)
        self.counts: dict[tuple[str, str], TextCount] = {}

    def add(self, language: str, split: str, text: str) -> None:
        """Count one transcript."""
        count = self.counts.setdefault((language, split), TextCount())
        characters = "".join(text.split())
        count.characters += len(characters)
        if self._known is not None and (unknown := set(characters) - self._known):
            count.unknown.update(character for character in characters if character in unknown)

    def write(self, path: Path) -> None:
        """Write ``oov.tsv``: a row for each language and split; ``share`` is a fraction."""
        rows = [
            (*key, str(count.characters), str(count.unknown.total()), repr(count.share), describe(count.unknown))
            for key, count in sorted(self.counts.items())
        ]
        write_if_changed(path, "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows)))

    def log(self) -> None:
        """Warn of the languages with much outside the vocabulary; without any, mention the worst."""
        ranked = sorted(((-count.share, key) for key, count in self.counts.items() if count.unknown))
        much = [key for share, key in ranked if -share > MUCH]
        if much:
            logger.warning("more than %g %% of the characters are not in tokens.txt: %s", 100 * MUCH, self._list(much))
        elif ranked:
            worst = self._list([key for _, key in ranked[:_N_WORST]])
            logger.info("characters that are not in tokens.txt: %s (all in %s)", worst, FILE_NAME)

    def _list(self, keys: Sequence[tuple[str, str]]) -> str:
        items = []
        for key in keys:
            count = self.counts[key]
            items.append(f"{' '.join(key)} {100 * count.share:.2g} % ({describe(count.unknown, _N_WORST)})")
        return "; ".join(items)


def describe(unknown: Counter[str], most: int = _N_COMMONEST) -> str:
    """List the commonest characters as ``U+0142 ł 12``: code point, character, how often; ties by code point."""
    commonest = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(
        " ".join(part for part in (f"U+{ord(character):04X}", _visible(character), str(number)) if part)
        for character, number in commonest
    )


def _visible(character: str) -> str:
    """Return what a reader can see of a character: nothing if it has no shape or turns the direction of writing."""
    if not character.isprintable():
        return ""
    return f"\N{DOTTED CIRCLE}{character}" if unicodedata.category(character)[0] == "M" else character
