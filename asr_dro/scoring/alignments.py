"""Alignments in the look of sclite's ``-o pralign``: reference, hypothesis and errors of each utterance.

Units are words, and characters for languages that are written without spaces. Case is left as it is: sclite shows
errors in upper case, which here would change what was said.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr_dro.data.languages import languages
from asr_dro.fileio import atomic_open
from asr_dro.scoring.sclite import align_like_sclite
from asr_dro.scoring.scores import ScoredUtterance

FILE_NAME = "alignments.pra"
_SCRIPTS_WITHOUT_SPACES = frozenset({"Hani", "Hans", "Hant", "Jpan", "Khmr", "Laoo", "Mymr", "Thai", "Tibt"})
_SPACE = "<space>"  # as ESPnet writes it in transcripts of characters


def write_alignments(path: Path, utterances: Iterable[ScoredUtterance]) -> None:
    """Write the alignment of each utterance, in their order.

    Args:
        path: The file to write.
        utterances: The scored utterances.
    """
    with atomic_open(path) as file:
        for utterance in utterances:
            file.write(format_alignment(utterance) + "\n")


def format_alignment(utterance: ScoredUtterance) -> str:
    """Lay out one utterance.

    Returns:
        Five lines: id, number of correct, substituted, deleted and inserted units, ``REF``, ``HYP``, ``Eval``.
    """
    language = utterance.source.language
    path = align_like_sclite(units(utterance.reference, language), units(utterance.hypothesis.text, language))
    marks = [_mark(left, right) for left, right in path]
    rows = [["REF: "], ["HYP: "], ["Eval:"]]
    for (left, right), mark in zip(path, marks, strict=True):
        width = max(_width(left or ""), _width(right or ""), 1)
        for row, shown in zip(rows, (left, right, mark), strict=True):
            row.append("*" * width if shown is None else shown + " " * (width - _width(shown)))
    counts = " ".join(str(marks.count(mark)) for mark in (" ", "S", "D", "I"))
    header = f"id: ({utterance.source.utt_id})\nScores: (#C #S #D #I) {counts}\n"
    return header + "".join(" ".join(row) + " \n" for row in rows)


def units(text: str, language: str) -> Sequence[str]:
    """Cut a text into words, or into characters where the language's script has no spaces between words."""
    known = languages().get(language)
    if known is not None and known.script in _SCRIPTS_WITHOUT_SPACES:
        return [_SPACE if character == " " else character for character in text]
    return text.split()


def _mark(left: str | None, right: str | None) -> str:
    if left is None:
        return "I"
    if right is None:
        return "D"
    return " " if left == right else "S"


def _width(text: str) -> int:
    """Return the columns that a terminal shows a text in."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
