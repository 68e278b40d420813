"""Reference and hypothesis side by side, with the differences marked.

Units are graphemes (a base with its combining marks), so that no accent, vowel sign or emoji is torn from its base by
a change of colour; the counts in the tables are those of code points. Marks are inline elements inside one text run,
so the letters of Arabic or Devanagari stay joined, and the browser's bidirectional algorithm sees whole lines.
"""

from __future__ import annotations

import unicodedata

from markupsafe import Markup
from rapidfuzz.distance import Levenshtein

MAX_GRAPHEMES = 400  # a longer text is cut: the first lines show what went wrong

_ZERO_WIDTH_JOINER = "\u200d"
_EXTENDING = {"\u200c", _ZERO_WIDTH_JOINER}


def graphemes(text: str) -> list[str]:
    """Split into graphemes, near enough for colouring: combining marks and joined emoji stay with their base."""
    clusters: list[str] = []
    for character in text:
        extends = unicodedata.category(character).startswith("M") or character in _EXTENDING
        if clusters and (extends or clusters[-1].endswith(_ZERO_WIDTH_JOINER)):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def align(reference: str, hypothesis: str, max_graphemes: int = MAX_GRAPHEMES) -> tuple[Markup, Markup]:
    """Mark the differences of two texts.

    Args:
        reference: What was said.
        hypothesis: What was recognised.
        max_graphemes: Longer texts are cut.

    Returns:
        Both as HTML: ``<s>`` deleted (reference only), ``<ins>`` inserted (hypothesis only), ``<mark>`` substituted.
    """
    left, right = (_cut(graphemes(text), max_graphemes) for text in (reference, hypothesis))
    left_parts, right_parts = Markup(), Markup()
    for code in Levenshtein.opcodes(left, right):
        of_left = "".join(left[code.src_start : code.src_end])
        of_right = "".join(right[code.dest_start : code.dest_end])
        left_parts += _mark(code.tag, of_left, deleted=True)
        right_parts += _mark(code.tag, of_right, deleted=False)
    return left_parts, right_parts


def _cut(clusters: list[str], most: int) -> list[str]:
    return clusters if len(clusters) <= most else [*clusters[:most], "…"]


def _mark(tag: str, text: str, *, deleted: bool) -> Markup:
    """Wrap a run; a run of nothing needs no element."""
    if not text:
        return Markup()
    if tag == "equal":
        return Markup("{}").format(text)
    if tag == "replace":
        return Markup("<mark>{}</mark>").format(text)
    return Markup("<s>{}</s>" if deleted else "<ins>{}</ins>").format(text)
