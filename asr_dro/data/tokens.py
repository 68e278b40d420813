"""Tokens: characters or pieces of words, a tag for each language, and the marks that CTC and ESPnet need.

The vocabulary (``tokens.txt``, one token per line, the position is the index), by type of token and task:

- characters: ``<blank>``, ``<unk>``, ``<space>``, characters by code point, language tags sorted, ``<sos/eos>``;
- pieces: ``<blank>``, ``<unk>``, SentencePiece's pieces in its order, language tags sorted, ``<sos/eos>``. A piece that
  begins a word begins with U+2581, so there is no ``<space>``, and the third token tells the two types apart;
- task ``asr`` has no tags, task ``lid`` neither characters nor pieces (but ``<space>``);
- Whisper's own vocabulary (:mod:`asr_dro.data.whisper_tokens`) does not begin with ``<blank>``.

No piece but ``[`` and ``<`` themselves holds these signs, so a token that looks like a tag or a mark is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from asr_dro.data.config import FILE_NAME, WHISPER_TYPES, DataConfig, read_data_config
from asr_dro.data.done import write_if_changed
from asr_dro.data.pieces import WORD_START, Pieces
from asr_dro.errors import UserError

BLANK, UNKNOWN, SPACE, SOS_EOS = "<blank>", "<unk>", "<space>", "<sos/eos>"
WHISPER_START = "<|startoftranscript|>"
TOKENS, PIECES_MODEL = "tokens.txt", "spm.model"  # in the prepared set
UNKNOWN_SHOWN = "\N{REPLACEMENT CHARACTER}"  # one character, so that it counts as one error


def language_tag(language: str) -> str:
    """Return the token that opens a transcript in ``language`` (ISO 639-3)."""
    return f"[{language}]"


def tag_language(token: str) -> str | None:
    """Return the language of a tag, None for any other token."""
    return token[1:-1] if len(token) > 2 and token.startswith("[") and token.endswith("]") else None


def build_token_list(
    characters: Iterable[str], languages: Iterable[str], *, pieces: Sequence[str] | None = None
) -> list[str]:
    """Build the vocabulary; the position is the index.

    Args:
        characters: Characters that are tokens, in any order, with or without a space.
        languages: Languages that have a tag.
        pieces: Pieces in SentencePiece's order; None: characters are tokens.

    Returns:
        The tokens in the order that the module's text describes.
    """
    units = [SPACE, *sorted(set(characters) - {" "})] if pieces is None else pieces
    return [BLANK, UNKNOWN, *units, *sorted({language_tag(language) for language in languages}), SOS_EOS]


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
    ours = tokens[:2] == [BLANK, UNKNOWN] and tokens[-1] == SOS_EOS
    if not ours and not (is_whisper_vocabulary(tokens) and WHISPER_START in tokens):
        raise UserError(f"{path}: expected {BLANK}, {UNKNOWN}, ... {SOS_EOS}; make it again with stage 2")
    if len(set(tokens)) != len(tokens) or "" in tokens:
        raise UserError(f"{path}: a token is empty or there twice; make it again with stage 2")
    return tokens


def is_whisper_vocabulary(tokens: Sequence[str]) -> bool:
    """Tell whether a vocabulary is Whisper's, which CTC cannot use; one of ours begins with CTC's blank."""
    return tokens[0] != BLANK


def has_language_tags(tokens: Iterable[str]) -> bool:
    """Tell whether a vocabulary can name a language at all (that of task ``asr`` cannot)."""
    return any(tag_language(token) is not None for token in tokens)


def config_of_set(prepared: Path) -> DataConfig:
    """Read how a prepared set was made; a set without ``data.yaml`` was made with the defaults."""
    path = prepared / FILE_NAME
    return read_data_config(path) if path.exists() else DataConfig()


class Tokenizer:
    """Text to labels and back.

    Args:
        tokens: The vocabulary.
        task: What labels hold: ``lid+asr`` tag and text, ``asr`` text, ``lid`` the tag.
        pieces: The SentencePiece model that the vocabulary comes from; None: characters.

    Raises:
        UserError: If vocabulary and pieces do not belong together.
    """

    def __init__(self, tokens: Sequence[str], *, task: str = "lid+asr", pieces: Pieces | None = None) -> None:
        self.tokens = tuple(tokens)
        self.task = task
        self._pieces = pieces
        self._index: Mapping[str, int] = {token: index for index, token in enumerate(tokens)}
        found = list(tokens[2:3]) if pieces is None else list(tokens[2 : 2 + len(pieces.names)])
        if found != ([SPACE] if pieces is None else pieces.names):
            model = "type char" if pieces is None else PIECES_MODEL
            raise UserError(f"{TOKENS} and {model} do not belong together; run stage 2 (tokens) again")

    @classmethod
    def load(cls, prepared: Path) -> Tokenizer:
        """Read the tokenizer of a prepared set; one without ``data.yaml`` has characters and tags.

        Raises:
            UserError: If stage 2 has not been run, or not with this configuration.
        """
        config, path = config_of_set(prepared), prepared / PIECES_MODEL
        tokens = read_token_list(prepared / TOKENS)
        if config.tokens.type in WHISPER_TYPES:
            from asr_dro.data.whisper_tokens import WhisperTokenizer

            return WhisperTokenizer(tokens, task=config.task, kind=config.tokens.type)
        if config.tokens.type == "char" or config.task == "lid":
            return cls(tokens, task=config.task)
        if not path.exists():
            raise UserError(f"{path} is missing; run stage 2 (tokens) first")
        return cls(tokens, task=config.task, pieces=Pieces(path.read_bytes()))

    def encode(self, text: str, language: str) -> list[int]:
        """Turn a transcript into labels.

        Args:
            text: Normalised transcript without a tag; a run of white space counts as one space.
            language: ISO 639-3 code.

        Returns:
            Labels as the task wants them. A character that is not in the vocabulary becomes ``<unk>``; with pieces, a
            run of them does.

        Raises:
            UserError: If labels have tags and training has not seen the language.
        """
        labels = [] if self.task == "asr" else [self._tag(language)]
        return labels if self.task == "lid" else labels + self._text_labels(" ".join(text.split()))

    @property
    def languages(self) -> list[str]:
        """The languages that have a tag, sorted."""
        return sorted(language for language in map(tag_language, self.tokens) if language is not None)

    def _tag(self, language: str) -> int:
        index = self._index.get(language_tag(language))
        if index is None:
            known = ", ".join(self.languages)
            raise UserError(f"language {language} is not in {TOKENS} (it has {known}); run stage 2 (tokens) again")
        return index

    def _text_labels(self, text: str) -> list[int]:
        unknown = self._index[UNKNOWN]
        if self._pieces is not None:
            return [unknown if piece is None else piece + 2 for piece in self._pieces.encode(text)]
        index = self._index
        return [index.get(SPACE if character == " " else character, unknown) for character in text]

    def decode(self, ids: Iterable[int]) -> tuple[str | None, str]:
        """Turn labels into language and text; see :func:`decode`."""
        return decode(ids, self.tokens)

    def characters(self) -> Collection[str] | None:
        """Return the characters that :meth:`encode` does not turn into ``<unk>``, the space aside; None: any."""
        units = self.tokens if self._pieces is None else self._pieces.names
        return {unit for unit in units if len(unit) == 1 and (self._pieces is None or unit != WORD_START)}


def decode(ids: Iterable[int], tokens: Sequence[str]) -> tuple[str | None, str]:
    """Turn labels into language and text; the vocabulary alone says how, so a checkpoint needs nothing else.

    Args:
        ids: Labels without CTC's blanks and repetitions.
        tokens: The vocabulary, of characters or pieces, or Whisper's.

    Returns:
        The language of the first tag, None without a tag; the text without tags, with single spaces. ``<unk>`` becomes
        U+FFFD, one character, so that it counts as one error.
    """
    if is_whisper_vocabulary(tokens):
        from asr_dro.data.whisper_tokens import decode_whisper

        return decode_whisper(ids, tokens)
    word_start = "" if tokens[2] == SPACE else WORD_START  # a vocabulary of characters may hold U+2581 as such
    shown = {BLANK: "", SOS_EOS: "", SPACE: " ", UNKNOWN: UNKNOWN_SHOWN}
    language: str | None = None
    units = []
    for token in (tokens[label] for label in ids):
        found = tag_language(token)
        if found is None:
            units.append(shown.get(token, token.replace(word_start, " ") if word_start else token))
        else:
            language = language or found
    return language, " ".join("".join(units).split())
