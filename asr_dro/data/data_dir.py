"""The data directory: ``wav.scp text utt2spk utt2lang utt2group utt2dur``, the contract of all later stages.

Each file has one line per utterance, ``<utterance> <value>``, sorted by utterance in the C locale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr_dro.data.done import write_if_changed
from asr_dro.errors import UserError

SPLITS = ("train", "dev", "test")
SAMPLE_RATE_HZ = 16_000  # of all prepared audio
FILES = ("wav.scp", "text", "utt2spk", "utt2lang", "utt2group", "utt2dur")
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
    """

    utt_id: str
    wav: str
    text: str
    speaker: str
    language: str
    group: str
    duration_s: float


def format_duration(duration_s: float) -> str:
    """Write seconds such that a whole number of 16-kHz samples survives (1 / 16000 s has seven decimals)."""
    text = f"{duration_s:.7f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def _values(utterance: Utterance) -> tuple[str, ...]:
    """Return one value for each of ``FILES``."""
    return (
        utterance.wav,
        utterance.text,
        utterance.speaker,
        utterance.language,
        utterance.group,
        format_duration(utterance.duration_s),
    )


def write_two_columns(path: Path, mapping: Mapping[str, str]) -> None:
    """Write ``<key> <value>`` lines sorted by key, atomically; a file with these lines already stays untouched.

    Raises:
        ValueError: If a key holds white space or a value a line end; such a file could not be read back.
    """
    for key, value in mapping.items():
        if not key or key.split() != [key] or "\n" in value or "\r" in value:
            raise ValueError(f"{path}: not a line of two columns: {key!r} {value!r}")
    write_if_changed(path, "".join(f"{key} {mapping[key]}\n" for key in sorted(mapping)))


def read_two_columns(path: Path) -> dict[str, str]:
    """Read ``<key> <value>`` lines in the order of the file; a key alone has the value ``""``.

    Raises:
        UserError: If the file is missing or a key comes twice; the message names file and line.
    """
    mapping: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        key, _, value = line.partition(" ")
        if key in mapping:
            raise UserError(f"{path}:{number}: {key} is there twice")
        mapping[key] = value
    return mapping


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run the earlier stages first") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None
    return text.removesuffix("\n").split("\n") if text else []


def write_data_dir(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a data directory; files that would not change stay untouched.

    Args:
        path: Folder; made if it is not there.
        utterances: In any order.

    Raises:
        ValueError: If two utterances have one id.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.utt_id)
    columns: list[dict[str, str]] = [{} for _ in FILES]
    for utterance in ordered:
        if utterance.utt_id in columns[0]:
            raise ValueError(f"{path}: two utterances are called {utterance.utt_id}")
        for column, value in zip(columns, _values(utterance), strict=True):
            column[utterance.utt_id] = value
    for name, column in zip(FILES, columns, strict=True):
        write_two_columns(path / name, column)


def _problems_of_file(path: Path, lines: list[str]) -> Iterable[str]:
    previous = ""
    for number, line in enumerate(lines, start=1):
        key, _, value = line.partition(" ")
        where = f"{path}:{number}"
        if not key or key.split() != [key]:
            yield f"{where}: the line does not begin with an utterance id without white space: {line[:80]!r}"
        elif not value.strip():
            yield f"{where}: {key} has no value"
        elif path.name in ("utt2spk", "utt2lang", "utt2group") and value.split() != [value]:
            yield f"{where}: white space in {value!r}"
        elif path.name == "utt2dur" and not _is_duration(value):
            yield f"{where}: not a duration in seconds above zero: {value!r}"
        if key == previous:
            yield f"{where}: {key} is there twice"
        elif key < previous:
            yield f"{where}: {key} comes after {previous}; sort the file by LC_ALL=C"
        previous = key


def _is_duration(value: str) -> bool:
    try:
        duration_s = float(value)
    except ValueError:
        return False
    return math.isfinite(duration_s) and duration_s > 0


def _problems(path: Path, lines: Mapping[str, list[str]], check_audio: bool) -> Iterable[str]:
    for name in FILES:
        yield from _problems_of_file(path / name, lines[name])
    keys = {name: [line.partition(" ")[0] for line in lines[name]] for name in FILES}
    everywhere = set().union(*keys.values())
    for name in FILES:
        missing = sorted(everywhere - set(keys[name]))
        if missing:
            yield f"{path / name}: {len(missing)} utterances of the other files are missing, such as {missing[0]}"
    if check_audio:
        for number, line in enumerate(lines["wav.scp"], start=1):
            wav = line.partition(" ")[2]
            if wav and not Path(wav).is_file():
                yield f"{path / 'wav.scp'}:{number}: no such file: {wav}"


def validate_data_dir(path: Path, *, check_audio: bool = True, allow_empty: bool = False) -> None:
    """Check a data directory.

    Args:
        path: The folder.
        check_audio: Whether each file in ``wav.scp`` must exist.
        allow_empty: Whether a directory without utterances is fine.

    Raises:
        UserError: With file and line of the first problems.
    """
    _read_lines(path, check_audio=check_audio, allow_empty=allow_empty)


def _read_lines(path: Path, *, check_audio: bool, allow_empty: bool) -> dict[str, list[str]]:
    lines = {name: _lines(path / name) for name in FILES}
    problems = list(_problems(path, lines, check_audio))
    if not any(lines.values()) and not allow_empty:
        problems.append(f"{path}: no utterances")
    if problems:
        shown = "\n  ".join(problems[:_MOST_PROBLEMS_SHOWN])
        more = len(problems) - _MOST_PROBLEMS_SHOWN
        ending = f"\n  and {more} more" if more > 0 else ""
        raise UserError(f"{path} is not a valid data directory:\n  {shown}{ending}")
    return lines


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
    lines = _read_lines(path, check_audio=check_audio, allow_empty=allow_empty)
    utterances = []
    for row in zip(*(lines[name] for name in FILES), strict=True):
        utt_id = row[0].partition(" ")[0]
        wav, text, speaker, language, group, duration = (line.partition(" ")[2] for line in row)
        utterances.append(Utterance(utt_id, wav, text, speaker, language, group, float(duration)))
    return utterances
