"""An utterance's results as a line: the text, and on request n best hypotheses with times and confidences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.tokens import BLANK, SOS_EOS, decode
from asr_dro.scoring.hypotheses import format_hypothesis

if TYPE_CHECKING:
    from asr_dro.decoding.search import Found


def hypothesis_text(found: Found, vocabulary: Sequence[str]) -> str:
    """Return a hypothesis as the file ``text`` has it: language tag, if there is a language, then the text."""
    language, text = decode(found.tokens, vocabulary)
    return format_hypothesis(found.language or language, text)


def nbest_entry(found: Found, vocabulary: Sequence[str], *, step: int, samples: int) -> dict[str, Any]:
    """Return a hypothesis as ``nbest.jsonl`` has it.

    Args:
        found: The hypothesis.
        vocabulary: Names of tokens.
        step: Samples from one frame to the next; 0: no times are wanted.
        samples: Length of the utterance; the last frame may reach beyond it.
    """
    language, text = decode(found.tokens, vocabulary)
    entry: dict[str, Any] = {"text": text, "language": found.language or language, "score": round(found.score, 4)}
    if step and found.frames is not None and found.confidences is not None:
        heard = zip(found.tokens, found.frames, found.confidences, strict=True)
        entry["tokens"] = [
            {
                "token": vocabulary[token],
                "start_s": _seconds(start * step, samples),
                "end_s": _seconds(stop * step, samples),
                "confidence": round(confidence, 4),
            }
            for token, (start, stop), confidence in heard
            if vocabulary[token] not in (BLANK, SOS_EOS)
        ]
    return entry


def _seconds(position: int, samples: int) -> float:
    return round(min(position, samples) / SAMPLE_RATE_HZ, 3)
