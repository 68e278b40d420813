"""Read the small files of an experiment leniently: a damaged one costs its own numbers, never the table."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

LONGEST_TEXT = 200  # characters of an error message that a table shows
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # line breaks, tabs, escape sequences of terminals
_LONG_PART = b', "train": '  # of a line of train.jsonl: from here on it is about languages, by far the longest part


class UnreadableError(Exception):
    """A file is there but cannot be understood; the message says why."""


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object, empty if there is no such file.

    Raises:
        UnreadableError: If the file cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableError(f"{path.name} cannot be read: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{path.name} holds no JSON object")
    return value


def read_yaml_mapping(text: str) -> dict[str, Any]:
    """Parse a YAML mapping, with the parser in C where there is one (eight times as fast).

    Raises:
        UnreadableError: If the text is no YAML mapping.
    """
    import yaml

    try:
        value = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableError(f"not YAML: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise UnreadableError("no mapping of keys to values")
    return {str(key): item for key, item in value.items()}


def read_epochs(path: Path) -> tuple[int, float]:
    """Count the epochs of ``train.jsonl``; lines that are damaged or cut off are passed over.

    Returns:
        Number of epochs, and the seconds that they took together (training alone, without dev).
    """
    seconds: list[float] = []
    try:
        with open(path, "rb") as file:
            for line in file:
                if (record := _epoch(line)) is not None:
                    seconds.append(finite(record.get("seconds")) or 0.0)
    except OSError:
        pass
    return len(seconds), math.fsum(seconds)


def _epoch(line: bytes) -> dict[str, Any] | None:
    """Parse the short beginning of a line where it has what is needed, else all of it; ``None`` if it is damaged."""
    if not line.endswith(b"\n"):
        return None
    head, cut, _ = line.partition(_LONG_PART)
    for text in (head + b"}", line) if cut else (line,):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and "epoch" in record and ("seconds" in record or text is line):
            return record
    return None


def finite(value: object) -> float | None:
    """Return a number that is one, ``None`` for anything else (``true``, texts, NaN)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping that is one, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def one_line(value: object) -> str:
    """Write any value as one line of bounded length without control characters; nothing for ``None``."""
    text = "" if value is None else " ".join(_NOT_SHOWN.sub(" ", str(value)).split())
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
