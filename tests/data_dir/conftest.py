"""A release of tones, as a fixture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data_dir.tones import HEADER, MakeRelease, write_tone


@pytest.fixture
def make_release(tmp_path: Path) -> MakeRelease:
    """Return a function that writes a release with tones and returns its folder."""

    def make(*, locales: tuple[str, ...] = ("es",), clips: int = 3, seconds: float = 0.6) -> Path:
        release = tmp_path / "release"
        encoded = tmp_path / "32.mp3", tmp_path / "48.mp3"  # encoding is slow, so each sample rate is encoded once
        for tone, rate_hz in zip(encoded, (32_000, 48_000), strict=True):
            write_tone(tone, seconds=seconds, rate_hz=rate_hz)
        for locale in locales:
            number = 0
            for split in ("train", "dev", "test"):
                rows = [HEADER]
                for _ in range(clips):
                    number += 1
                    path = f"common_voice_{locale}_{number}.mp3"
                    target = release / locale / "clips" / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(encoded[number % 2], target)
                    rows.append((f"client {split} {number % 2}", path, "0", f"Hola, número {number}.", locale))
                table = "".join("\t".join(row) + "\n" for row in rows)
                (release / locale / f"{split}.tsv").write_text(table)
        return release

    return make
