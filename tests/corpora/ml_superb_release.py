"""Small releases of ML-SUPERB in both packagings, with tones for speech."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asr_dro.corpora.corpus import CorpusRequest
from asr_dro.data.config import DataConfig

RATE_HZ = 16_000
LISTS = ("10min_train", "1h_train", "10min_dev", "10min_test")


def tone(number: int) -> bytes:
    """Return a WAV file of 0.2 s whose pitch tells utterances apart."""
    time_s = np.arange(RATE_HZ // 5) / RATE_HZ
    file = io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * (200 + number) * time_s), RATE_HZ, format="WAV")
    return file.getvalue()


def write_pair(folder: Path, prefix: str, counts: Mapping[str, int]) -> None:
    """Write ``<corpus>/<label>`` with ``counts`` utterances per list; the list of 1 h begins with that of 10 min."""
    wav = folder / "wav"
    wav.mkdir(parents=True)
    number = 0
    for name in LISTS:
        first = 0 if name == "1h_train" else number
        number = max(number, first + counts[name])
        ids = [f"{prefix}_{folder.name}_{index:06d}" for index in range(first, first + counts[name])]
        lines = [f"{utterance}\t1.5\tText of {utterance}, 3 words.\n" for utterance in ids]
        (folder / f"transcript_{name}.txt").write_text("".join(lines), encoding="utf-8")
    for index in range(number):
        (wav / f"{prefix}_{folder.name}_{index:06d}.wav").write_bytes(tone(index))


def write_folders(root: Path, pairs: Sequence[tuple[str, str, str]]) -> Path:
    """Write a release as folders; pairs are (corpus, prefix of ids, label)."""
    for corpus, prefix, label in pairs:
        write_pair(root / corpus / label, prefix, {"10min_train": 2, "1h_train": 5, "10min_dev": 2, "10min_test": 3})
    return root


def shard_row(utterance: str, language: str, number: int = 0, text: str | None = None) -> dict[str, Any]:
    """Return a row of the parquet packaging."""
    text = f"[{language}] text of {utterance}" if text is None else text
    return {"id": utterance, "language": language, "audio": {"bytes": tone(number), "path": None}, "text": text}


def write_shard(path: Path, rows: Sequence[Mapping[str, Any]], rows_per_group: int = 4) -> Path:
    """Write a shard as the Hugging Face hub stores audio."""
    import pyarrow
    import pyarrow.parquet

    audio = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    text = pyarrow.string()
    schema = pyarrow.schema([("id", text), ("language", text), ("audio", audio), ("text", text)])
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), path, row_group_size=rows_per_group)
    return path


def request(source: Path, languages: str, duration: str = "all", **config: Any) -> CorpusRequest:
    """Ask for languages, separated by spaces; ``only`` is a key of the request, the others of ``DataConfig``."""
    only = config.pop("only", {})
    return CorpusRequest(
        source=source,
        languages=sorted(languages.split()),
        config=DataConfig.from_mapping(config, "test"),
        cache=source.parent / "cache",
        only={label: frozenset(names) for label, names in only.items()},
        duration=duration,
    )
