"""What is recognised in a recording: segments between pauses, with times and confidences, as text and as JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from asr_dro.data.tokens import BLANK, SOS_EOS, decode, tag_language
from asr_dro.scoring.hypotheses import format_hypothesis


@dataclass(frozen=True)
class TimedToken:
    """A token and when it was heard.

    Attributes:
        label: Index in the vocabulary.
        start_s: Where it begins, in seconds from the beginning of the recording.
        end_s: Where it ends.
        confidence: Mean posterior over its frames, from 0 to 1.
    """

    label: int
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """What was recognised between two pauses.

    Attributes:
        start_s: Where it begins.
        end_s: Where it ends.
        language: Its tag, None without one.
        language_confidence: Mean posterior of the tag; None without one, or if the model does not say.
        text: The text without tag.
        tokens: The tokens of the text; none if the model does not say when it heard them.
    """

    start_s: float
    end_s: float
    language: str | None
    language_confidence: float | None
    text: str
    tokens: tuple[TimedToken, ...] = ()

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Transcript:
    """What was recognised in a recording.

    Attributes:
        file: Its path as given.
        duration_s: Its length.
        segments: Segments with a text or a language, in order.
    """

    file: str
    duration_s: float
    segments: tuple[Segment, ...]

    def line(self) -> str:
        """Return all text on one line, a tag where the language changes."""
        runs = itertools.groupby(self.segments, key=lambda segment: segment.language)
        lines = (format_hypothesis(language, _text_of(segments)) for language, segments in runs)
        return " ".join(line for line in lines if line)

    def language(self) -> tuple[str | None, float | None]:
        """Return the language of most of the recording, and its mean confidence over its segments."""
        by_language: dict[str, list[Segment]] = {}
        for segment in self.segments:
            if segment.language is not None:
                by_language.setdefault(segment.language, []).append(segment)
        if not by_language:
            return None, None
        durations_s = {
            name: math.fsum(segment.duration_s for segment in members) for name, members in by_language.items()
        }
        language = max(durations_s, key=durations_s.__getitem__)
        known = [(s.language_confidence, s.duration_s) for s in by_language[language] if s.language_confidence]
        if not known:
            return language, None
        return language, math.fsum(c * duration_s for c, duration_s in known) / math.fsum(d for _, d in known)

    def to_json(self, vocabulary: Sequence[str]) -> dict[str, Any]:
        """Return everything, ready for JSON: seconds to the millisecond, confidences to four digits."""
        language, confidence = self.language()
        return {
            "file": self.file,
            "duration_s": round(self.duration_s, 3),
            "language": language,
            "language_confidence": _rounded(confidence),
            "text": _text_of(self.segments),
            "segments": [_segment_json(segment, vocabulary) for segment in self.segments],
        }


def timed_segment(start_s: float, end_s: float, found: Sequence[TimedToken], vocabulary: Sequence[str]) -> Segment:
    """Return a segment of timed tokens.

    Args:
        start_s: Where it begins in the recording; if there is text, where that begins counts.
        end_s: Where it ends.
        found: All tokens, tags included.
        vocabulary: Names of tokens.
    """
    language, text = decode([token.label for token in found], vocabulary)
    tags = [token.confidence for token in found if tag_language(vocabulary[token.label]) is not None]
    tokens = tuple(token for token in found if is_text(vocabulary[token.label]))
    if text:
        start_s, end_s = tokens[0].start_s, tokens[-1].end_s
    return Segment(start_s, end_s, language, tags[0] if tags else None, text, tokens)


def is_text(name: str) -> bool:
    """Tell whether a token is part of a text: neither a tag nor a mark."""
    return tag_language(name) is None and name not in (BLANK, SOS_EOS)


def _segment_json(segment: Segment, vocabulary: Sequence[str]) -> dict[str, Any]:
    return {
        "start_s": round(segment.start_s, 3),
        "end_s": round(segment.end_s, 3),
        "language": segment.language,
        "language_confidence": _rounded(segment.language_confidence),
        "text": segment.text,
        "tokens": [
            {
                "token": vocabulary[token.label],
                "start_s": round(token.start_s, 3),
                "end_s": round(token.end_s, 3),
                "confidence": _rounded(token.confidence),
            }
            for token in segment.tokens
        ],
    }


def _text_of(segments: Iterable[Segment]) -> str:
    return " ".join(segment.text for segment in segments if segment.text)


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)
