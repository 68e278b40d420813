"""Whisper's vocabulary: pieces of bytes, marks, and a tag for each language (Radford et al. 2022, arXiv 2212.04356).

``tokens.txt`` keeps Whisper's own order, so a label is the index in its embedding:

- pieces of bytes, printed as GPT-2's vocabulary prints them (a space is U+0120);
- marks such as ``<|endoftext|>``, and languages, then time stamps, which nothing here writes;
- last, a new tag for each language of the training data that Whisper lacks, sorted.

A language of the training data is its tag, ``[fin]`` where Whisper has ``<|fi|>``, so every reader of tags knows it.
Labels are what follows ``<|startoftranscript|>``: the tag (not with task ``asr``), ``<|transcribe|>``,
``<|notimestamps|>``, the pieces of the text (none with task ``lid``), ``<|endoftext|>``.
"""

from __future__ import annotations

import functools
import importlib.util
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from asr_dro.data.tokens import TOKENS, WHISPER_START, Tokenizer, language_tag, tag_language
from asr_dro.errors import UserError

START, END = WHISPER_START, "<|endoftext|>"
TRANSCRIBE, NO_TIMESTAMPS = "<|transcribe|>", "<|notimestamps|>"
AFTER_LANGUAGES = "<|translate|>"
EMPTY = "<|empty|>"  # a piece without bytes, which no text gives
LANGUAGES_OF = {
    "whisper": 99,
    "whisper_v3": 100,
}  # by type of token: all multilingual models but large-v3, and large-v3

_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")  # how Unicode's names begin
_TABLE = Path(__file__).with_name("whisper_languages.tsv")


def labels_of_codes() -> dict[str, tuple[str, ...]]:
    """Return the labels that may take the place of each of Whisper's languages, best first, in Whisper's order."""
    rows = (line.split("\t") for line in _TABLE.read_text(encoding="utf-8").splitlines()[1:])
    return {code: tuple(labels.split(",")) for code, labels in rows}


@functools.cache
def _encoding(n_languages: int) -> Any:
    """Return the encoder of the package openai-whisper, which ships the vocabulary.

    Its module is loaded by itself: the package imports torch, and stages 2 and 3 must not wait for that.
    """
    package = importlib.util.find_spec("whisper")
    if package is None or not package.submodule_search_locations:
        raise UserError("tokens.type whisper needs the package openai-whisper; run tools/install.sh")
    path = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("asr_dro_whisper_tokenizer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_encoding("multilingual", n_languages)


@functools.cache
def _printed_bytes() -> tuple[str, ...]:
    """Return GPT-2's sign for each byte: itself if it is visible in Latin-1, else one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in visible else next(hidden)) for byte in range(0x100))


@functools.cache
def _bytes_of_signs() -> dict[str, int]:
    return {sign: byte for byte, sign in enumerate(_printed_bytes())}


def whisper_token_list(kind: str, languages: Iterable[str]) -> list[str]:
    """Build the vocabulary.

    Args:
        kind: Type of token, a key of ``LANGUAGES_OF``.
        languages: Labels of the languages that have a tag.

    Returns:
        The tokens in the order that the module's text describes.
    """
    encoding, printed = _encoding(LANGUAGES_OF[kind]), _printed_bytes()
    pieces = (encoding.decode_single_token_bytes(index) for index in range(encoding.eot_token))
    tokens = ["".join(printed[byte] for byte in piece) or EMPTY for piece in pieces]
    tokens += [encoding.decode([index]) for index in range(encoding.eot_token, encoding.n_vocab)]
    new = set(languages)
    for code, labels in labels_of_codes().items():
        label = next((label for label in labels if label in new), None)
        if label is not None and f"<|{code}|>" in encoding.special_tokens_set:
            tokens[encoding.encode_single_token(f"<|{code}|>")] = language_tag(label)
            new.remove(label)
    return tokens + sorted(language_tag(label) for label in new)


def is_mark(token: str) -> bool:
    """Tell whether a token of Whisper's vocabulary is neither a piece of text nor a tag."""
    return token.startswith("<|") and token.endswith("|>")


class WhisperTokenizer(Tokenizer):
    """Text to Whisper's labels and back.

    Args:
        tokens: The vocabulary.
        task: What labels hold: ``lid+asr`` tag and text, ``asr`` text, ``lid`` the tag.
        kind: Type of token, a key of ``LANGUAGES_OF``.

    Raises:
        UserError: If the vocabulary is not Whisper's.
    """

    def __init__(self, tokens: Sequence[str], *, task: str = "lid+asr", kind: str = "whisper") -> None:
        self.tokens = tuple(tokens)
        self.task = task
        self._index = {token: index for index, token in enumerate(tokens)}
        self._encoding = _encoding(LANGUAGES_OF[kind])
        if list(tokens) != whisper_token_list(kind, self.languages):
            raise UserError(f"{TOKENS} is not the vocabulary of tokens.type {kind}; run stage 2 (tokens) again")

    def encode(self, text: str, language: str) -> list[int]:
        """Turn a transcript into labels, from the tag to ``<|endoftext|>``.

        Args:
            text: Normalised transcript without a tag; a run of white space counts as one space.
            language: ISO 639-3 code.

        Returns:
            Labels as the task wants them. Any character is some pieces, so there is no ``<unk>``.

        Raises:
            UserError: If labels have tags and training has not seen the language.
        """
        tag = [] if self.task == "asr" else [self._tag(language)]
        text_labels = [] if self.task == "lid" else self._text_labels(" ".join(text.split()))
        index = self._index
        return [*tag, index[TRANSCRIBE], index[NO_TIMESTAMPS], *text_labels, index[END]]

    def _text_labels(self, text: str) -> list[int]:
        """Cut a text as Whisper saw it: after a space that belongs to its first piece, but not in scripts without."""
        if not text:
            return []
        if not unicodedata.name(text[0], "").startswith(_WITHOUT_SPACES):
            after_space: list[int] = self._encoding.encode_ordinary(f" {text}")
            if after_space[0] != self._encoding.encode_single_token(b" "):  # Whisper's search forbids it there
                return after_space
        alone: list[int] = self._encoding.encode_ordinary(text)
        return alone

    def characters(self) -> None:
        """Return None: no character is outside of this vocabulary."""
        return


def decode_whisper(ids: Iterable[int], tokens: Sequence[str]) -> tuple[str | None, str]:
    """Turn labels into language and text, from the vocabulary alone.

    Args:
        ids: Labels, or what a decoder wrote; what follows ``<|endoftext|>`` does not count.
        tokens: Whisper's vocabulary.

    Returns:
        The language of the first tag, None without one; the text, with single spaces. Bytes that are no UTF-8 become
        U+FFFD.
    """
    values = _bytes_of_signs()
    language: str | None = None
    text = bytearray()
    for token in (tokens[label] for label in ids):
        if token == END:
            break
        found = tag_language(token)
        if found is not None:
            language = language or found
        elif not is_mark(token):
            text += bytes(values[sign] for sign in token)
    return language, " ".join(text.decode("utf-8", errors="replace").split())
