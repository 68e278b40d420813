"""References read in whole files: line by line, those of 143,000 utterances took a sixth of the time of scoring.

A set is nearly always as it should be, which shows when its files are put together again from what was read. Where they
are not the same, the set is read line by line (`asr_dro.data.data_dir`), which says what is wrong and where.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from pathlib import Path

from asr_dro.data.data_dir import Utterance, files_of, read_data_dir

_OF_TEXT = ("wav.scp", "text")  # white space may stand in their values


def read_references(path: Path) -> list[Utterance]:
    """Read and validate a data directory.

    Args:
        path: The folder.

    Returns:
        What :func:`~asr_dro.data.data_dir.read_data_dir` returns: utterances sorted by id.

    Raises:
        UserError: With file and line of the first problems.
    """
    return _read_good(path) or read_data_dir(path)


def _read_good(path: Path) -> list[Utterance] | None:
    """Read a data directory; None if anything is not as it should be."""
    contents = {name: _read(path / name) for name in files_of(path)}
    keys = contents["utt2lang"].split()[::2]
    if not all(map(operator.lt, keys, keys[1:])):
        return None
    columns: dict[str, list[str]] = {}
    for name, content in contents.items():
        values = _values(content, keys, is_text=name in _OF_TEXT)
        if values is None:
            return None
        columns[name] = values
    durations_s = _durations(columns["utt2dur"])
    if durations_s is None:
        return None
    wav, text, speaker, language, group, _, *corpus = columns.values()
    return list(map(Utterance, keys, wav, text, speaker, language, group, durations_s, *corpus))


def _read(path: Path) -> str:
    """Read a file; what cannot be read is as if it were empty, which no good file is."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return ""


def _values(content: str, keys: Sequence[str], *, is_text: bool) -> list[str] | None:
    """Take the values from the lines of a file; None if the lines are not those of the keys, or a value is blank."""
    if is_text:
        lines = content.split("\n")  # a line ends at LF only, not at U+2028 or CR
        values = [line[len(key) + 1 :] for key, line in zip(keys, lines, strict=False)]
        if not all(values) or any(map(str.isspace, values)):
            return None
    else:
        values = content.split()[1::2]
    rebuilt = "".join([f"{key} {value}\n" for key, value in zip(keys, values, strict=False)])
    return values if len(values) == len(keys) and rebuilt == content else None


def _durations(values: list[str]) -> list[float] | None:
    """Read durations in seconds; None if one is no number above zero."""
    try:
        durations_s = list(map(float, values))
    except ValueError:
        return None
    return durations_s if all(map(math.isfinite, durations_s)) and min(durations_s, default=0.0) > 0 else None
