"""Tokens: characters, a tag for each language, and the marks that CTC and ESPnet need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asr_dro.data.done import write_if_changed
from asr_dro.errors import UserError

BLANK, UNKNOWN, SPACE, SOS_EOS = "<blank>", "<unk>", "<space>", "<sos/eos>"
_UNKNOWN_SHOWN = "\N{REPLACEMENT CHARACTER}"  # one character, so that it counts as one error


def language_tag(language: str) -> str:
    """Return the token that opens a transcript in ``language`` (ISO 639-3)."""
    return f"[{language}]"


def tag_language(token: str) -> str | None:
    """Return the language of a tag, None for any other token."""
    return token[1:-1] if len(token) > 2 and token.startswith("[") and token.endswith("]") else None


def build_token_list(texts: Iterable[str], languages: Iterable[str]) -> list[str]:
    """Build the vocabulary; the position is the index.

    Args:
        texts: Normalised training transcripts.
        languages: ISO 639-3 codes of the training set.

    Returns:
        ``<blank>``, ``<unk>``, ``<space>``, characters by code point, language tags sorted, ``<sos/eos>``.
    """
    characters = set().union(*(set(text) for text in texts)) - {" "}
    tags = sorted({language_tag(language) for language in languages})
    return [BLANK, UNKNOWN, SPACE, *sorted(characters), *tags, SOS_EOS]


def write_token_list(path: Path, tokens: Sequence[str]) -> None:
    """Write one token per line, atomically; a file with these tokens already stays untouched."""
    write_if_changed(path, "".join(f"{token}\n" for token in tokens))


def read_token_list(path: Path) -> list[str]:
    """Read ``tokens.txt``.

    Raises:
        UserError: If the file is missing, or is not a vocabulary of this program.
    """
    try:
        tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run stage 2 (tokens) first") from None
    if tokens[:3] != [BLANK, UNKNOWN, SPACE] or tokens[-1] != SOS_EOS:
        raise UserError(f"{path}: expected {BLANK}, {UNKNOWN}, {SPACE}, ... {SOS_EOS}; make it again with stage 2")
    if len(set(tokens)) != len(tokens) or "" in tokens:
        raise UserError(f"{path}: a token is empty or there twice; make it again with stage 2")
    return tokens


def token_index(tokens: Sequence[str]) -> dict[str, int]:
    """Return ``{token: position}``."""
    return {token: index for index, token in enumerate(tokens)}


def encode(text: str, language: str, index: Mapping[str, int]) -> list[int]:
    """Turn a transcript into labels: the language's tag, then its characters.

    Args:
        text: Normalised transcript without a tag.
        language: ISO 639-3 code.
        index: Result of :func:`token_index`.

    Returns:
        Labels; a character that training has not seen becomes ``<unk>``.

    Raises:
        UserError: If training has not seen the language.
    """
    tag = language_tag(language)
    if tag not in index:
        known = ", ".join(sorted(filter(None, map(tag_language, index))))
        raise UserError(f"language {language} is not in tokens.txt (it has {known}); run stage 2 (tokens) again")
    unknown = index[UNKNOWN]
    return [index[tag], *(index.get(SPACE if character == " " else character, unknown) for character in text)]


def decode(ids: Iterable[int], tokens: Sequence[str]) -> tuple[str | None, str]:
    """Turn labels into a transcript; the inverse of :func:`encode`.

    Args:
        ids: Labels without CTC's blanks and repetitions.
        tokens: The vocabulary.

    Returns:
        The language of the first tag, None without a tag; the text without tags, with single spaces. ``<unk>`` becomes
        U+FFFD, one character, so that it counts as one error.
    """
    language: str | None = None
    characters = []
    for token in (tokens[label] for label in ids):
        found = tag_language(token)
        if found is not None:
            language = language or found
        elif token == SPACE:
            characters.append(" ")
        elif token == UNKNOWN:
            characters.append(_UNKNOWN_SHOWN)
        elif token not in (BLANK, SOS_EOS):
            characters.append(token)
    return language, " ".join("".join(characters).split())
