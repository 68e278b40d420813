"""Hypotheses: the language tag split off, matched one to one with the references."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from asr_dro.errors import UserError, first_of
from asr_dro.scoring.error_rate import canonical

# The tag is a token of its own, at the very start: "[fin] hyvää". Anything like it further on is text, and is scored.
# "[]" says that no language was recognised; it is written where the text itself begins with something like a tag.
_LANGUAGE_TAG = re.compile(r"\[([^\s\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the decoder wrote: canonical text without language tag, and the tag's label or ``None``."""

    text: str
    language: str | None


def split_language_tag(line: str) -> Hypothesis:
    """Split ``[iso] words ...`` into label and text.

    Args:
        line: A hypothesis without its utterance id. Only a first token that is a tag as a whole counts as one.

    Returns:
        The canonical text and the label, ``None`` where there is no tag or an empty one.

    >>> split_language_tag("[fin] hyvää  päivää")
    Hypothesis(text='hyvää päivää', language='fin')
    """
    text = canonical(line)
    if not text.startswith("["):
        return Hypothesis(text, None)
    first, _, rest = text.partition(" ")
    label = _label(first)
    return Hypothesis(text, None) if label is None else Hypothesis(rest, label or None)


@functools.lru_cache(maxsize=1024)  # a set has few languages
def _label(token: str) -> str | None:
    """Return what stands in a tag, None if the token is none."""
    match = _LANGUAGE_TAG.fullmatch(token)
    return match.group(1) if match else None


def format_hypothesis(language: str | None, text: str) -> str:
    """Write what :func:`split_language_tag` reads back.

    Args:
        language: The recognised language, None for none.
        text: The recognised text.

    Returns:
        A line without utterance id, possibly empty.
    """
    if language is None:
        return f"[] {text}" if _LANGUAGE_TAG.fullmatch(canonical(text).partition(" ")[0]) else text
    return f"[{language}] {text}".rstrip()


def check_one_to_one(references: Iterable[str], hypotheses: Iterable[str], *, where: str) -> None:
    """Refuse to score if an utterance lacks its hypothesis or a hypothesis its reference.

    Args:
        references: Utterance ids of the references.
        hypotheses: Utterance ids of the hypotheses.
        where: The hypothesis file, for the message.

    Raises:
        UserError: Naming the first utterances on either side.
    """
    expected_list, found_list = list(references), list(hypotheses)
    if expected_list == found_list:
        return
    expected, found = set(expected_list), set(found_list)
    problems = []
    if missing := sorted(expected - found):
        problems.append(f"{len(missing)} of {len(expected)} utterances have no hypothesis: {first_of(missing)}")
    if surplus := sorted(found - expected):
        problems.append(f"{len(surplus)} hypotheses have no reference: {first_of(surplus)}")
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}. Decode this split again (stage 5) from the same data.")
