"""Stages 2 and 3: the vocabulary, the groups, and the lengths and labels of each utterance, from metadata only.

Files are read side by side and written line by line, so memory does not grow with the number of utterances.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from asr_dro.data import out_of_vocabulary
from asr_dro.data.config import SENTENCEPIECE_TYPES, WHISPER_TYPES, DataConfig
from asr_dro.data.data_dir import SAMPLE_RATE_HZ, SPLITS
from asr_dro.data.done import fingerprint, is_made_from, mark_made_from, write_if_changed
from asr_dro.data.out_of_vocabulary import OutOfVocabulary
from asr_dro.data.pieces import Pieces, train_pieces
from asr_dro.data.tokens import (
    PIECES_MODEL,
    TOKENS,
    Tokenizer,
    build_token_list,
    config_of_set,
    write_token_list,
)
from asr_dro.data.two_columns import iterate_two_columns, two_column_writer
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_open

logger = logging.getLogger(__name__)

_TOKENS_MARKER, _LENGTHS_MARKER = ".tokens.done.json", ".lengths.done.json"


def make_tokens(prepared: Path) -> bool:
    """Write ``tokens.txt`` (and for pieces ``spm.model``) from the training transcripts.

    Args:
        prepared: Folder of the prepared set.

    Returns:
        False if it was there already, made from the same transcripts in the same way.

    Raises:
        UserError: If stage 1 has not been run, or there cannot be as many pieces as are asked for.
    """
    config = config_of_set(prepared)
    train, tokens, model = prepared / "train", prepared / TOKENS, prepared / PIECES_MODEL
    by_pieces = config.tokens.type in SENTENCEPIECE_TYPES and config.task != "lid"
    inputs = {"files": fingerprint([train / "text", train / "utt2lang"]), **_labels_of(config)}
    if is_made_from(prepared / _TOKENS_MARKER, inputs, [tokens, model] if by_pieces else [tokens]):
        return False
    characters, languages = _count(train)
    if not languages:
        raise UserError(f"{train / 'text'} is empty; run stage 1 (data) again")
    known = {character for character, number in characters.items() if number >= config.tokens.min_count}
    tags = [] if config.task == "asr" else list(languages)
    if by_pieces:
        content = train_pieces(lambda: read_together(train, "text", "utt2lang"), languages, known, config.tokens)
        if not model.exists() or model.read_bytes() != content:  # untouched, stage 3 need not run again
            with atomic_open(model, "wb") as file:
                file.write(content)
        write_token_list(tokens, build_token_list((), tags, pieces=Pieces(content).names))
    else:
        model.unlink(missing_ok=True)  # of an earlier configuration
        write_token_list(tokens, _vocabulary(config, known, tags))
    mark_made_from(prepared / _TOKENS_MARKER, inputs)
    return True


def _vocabulary(config: DataConfig, known: Collection[str], tags: Collection[str]) -> list[str]:
    """Return the vocabulary of a configuration without SentencePiece: characters of train and languages with a tag."""
    if config.tokens.type in WHISPER_TYPES:
        from asr_dro.data.whisper_tokens import whisper_token_list

        return whisper_token_list(config.tokens.type, tags)
    return build_token_list(() if config.task == "lid" else known, tags)


def _labels_of(config: DataConfig) -> dict[str, Any]:
    """Return the part of a configuration that labels depend on."""
    return {"tokens": asdict(config.tokens), "task": config.task}


def _count(folder: Path) -> tuple[Counter[str], dict[str, int]]:
    """Count each character, and the characters of each language, white space aside."""
    characters: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for _, text, language in read_together(folder, "text", "utt2lang"):
        written = "".join(text.split())
        characters.update(written)
        languages[language] += len(written)
    return characters, languages


def read_together(folder: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """Read files of one data directory side by side.

    Args:
        folder: The data directory.
        *names: Its files.

    Yields:
        Utterance id, then the value that each file has for it.

    Raises:
        UserError: If a file is missing or not sorted, or the files hold different utterances.
    """
    for rows in zip_longest(*(iterate_two_columns(folder / name) for name in names)):
        keys = {row[0] if row else "" for row in rows}
        if len(keys) > 1:
            where = min(keys - {""})
            raise UserError(f"{folder}: {', '.join(names)} differ in their utterances at {where}; run stage 1 again")
        yield (rows[0][0], *(value for _, value in rows))


def _outputs(prepared: Path) -> list[Path]:
    names = ("utt2num_samples", "token_ids", "group_ids")
    of_splits = [prepared / split / name for split in SPLITS for name in names]
    return [prepared / "groups.txt", prepared / out_of_vocabulary.FILE_NAME, *of_splits]


def read_groups(path: Path) -> list[str]:
    """Read ``groups.txt``; the position of a name is its index.

    Raises:
        UserError: If the file is missing.
    """
    try:
        return path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run stage 3 (lengths) first") from None


def make_lengths(prepared: Path) -> bool:
    """Write ``groups.txt``, ``oov.tsv`` and, for each split, ``utt2num_samples``, ``token_ids`` and ``group_ids``.

    Args:
        prepared: Folder of the prepared set, with ``tokens.txt``.

    Returns:
        False if all were there already, made from the same files in the same way.

    Raises:
        UserError: If an earlier stage has not been run, or dev or test has a group or language that train lacks.
    """
    names = ("text", "utt2lang", "utt2group", "utt2dur")
    sources = [prepared / TOKENS, prepared / PIECES_MODEL]
    sources += [prepared / split / name for split in SPLITS for name in names]
    inputs = {"files": fingerprint(sources), **_labels_of(config_of_set(prepared))}
    if is_made_from(prepared / _LENGTHS_MARKER, inputs, _outputs(prepared)):
        return False
    tokenizer = Tokenizer.load(prepared)
    groups = sorted(_values(prepared / "train" / "utt2group"))
    _check_known(prepared, groups, tokenizer)
    write_if_changed(prepared / "groups.txt", "".join(f"{group}\n" for group in groups))
    counts = OutOfVocabulary(tokenizer.characters())
    for split in SPLITS:
        _make_split(prepared / split, tokenizer, {group: str(i) for i, group in enumerate(groups)}, counts)
    counts.write(prepared / out_of_vocabulary.FILE_NAME)
    counts.log()
    mark_made_from(prepared / _LENGTHS_MARKER, inputs)
    return True


def _values(path: Path) -> set[str]:
    return {value for _, value in iterate_two_columns(path)}


def _check_known(prepared: Path, groups: list[str], tokenizer: Tokenizer) -> None:
    """Refuse groups and languages that train lacks: all of them at once, before anything is written."""
    checks = [("utt2group", "groups", set(groups))]
    if tokenizer.task != "asr":
        checks.append(("utt2lang", "languages", set(tokenizer.languages)))
    problems = []
    for split in SPLITS:
        for name, kind, known in checks:
            path = prepared / split / name
            if unknown := _values(path) - known:
                problems.append(f"{path}: train has no utterance of the {kind} {' '.join(sorted(unknown))}")
    if problems:
        raise UserError("\n  ".join(problems))


def _make_split(folder: Path, tokenizer: Tokenizer, groups: Mapping[str, str], counts: OutOfVocabulary) -> None:
    names = ("utt2num_samples", "token_ids", "group_ids")
    with ExitStack() as stack:
        samples, labels, group_ids = (stack.enter_context(two_column_writer(folder / name)) for name in names)
        for utt_id, text, language, group, duration in read_together(
            folder, "text", "utt2lang", "utt2group", "utt2dur"
        ):
            samples(utt_id, str(round(float(duration) * SAMPLE_RATE_HZ)))
            labels(utt_id, " ".join(map(str, tokenizer.encode(text, language))))
            group_ids(utt_id, groups[group])
            if tokenizer.task != "lid":
                counts.add(language, folder.name, text)
