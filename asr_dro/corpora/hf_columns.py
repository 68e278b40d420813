"""Columns of a saved Hugging Face dataset: which holds what, and the values of rows and clips."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import types

from asr_dro.corpora.manifest_values import RowError
from asr_dro.errors import UserError

TEXT = ("text", "sentence", "transcription", "transcript")
LANGUAGE = ("lang", "language", "locale")
SPEAKER = ("speaker", "speaker_id", "client_id")
_HIGHEST_RATE_HZ = 768_000
_PEAK = 0.9  # of what was louder than full scale: resampling may overshoot a little


@dataclass(frozen=True)
class Columns:
    """Names of the columns; empty where there is none.

    Args:
        audio: Encoded audio, its path, or samples.
        text: Transcripts.
        language: Codes.
        speaker: Names.
        corpus: Names of corpora.
        duration: Seconds.
        rate: Sample rate of samples.
        id: Names of the rows.
        classes: For columns of numbers that stand for names, the names.
    """

    audio: str
    text: str
    language: str
    speaker: str
    corpus: str
    duration: str
    rate: str
    id: str
    classes: Mapping[str, Sequence[str]]


def find_columns(schema: Any, where: Path) -> Columns:
    """Find out which column holds what.

    Args:
        schema: A ``pyarrow.Schema``.
        where: The dataset, for messages.

    Raises:
        UserError: If there is no audio or no text; the message lists the columns.
    """
    classes = _class_names(schema)

    def first(names: Sequence[str], *checks: Callable[[Any], bool]) -> str:
        for name in names:
            if schema.names.count(name) == 1 and any(check(schema.field(name).type) for check in checks):
                return name
        return ""

    audio = first(("audio", "input_values"), _is_audio) or first(schema.names, _is_audio_struct)
    text = first(TEXT, _is_text)
    problems = [] if audio else ["no audio: a column `audio`, or `input_values` with lists of samples"]
    problems += [] if text else [f"no text: a column of strings {', '.join(TEXT[:-1])} or {TEXT[-1]}"]
    if problems:
        there = ", ".join(f"{field.name} ({str(field.type)[:40]})" for field in schema) or "none"
        raise UserError(f"{where} has " + " and ".join(problems) + f"\n  Columns there: {there}")
    return Columns(
        audio=audio,
        text=text,
        language=first(LANGUAGE, _is_text) or first([name for name in LANGUAGE if name in classes], types.is_integer),
        speaker=first(SPEAKER, _is_text, types.is_integer),
        corpus=first(("corpus",), _is_text)
        or first([name for name in ("corpus",) if name in classes], types.is_integer),
        duration=first(("duration",), types.is_integer, types.is_floating),
        rate=first(("sampling_rate",), types.is_integer),
        id=first(("id",), _is_text, types.is_integer),
        classes=classes,
    )


def _is_text(kind: Any) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_list(kind: Any) -> bool:
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and types.is_floating(kind.value_type))


def _is_audio_struct(kind: Any) -> bool:
    if not types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    encoded = "bytes" in fields and (types.is_binary(fields["bytes"]) or types.is_large_binary(fields["bytes"]))
    return bool(encoded or ("array" in fields and _is_list(fields["array"])))


def _is_audio(kind: Any) -> bool:
    whole = types.is_binary(kind) or types.is_large_binary(kind) or types.is_string(kind) or types.is_large_string(kind)
    return bool(whole or _is_list(kind) or _is_audio_struct(kind))


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Return the names behind numbers, from the features in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        named = {column: feature.get("names") for column, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {
        column: names
        for column, names in named.items()
        if isinstance(names, list) and all(isinstance(name, str) for name in names)
    }


def values(batch: Any, column: str, classes: Mapping[str, Sequence[str]]) -> list[object]:
    """Return the values of a column; in the place of a string that is not UTF-8, the error.

    Args:
        batch: A ``pyarrow.RecordBatch``.
        column: Name of the column.
        classes: Names behind numbers.
    """
    array = batch.column(column)
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_string(array.type) or types.is_large_string(array.type):
        array = array.cast(pyarrow.binary() if types.is_string(array.type) else pyarrow.large_binary())
    found: list[object] = array.to_pylist()
    if types.is_binary(array.type) or types.is_large_binary(array.type):
        return [_decoded(value) for value in found]
    if names := classes.get(column):
        return [_class_name(value, names) for value in found]
    return found


def _decoded(value: Any) -> object:
    try:
        return value if value is None else value.decode()
    except UnicodeDecodeError as error:
        return error


def _class_name(value: object, names: Sequence[str]) -> object:
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return None  # -1 stands for a value that is not known


def check_rate(value: object) -> None:
    """Check a row's sample rate.

    Raises:
        RowError: If it is none.
    """
    if not _is_rate(value):
        raise RowError(f"sampling_rate is {value}")


def _is_rate(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= _HIGHEST_RATE_HZ


def audio_of(scalar: Any, rate_hz: int, folder: Path) -> bytes | Path | None:
    """Return a clip as a file or the bytes of one.

    Args:
        scalar: A ``pyarrow.Scalar`` of the audio column.
        rate_hz: Sample rate of samples.
        folder: What relative paths start from.

    Returns:
        Bytes as they are, those of a 32-bit float WAV for samples, a path; None if the row has no audio.
    """
    if not scalar.is_valid:
        return None
    if types.is_struct(scalar.type):
        fields = set(scalar)
        if "array" in fields and scalar["array"].is_valid:
            known: Any = scalar["sampling_rate"].as_py() if "sampling_rate" in fields else None
            return _wav(scalar["array"], known if _is_rate(known) else rate_hz)
        content = scalar["bytes"].as_py() if "bytes" in fields else None
        path = scalar["path"].as_py() if "path" in fields else None
        return content if content is not None else folder / path if path else None
    if _is_list(scalar.type):
        return _wav(scalar, rate_hz)
    value = scalar.as_py()
    return folder / value if isinstance(value, str) else bytes(value)


def _wav(samples: Any, rate_hz: int) -> bytes:
    import numpy as np
    import soundfile

    wave = np.asarray(samples.values.to_numpy(zero_copy_only=False), dtype=np.float32)  # (T,)
    peak = float(np.abs(wave).max(initial=0.0))
    if np.isfinite(peak) and peak > 1.0:  # features of variance 1 would be clipped
        wave = wave * np.float32(_PEAK / peak)
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()
