"""Corpora of tones: quick to make, and their audio is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr_dro.corpora.corpus import AudioSource, EncodedClip, Part, Quarantined, Row

HEADER = ("client_id", "path", "sentence_id", "sentence", "locale")
MakeRelease = Callable[..., Path]


def write_tone(path: Path, *, seconds: float = 0.6, rate_hz: int = 32_000, channels: int = 1) -> None:
    """Write a 440-Hz tone; the second channel, if any, is silent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)
    samples = np.zeros((len(tone), channels), dtype=np.float32)
    samples[:, 0] = tone
    soundfile.write(path, samples, rate_hz, format="MP3" if path.suffix == ".mp3" else None)


class FolderAudio(AudioSource):
    """Clips that are files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked_for: list[str] = []

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        for clip in wanted:
            self.asked_for.append(clip)
            path = self.folder / clip
            if path.exists():
                yield EncodedClip(clip, path, path.stat().st_mtime_ns)

    def path(self, clip: str) -> Path | None:
        return self.folder / clip


class ArchiveAudio(AudioSource):
    """The files of a folder as if they came out of an archive, all as old as the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passes = 0

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        self.passes += 1
        for path in sorted(self.folder.iterdir()):
            if path.name in wanted:
                yield EncodedClip(path.name, path.read_bytes(), self.folder.stat().st_mtime_ns)


class SegmentAudio(AudioSource):
    """Clips ``<name>#<start>-<length>.wav`` of files ``<name>.wav``, in seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        for clip in wanted:
            name, _, extent = clip.removesuffix(".wav").partition("#")
            start_s, length_s = map(float, extent.split("-"))
            path = self.folder / f"{name}.wav"
            yield EncodedClip(clip, path, path.stat().st_mtime_ns, start_s, length_s)


class TablePart(Part):
    """A part whose rows are given; its inputs are a file that stands for the table, and the folder.

    Args:
        folder: Of the audio.
        rows: By split.
        name: Of the part.
        audio: The folder's files if not given.
    """

    def __init__(
        self,
        folder: Path,
        rows: Mapping[str, Sequence[Row | Quarantined]],
        *,
        name: str = "spa/es",
        audio: AudioSource | None = None,
    ) -> None:
        self.name, self._rows, self._folder = name, rows, folder
        self._audio = audio or FolderAudio(folder)

    @property
    def audio(self) -> AudioSource:
        return self._audio

    def inputs(self) -> Sequence[Path]:
        return [self._folder.with_suffix(".table"), self._folder]

    def rows(self, split: str) -> Iterator[Row | Quarantined]:
        yield from self._rows.get(split, ())

    def remarks(self) -> Sequence[str]:
        return [f"{self.name} is made of tones"]


def tone_rows(folder: Path, *, clips: int = 3, language: str = "spa", seconds: float = 0.6) -> dict[str, list[Row]]:
    """Write tones and return rows of all splits: speakers, texts and names are numbered."""
    encoded = [folder.with_name(f"{folder.name}.{rate_hz}.mp3") for rate_hz in (32_000, 48_000)]
    for path, rate_hz in zip(encoded, (32_000, 48_000), strict=True):  # encoding is slow: each rate once
        write_tone(path, seconds=seconds, rate_hz=rate_hz)
    folder.mkdir(exist_ok=True)
    rows: dict[str, list[Row]] = {}
    number = 0
    for split in ("train", "dev", "test"):
        rows[split] = []
        for _ in range(clips):
            number += 1
            (folder / f"{number}.mp3").write_bytes(encoded[number % 2].read_bytes())
            speaker = f"speaker {split} {number % 2}"
            rows[split].append(Row(f"{number}.mp3", f"Hola, número {number}.", speaker, language))
    return rows
