"""Manifests for tests, and what is read from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asr_dro.corpora.corpus import CorpusRequest, Part, Quarantined, Row
from asr_dro.corpora.manifest import open_corpus
from asr_dro.corpora.manifest_lines import Segment
from asr_dro.data.config import DataConfig


def line(path: object = "a.wav", text: object = "hei", **more: Any) -> dict[str, Any]:
    return {"audio_filepath": path, "text": text, **more}


def write_lines(path: Path, lines: Iterable[object]) -> None:
    """Objects become JSON; bytes stand as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines) + b"\n")


def request(source: Path, languages: str = "fin", **config: Any) -> CorpusRequest:
    return CorpusRequest(source, languages.split(), DataConfig(**config), cache=source.parent / "cache")


def open_part(source: Path, languages: str = "fin", **config: Any) -> Part:
    (part,) = open_corpus(request(source, languages, **config))
    return part


def read(source: Path, languages: str = "fin", split: str = "train", **config: Any) -> list[Row | Quarantined]:
    return list(open_part(source, languages, **config).rows(split))


def paths(items: Iterable[Row | Quarantined]) -> list[str]:
    return [Segment.of_clip(item.clip).path for item in items if isinstance(item, Row)]


def reasons(items: Iterable[Row | Quarantined]) -> dict[str, str]:
    return {item.clip: item.reason for item in items if isinstance(item, Quarantined)}
