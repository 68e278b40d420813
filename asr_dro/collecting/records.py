"""Rows for programs: TSV and JSON, every number as it is, rates as fractions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from asr_dro.collecting.entries import METRICS, Entry
from asr_dro.collecting.published import Figure

VERSION = 1  # of the JSON; raise it when a key changes its meaning
PUBLISHED = "published"  # the state of rows that are not ours


def record(entry: Entry) -> dict[str, Any]:
    """Return all that is known of a row; JSON-ready, ``None`` where something is unknown."""
    run = entry.run
    numbers: dict[str, Any] = {}
    for metric in METRICS:
        value = entry.values.get(metric)
        parts: dict[str, float | None] = {"": None, "_low": None, "_high": None, "_seed_sd": None}
        if value is not None:
            parts = {"": value.value, "_low": value.low, "_high": value.high, "_seed_sd": value.sd}
        numbers.update({f"{metric}{suffix}": number for suffix, number in parts.items()})
    return {
        "state": entry.state,
        "tag": run.tag,
        "corpus": run.corpus or None,
        "lang_set": run.lang_set or None,
        "model": run.model or None,
        "objective": run.objective or None,
        "settings": dict(entry.settings),
        "seeds": list(entry.seeds),
        "decode": entry.decode or None,
        "split": entry.split,
        **numbers,
        "worst_language": entry.worst_language or None,
        "n_languages": entry.n_languages or None,
        "n_utterances": entry.n_utterances or None,
        "audio_h": run.audio_h,
        "gpu_h": run.gpu_h,
        "cpu_h": run.cpu_h,
        "commit": run.commit or None,
        "host": run.host or None,
        "data": run.data or None,
        "root": str(run.place.root),
        "folder": str(run.place.folder),
        "note": entry.note or None,
    }


def format_json(entries: Iterable[Entry], figures: Sequence[Figure], *, metric: str) -> str:
    """Write rows, and beside them published figures, as one JSON object."""
    value = {
        "version": VERSION,
        "sorted_by": metric,
        "entries": [record(entry) for entry in entries],
        "published": [{name: getattr(figure, name) for name in Figure.__dataclass_fields__} for figure in figures],
    }
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def format_tsv(entries: Iterable[Entry], figures: Sequence[Figure]) -> str:
    """Write rows as TSV with a header line; published figures follow with ``published`` as their state.

    A published figure has its system as tag, its benchmark as corpus, its setting as language set, and the number with
    its metric, source and doubts in the note: it shares no column of numbers with ours.
    """
    records = [record(entry) for entry in entries]
    columns = list(records[0]) if records else ["state", "tag", "corpus", "lang_set", "note"]
    for figure in figures:
        parts = [f"{figure.metric} {figure.value} {figure.unit}", figure.source, figure.note]
        records.append(
            {
                "state": PUBLISHED,
                "tag": figure.system,
                "corpus": figure.benchmark,
                "lang_set": figure.setting,
                "note": "; ".join(part for part in parts if part),
            }
        )
    lines = ["\t".join(columns)]
    lines += ["\t".join(_tsv(row.get(column)) for column in columns) for row in records]
    return "\n".join(lines) + "\n"


def _tsv(value: object) -> str:
    """Write a value without tabs and line breaks; nothing for ``None``."""
    if value is None:
        return ""
    if isinstance(value, dict):
        value = " ".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, list):
        value = " ".join("" if item is None else str(item) for item in value)
    return " ".join((repr(value) if isinstance(value, float) else str(value)).split())
