"""How a corpus becomes a prepared set: the keys of ``conf/data/<name>.yaml``.

The configuration that a set was made with lies in it as ``data.yaml``; stages 2 to 7 read it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.config_values import is_count, is_number, take_fields
from asr_dro.errors import UserError

TEXT_PROFILES = ("basic", "ml_superb", "challenge2025", "none")
WHISPER_TYPES = ("whisper", "whisper_v3")
SENTENCEPIECE_TYPES = ("bpe", "unigram")
TOKEN_TYPES = ("char", *SENTENCEPIECE_TYPES, *WHISPER_TYPES)
TASKS = ("lid+asr", "asr", "lid")
FILE_NAME = "data.yaml"


@dataclass(frozen=True)
class TokenConfig:
    """How text is cut into tokens.

    Args:
        type: ``char``, SentencePiece's ``bpe`` or ``unigram``, or Whisper's vocabulary for its decoder: ``whisper``,
            or ``whisper_v3`` for large-v3, which has one language more.
        vocabulary_size: Pieces of SentencePiece; ignored for other types.
        temperature: SentencePiece is trained on languages in proportion to (characters of text) ** temperature:
            1 as they are, 0 all alike.
        min_count: A character seen less often in training is ``<unk>``.
    """

    type: str = "char"
    vocabulary_size: int = 2000
    temperature: float = 1.0
    min_count: int = 1


@dataclass(frozen=True)
class DataConfig:
    """How a corpus is read and what its labels hold.

    Args:
        text: Profile of normalisation: ``basic``, ``ml_superb``, ``challenge2025``, ``none``.
        tokens: How text is cut into tokens.
        task: What is recognised: language and text, text alone, or the language alone.
        train: Common Voice's ``official`` training split, or ``validated`` clips without dev's and test's speakers and
            sentences.
        audio: ``convert`` to 16 kHz FLAC, ``pack`` these into a few large files, or ``keep`` the corpus's files and
            decode them in training.
        group: Columns whose values make the group, joined by ``+``; ``language`` or any column the corpus has.
        label_repairs: Names of repairs of ML-SUPERB's labels, or ``[all]``.
        missing_languages: ``error``, or ``skip`` languages that the corpus lacks.
        longest_s: Longer clips of train and dev are left out; test keeps them.
        shortest_s: Shorter clips are left out.
    """

    text: str = "basic"
    tokens: TokenConfig = field(default_factory=TokenConfig)
    task: str = "lid+asr"
    train: str = "official"
    audio: str = "convert"
    group: tuple[str, ...] = ("language",)
    label_repairs: tuple[str, ...] = ()
    missing_languages: str = "error"
    longest_s: float = 20.0
    shortest_s: float = 0.1

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of ``group`` that a corpus must have."""
        return tuple(column for column in self.group if column != "language")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], origin: str) -> DataConfig:
        """Build from the content of a YAML file.

        Args:
            values: Keys and values; what is missing has its default.
            origin: The file, for messages.

        Raises:
            UserError: With every mistake at once.
        """
        given, problems = take_fields(cls, values)
        tokens, problems_of_tokens = take_fields(TokenConfig, values.get("tokens") or {}, "tokens.")
        given["tokens"] = TokenConfig(**tokens)
        for key in ("group", "label_repairs"):
            if key in given:
                given[key] = tuple(given[key]) if isinstance(given[key], list) else (given[key],)
        config = cls(**given)
        problems += problems_of_tokens + _problems(config)
        if problems:
            raise UserError(f"{origin}:\n  " + "\n  ".join(problems))
        return config

    def as_mapping(self) -> dict[str, Any]:
        """Return the keys and values of the YAML file."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


_ALLOWED = {
    "text": TEXT_PROFILES,
    "task": TASKS,
    "train": ("official", "validated"),
    "audio": ("convert", "pack", "keep"),
    "missing_languages": ("error", "skip"),
}


def _problems(config: DataConfig) -> list[str]:
    tokens = config.tokens
    choices = [(key, getattr(config, key), allowed) for key, allowed in _ALLOWED.items()]
    choices.append(("tokens.type", tokens.type, TOKEN_TYPES))
    problems = [
        f"{key} is {value!r}; allowed: {', '.join(allowed)}" for key, value, allowed in choices if value not in allowed
    ]
    for key, count in (("vocabulary_size", tokens.vocabulary_size), ("min_count", tokens.min_count)):
        if not is_count(count):
            problems.append(f"tokens.{key} must be a whole number from 1 on, not {count!r}")
    for key, seconds in (("shortest_s", config.shortest_s), ("longest_s", config.longest_s)):
        if not is_number(seconds) or seconds <= 0:
            problems.append(f"{key} must be seconds above 0, not {seconds!r}")
    if not is_number(tokens.temperature) or not 0 <= tokens.temperature <= 1:
        problems.append(f"tokens.temperature must be from 0 to 1, not {tokens.temperature!r}")
    for key, names in (("group", config.group), ("label_repairs", config.label_repairs)):
        if not all(isinstance(name, str) and name for name in names):
            problems.append(f"{key} must be a name or a list of names, not {list(names)!r}")
    return [*problems, *([] if config.group else ["group must name at least one column"])]


DECODERS = (None, "transformer", "whisper")  # None: CTC alone


def check_tokens(config: DataConfig, *, decoder: str | None) -> None:
    """Refuse tokens that a model cannot write.

    Args:
        config: How the set is prepared.
        decoder: The model's decoder; None: CTC.

    Raises:
        UserError: If another head is to write Whisper's tokens, or Whisper's decoder others.
    """
    kind = config.tokens.type
    if decoder not in DECODERS:
        return  # whoever knows all classes says which there are
    if decoder != "whisper" and kind in WHISPER_TYPES:
        other = "CTC" if decoder is None else f"decoder {decoder}"
        raise UserError(
            f"tokens.type {kind} is for a model with decoder whisper, not for {other}: choose another --data-conf"
        )
    if decoder == "whisper" and kind not in WHISPER_TYPES:
        raise UserError(
            f"decoder {decoder} writes tokens of type {' or '.join(WHISPER_TYPES)}, not {kind}: --data-conf whisper"
        )


def read_data_config(path: Path) -> DataConfig:
    """Read ``conf/data/<name>.yaml`` or a prepared set's ``data.yaml``.

    Raises:
        UserError: If the file is missing or has mistakes.
    """
    from asr_dro.config import load_yaml  # OmegaConf: only where a file is read

    return DataConfig.from_mapping(load_yaml(path), str(path))
