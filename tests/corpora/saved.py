"""Saved datasets for tests, and what is read from them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import soundfile
from numpy.typing import NDArray

from asr_dro.corpora.corpus import CorpusRequest, Part, Quarantined, Row
from asr_dro.corpora.hf_dataset import open_corpus
from asr_dro.data.config import DataConfig

Samples = NDArray[np.float32]


def tone(hz: float, samples: int = 320) -> Samples:
    """Return 20 ms of a tone at half of full scale."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / 16_000)).astype(np.float32)


def wav(samples: Samples, rate_hz: int = 16_000) -> bytes:
    """Return a 16-bit WAV."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


def save(
    folder: Path, columns: Mapping[str, Any], *, rows_per_batch: int = 2, classes: Mapping[str, Any] | None = None
) -> Path:
    """Write one split as ``save_to_disk`` does; values are lists or Arrow arrays."""
    table = pyarrow.table(dict(columns))
    features = {column: {"names": names, "_type": "ClassLabel"} for column, names in (classes or {}).items()}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    folder.mkdir(parents=True, exist_ok=True)
    with pyarrow.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_per_batch)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def save_dict(folder: Path, splits: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write several splits as ``DatasetDict.save_to_disk`` does."""
    for name, columns in splits.items():
        save(folder / name, columns)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


def columns(number: int = 3, **more: Sequence[Any]) -> dict[str, Any]:
    """Return columns with audio and text, and others."""
    audio = [{"bytes": wav(tone(1000 + 100 * row)), "path": f"{row}.wav"} for row in range(number)]
    return {"audio": audio, "text": [f"text {row}" for row in range(number)], **more}


def open_part(source: Path, languages: str = "fin", **config: Any) -> Part:
    """Open a dataset."""
    (part,) = open_corpus(CorpusRequest(source, languages.split(), DataConfig(**config), cache=source.parent / "cache"))
    return part


def read(source: Path, languages: str = "fin", **config: Any) -> list[Row | Quarantined]:
    """Return what is in train."""
    return list(open_part(source, languages, **config).rows("train"))


def clips_of(items: Iterable[Row | Quarantined]) -> list[str]:
    """Return the names of the usable rows."""
    return [item.clip for item in items if isinstance(item, Row)]


def reasons(items: Iterable[Row | Quarantined]) -> dict[str, str]:
    """Return what cannot be used, and why."""
    return {item.clip: item.reason for item in items if isinstance(item, Quarantined)}


def decode(content: bytes | Path) -> tuple[Samples, int]:
    """Return samples and sample rate."""
    return soundfile.read(io.BytesIO(content) if isinstance(content, bytes) else content, dtype="float32")  # type: ignore[no-any-return]


def audio(part: Part, clips: Iterable[str]) -> dict[str, tuple[Samples, int]]:
    """Return samples and sample rates of clips."""
    return {clip.clip: decode(clip.content) for clip in part.audio.clips(set(clips))}
