"""Transcripts as subtitles in SubRip's format (SRT)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from asr_dro.data.pieces import WORD_START
from asr_dro.data.tokens import SPACE, decode
from asr_dro.decoding.transcripts import Segment, TimedToken, Transcript

LINE, LINES = 42, 2  # characters of a line and lines at a time, as most broadcasters have them
LONGEST_S = 7.0
PAUSE_S = 0.8  # a pause that ends a subtitle


class Subtitle(NamedTuple):
    """What is shown at a time."""

    start_s: float
    end_s: float
    lines: list[str]


class Unit(NamedTuple):
    """What is never cut: a word, or a token of a word that is too long for a line.

    Attributes:
        text: How it is written.
        start_s: When it begins.
        end_s: When it ends.
        is_word: Whether a space separates it from what is before.
    """

    text: str
    start_s: float
    end_s: float
    is_word: bool = True


def to_srt(transcript: Transcript, vocabulary: Sequence[str]) -> str:
    """Return a transcript's subtitles.

    Args:
        transcript: The transcript.
        vocabulary: Names of tokens.
    """
    found = itertools.chain.from_iterable(subtitles(segment, vocabulary) for segment in transcript.segments)
    blocks = []
    for number, (start_s, end_s, lines) in enumerate(found, start=1):
        text = "\n".join(lines)
        blocks.append(f"{number}\n{clock(start_s)} --> {clock(end_s)}\n{text}\n")
    return "\n".join(blocks)


def clock(seconds: float) -> str:
    """Write a time as SubRip does.

    >>> clock(3723.4567)
    '01:02:03,457'
    """
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def subtitles(segment: Segment, vocabulary: Sequence[str]) -> Iterator[Subtitle]:
    """Yield what can be read at a time; a segment without times of tokens is one subtitle.

    Args:
        segment: The segment.
        vocabulary: Names of tokens.
    """
    if segment.text and not segment.tokens:
        yield Subtitle(segment.start_s, segment.end_s, wrap([Unit(word, 0, 0) for word in segment.text.split()]))
        return
    shown: list[Unit] = []
    for unit in units(segment.tokens, vocabulary):
        pause_s = unit.start_s - shown[-1].end_s if shown else 0.0
        too_long = shown and unit.end_s - shown[0].start_s > LONGEST_S
        if shown and (pause_s >= PAUSE_S or too_long or len(wrap([*shown, unit])) > LINES):
            yield Subtitle(shown[0].start_s, shown[-1].end_s, wrap(shown))
            shown = []
        shown.append(unit)
    if shown:
        yield Subtitle(shown[0].start_s, shown[-1].end_s, wrap(shown))


def units(tokens: Sequence[TimedToken], vocabulary: Sequence[str]) -> Iterator[Unit]:
    """Yield words, and the single tokens of those that are longer than a line, as scripts without spaces have them.

    Args:
        tokens: Tokens of a text.
        vocabulary: Names of tokens; characters have a token between words, pieces of words a sign at their beginning.
    """
    for word in _words(tokens, vocabulary):
        text = decode([token.label for token in word], vocabulary)[1]
        if len(text) > LINE:
            for number, token in enumerate(word):
                text = decode([token.label], vocabulary)[1]
                yield Unit(text, token.start_s, token.end_s, is_word=number == 0)
        elif text:
            yield Unit(text, word[0].start_s, word[-1].end_s)


def _words(tokens: Sequence[TimedToken], vocabulary: Sequence[str]) -> Iterator[list[TimedToken]]:
    characters = vocabulary[2] == SPACE
    word: list[TimedToken] = []
    for token in tokens:
        name = vocabulary[token.label]
        if word and (name == SPACE if characters else name.startswith(WORD_START)):
            yield word
            word = []
        if name != SPACE:
            word.append(token)
    if word:
        yield word


def wrap(shown: Sequence[Unit]) -> list[str]:
    """Break a text into lines."""
    lines = [""]
    for unit in shown:
        longer = f"{lines[-1]} {unit.text}" if unit.is_word and lines[-1] else f"{lines[-1]}{unit.text}"
        if lines[-1] and len(longer) > LINE:
            lines.append(unit.text)
        else:
            lines[-1] = longer
    return lines
