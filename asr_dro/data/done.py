"""Markers of finished work: what an output was made from, so that a re-run knows whether anything is left to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asr_dro.fileio import atomic_open, write_json


def fingerprint(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Return ``{real path: [size in bytes, time of change in ns]}``; a missing file has size -1."""
    found = {}
    for path in paths:
        try:
            status = path.stat()
            found[os.path.realpath(path)] = [status.st_size, status.st_mtime_ns]
        except FileNotFoundError:
            found[os.path.realpath(path)] = [-1, 0]
    return found


def is_made_from(marker: Path, inputs: Mapping[str, Any], outputs: Iterable[Path] = ()) -> bool:
    """Tell whether ``marker`` records exactly ``inputs`` and every one of ``outputs`` is still there."""
    try:
        recorded = json.loads(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return bool(recorded == json.loads(json.dumps(inputs))) and all(path.exists() for path in outputs)


def mark_made_from(marker: Path, inputs: Mapping[str, Any]) -> None:
    """Write ``marker``; call it last."""
    write_json(marker, inputs)


def write_if_changed(path: Path, text: str) -> None:
    """Write ``text`` atomically unless the file has it already: later stages then see an untouched input."""
    try:
        if path.read_bytes() == text.encode():
            return
    except FileNotFoundError:
        pass
    with atomic_open(path) as file:
        file.write(text)
