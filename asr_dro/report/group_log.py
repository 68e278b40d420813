"""Reading the log of the group weights, which may have a line for every batch of a training of days."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asr_dro.errors import UserError
from asr_dro.report.formats import number

MAX_RECORDS = 5000  # kept in memory: 5,000 updates of 143 groups take 0.16 GB, 200,000 would take 6.5
_BLOCK = 1 << 20  # bytes


def read_updates(path: Path, max_records: int = MAX_RECORDS) -> list[dict[str, Any]]:
    """Read ``groups.jsonl``; of a long log, neighbouring updates are merged.

    Args:
        path: The log; a last line cut off by a kill is left out.
        max_records: Longest log that is kept as it is, and most records of a longer one.

    Returns:
        Its lines, none if the file is absent. A merged record has the number and the weights of its last update, the
        mean loss of each group over the updates that have one, the sum of its visits, and ``n_updates``.

    Raises:
        UserError: If a line is not JSON.
    """
    if not path.exists():
        return []
    size = -(-_count_lines(path) // max_records)
    if size <= 1:
        return list(_records(path))
    merged: list[dict[str, Any]] = []
    chunk: list[Mapping[str, Any]] = []
    for record in _records(path):
        chunk.append(record)
        if len(chunk) == size:
            merged.append(_merge(chunk))
            chunk = []
    return merged + ([_merge(chunk)] if chunk else [])


def _count_lines(path: Path) -> int:
    n_lines = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            n_lines += block.count(b"\n")
    return n_lines


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8", newline="\n") as file:
        for line_number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{line_number}: not JSON ({error}); remove that line") from error
            if isinstance(record, dict):
                yield record


def _merge(chunk: list[Mapping[str, Any]]) -> dict[str, Any]:
    losses: dict[str, list[float]] = {}
    visits: dict[str, float] = {}
    for record in chunk:
        for key, value in _numbers(record, "loss"):
            losses.setdefault(key, []).append(value)
        for key, value in _numbers(record, "visits"):
            visits[key] = visits.get(key, 0.0) + value
    loss = {key: sum(values) / len(values) for key, values in losses.items()}
    return {**chunk[-1], "loss": loss, "visits": visits, "n_updates": len(chunk)}


def _numbers(record: Mapping[str, Any], name: str) -> Iterator[tuple[str, float]]:
    values = record.get(name)
    for key, value in values.items() if isinstance(values, dict) else ():
        known = number(value)
        if known is not None:
            yield key, known
