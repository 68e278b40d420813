"""The data directory: ``wav.scp text utt2spk utt2lang utt2group utt2dur``, the contract of all later stages.

``utt2corpus`` is there too where it is known which corpus an utterance is of; older sets lack it. Each
file has one line per utterance, ``<utterance> <value>``, sorted by utterance in the C locale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from asr_dro.data.pack_format import is_audio_there
from asr_dro.data.two_columns import (
    iterate_two_columns,
    order_problem,
    pairs,
    read_two_columns,
    two_column_writer,
    write_two_columns,
)
from asr_dro.errors import UserError

__all__ = [
    "CORPUS_FILE",
    "FILES",
    "SAMPLE_RATE_HZ",
    "SPLITS",
    "Utterance",
    "files_of",
    "format_duration",
    "iterate_data_dir",
    "iterate_two_columns",
    "read_data_dir",
    "read_two_columns",
    "two_column_writer",
    "validate_data_dir",
    "write_data_dir",
    "write_sorted_data_dir",
    "write_two_columns",
]

SPLITS = ("train", "dev", "test")
SAMPLE_RATE_HZ = 16_000  # of all prepared audio
FILES = ("wav.scp", "text", "utt2spk", "utt2lang", "utt2group", "utt2dur")
CORPUS_FILE = "utt2corpus"  # not every data directory has it
_MOST_PROBLEMS_SHOWN = 5


@dataclass(frozen=True, slots=True)  # a large release has millions
class Utterance:
    """One utterance of a data directory.

    Args:
        utt_id: Unique name without white space; starts with the speaker.
        wav: Path of the audio, 16 kHz mono; relative to the current directory unless absolute.
        text: Normalised transcript without a language tag, not empty.
        speaker: Speaker's name without white space.
        language: ISO 639-3 code.
        group: Name of the group whose error matters; the language by default.
        duration_s: Length of the audio in seconds, above zero.
        corpus: Name of the corpus without white space; empty if it is not known.
    """

    utt_id: str
    wav: str
    text: str
    speaker: str
    language: str
    group: str
    duration_s: float
    corpus: str = ""


def files_of(path: Path) -> tuple[str, ...]:
    """Return the names of the files that a data directory must have, and ``utt2corpus`` where it is there."""
    return (*FILES, CORPUS_FILE) if (path / CORPUS_FILE).exists() else FILES


def format_duration(duration_s: float) -> str:
    """Write seconds such that a whole number of 16-kHz samples survives (1 / 16000 s has seven decimals)."""
    text = f"{duration_s:.7f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def _values(utterance: Utterance) -> tuple[str, ...]:
    """Return one value for each of ``FILES``, then that of ``CORPUS_FILE``."""
    return (
        utterance.wav,
        utterance.text,
        utterance.speaker,
        utterance.language,
        utterance.group,
        format_duration(utterance.duration_s),
        utterance.corpus,
    )


def write_data_dir(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a data directory; files that would not change stay untouched.

    Args:
        path: Folder; made if it is not there.
        utterances: In any order.

    Raises:
        ValueError: If two utterances have one id.
    """
    write_sorted_data_dir(path, sorted(utterances, key=lambda utterance: utterance.utt_id))


def write_sorted_data_dir(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a data directory piece by piece; files that would not change stay untouched.

    Args:
        path: Folder; made if it is not there.
        utterances: Sorted by id.

    Raises:
        ValueError: If two utterances have one id, the order is wrong, or only some have a corpus.
    """
    previous = ""
    coming = iter(utterances)
    first = next(coming, None)
    has_corpus = first is not None and bool(first.corpus)
    with ExitStack() as stack:
        names = (*FILES, CORPUS_FILE) if has_corpus else FILES
        writers = [stack.enter_context(two_column_writer(path / name)) for name in names]
        for utterance in chain([] if first is None else [first], coming):
            if utterance.utt_id == previous:
                raise ValueError(f"{path}: two utterances are called {previous}")
            if bool(utterance.corpus) != has_corpus:
                raise ValueError(
                    f"{path}: some utterances have a corpus and some have none, such as {utterance.utt_id}"
                )
            previous = utterance.utt_id
            for write, value in zip(writers, _values(utterance), strict=False):  # the corpus is last, and may lack
                write(utterance.utt_id, value)
    if not has_corpus:
        (path / CORPUS_FILE).unlink(missing_ok=True)  # of what was here before


class _Column:
    """One file of a data directory, read line by line; the first of its problems are kept in words."""

    def __init__(self, path: Path, check_audio: bool) -> None:
        self.path, self.is_sorted, self.is_good = path, True, True
        self.problems, self.n_problems, self._n_missing, self._missing = list[str](), 0, 0, ""
        self._is_word = path.name in ("utt2spk", "utt2lang", "utt2group", CORPUS_FILE)
        self._is_duration = path.name == "utt2dur"
        self._check_audio = check_audio and path.name == "wav.scp"
        self._pairs, self._number = pairs(path), 0
        self.key: str | None = None
        self.value = ""
        self.advance()

    def advance(self) -> None:
        """Go to the next line; the key is None after the last."""
        previous = self.key
        self.key, self.value = next(self._pairs, (None, ""))
        if self.key is None:
            return
        self._number += 1
        problem = self._problem(self.key, self.value)
        self.is_good = not problem
        if problem:
            self.add(f"{self.path}:{self._number}: {problem}")
        if previous is not None and self.key <= previous:
            self.is_sorted = self.is_good = False
            self.add(f"{self.path}:{self._number}: {order_problem(self.key, previous)}")

    def add(self, problem: str) -> None:
        """Count a problem."""
        self.n_problems += 1
        if len(self.problems) < _MOST_PROBLEMS_SHOWN:
            self.problems.append(problem)

    def add_missing(self, key: str) -> None:
        """Note that the file lacks an utterance of the others."""
        self._n_missing += 1
        self._missing = self._missing or key

    def add_summary(self) -> None:
        """Turn what is missing into one problem."""
        if self._n_missing:
            count = f"{self._n_missing} utterances of the other files are missing"
            self.add(f"{self.path}: {count}, such as {self._missing}")

    def _problem(self, key: str, value: str) -> str:
        # first what costs little: a line is read up to seven times for each utterance, and nearly all are good
        if not (key.isascii() and key.isprintable() and " " not in key and key) and key.split() != [key]:
            return f"the line does not begin with an utterance id without white space: {f'{key} {value}'[:80]!r}"
        if not value or value.isspace():
            return f"{key} has no value"
        if self._is_word and value.split() != [value]:
            return f"white space in {value!r}"
        if self._is_duration and not _is_duration(value):
            return f"not a duration in seconds above zero: {value!r}"
        if self._check_audio and not is_audio_there(value):
            return f"no such file: {value}"
        return ""


def _is_duration(value: str) -> bool:
    try:
        duration_s = float(value)
    except ValueError:
        return False
    return math.isfinite(duration_s) and duration_s > 0


def _lines_in_step(columns: Sequence[_Column]) -> Iterator[bool]:
    """Yield once per utterance, with all columns at its line: whether each column has it and nothing is wrong."""
    while keys := [column.key for column in columns if column.key is not None]:
        least = min(keys)
        here = [column for column in columns if column.key == least]
        for column in columns:
            if column.key != least:
                column.add_missing(least)
        yield len(here) == len(columns) and all(column.is_good for column in columns)
        for column in here:
            column.advance()


def iterate_data_dir(path: Path, *, check_audio: bool = False, allow_empty: bool = False) -> Iterator[Utterance]:
    """Read a data directory line by line, and validate it meanwhile.

    Args:
        path: The folder.
        check_audio: Whether each file in ``wav.scp`` must exist.
        allow_empty: Whether a directory without utterances is fine.

    Yields:
        Utterances sorted by id, but for those with problems.

    Raises:
        UserError: After the last utterance, with file and line of the first problems.
    """
    columns = [_Column(path / name, check_audio) for name in files_of(path)]
    is_empty = all(column.key is None for column in columns)
    for is_good in _lines_in_step(columns):
        if is_good:
            wav, text, speaker, language, group, duration, *corpus = (column.value for column in columns)
            yield Utterance(columns[0].key or "", wav, text, speaker, language, group, float(duration), *corpus)
    if is_empty and not allow_empty:
        columns[0].add(f"{path}: no utterances")
    if all(column.is_sorted for column in columns):  # or else they fall out of step, and much seems missing that is not
        for column in columns:
            column.add_summary()
    n_problems = sum(column.n_problems for column in columns)
    if n_problems:
        shown = [problem for column in columns for problem in column.problems][:_MOST_PROBLEMS_SHOWN]
        ending = f"\n  and {n_problems - len(shown)} more" if n_problems > len(shown) else ""
        raise UserError(f"{path} is not a valid data directory:\n  " + "\n  ".join(shown) + ending)


def validate_data_dir(path: Path, *, check_audio: bool = True, allow_empty: bool = False) -> None:
    """Check a data directory.

    Args:
        path: The folder.
        check_audio: Whether each file in ``wav.scp`` must exist.
        allow_empty: Whether a directory without utterances is fine.

    Raises:
        UserError: With file and line of the first problems.
    """
    for _ in iterate_data_dir(path, check_audio=check_audio, allow_empty=allow_empty):
        pass


def read_data_dir(path: Path, *, check_audio: bool = False, allow_empty: bool = False) -> list[Utterance]:
    """Read and validate a data directory.

    Args:
        path: The folder.
        check_audio: Whether each file in ``wav.scp`` must exist.
        allow_empty: Whether a directory without utterances is fine.

    Returns:
        Utterances sorted by id.

    Raises:
        UserError: With file and line of the first problems.
    """
    return list(iterate_data_dir(path, check_audio=check_audio, allow_empty=allow_empty))
