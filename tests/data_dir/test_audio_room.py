"""The room that stage 1 asks for: that of the clips which are still to be converted, and asked before any is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from asr_dro.corpora.corpus import Row
from asr_dro.data import prepare
from asr_dro.data.audio_parts import CLIP_S, FILE_BYTES, FLAC_BYTES_PER_S
from asr_dro.data.config import DataConfig
from asr_dro.data.prepare import Preparation, prepare_parts
from tests.data_dir.tones import FolderAudio, TablePart, tone_rows

CLIP_BYTES = CLIP_S * FLAC_BYTES_PER_S


class Asked:
    """Stands in for the disk: what stage 1 asked for, and what it had converted by then."""

    def __init__(self, folder: Path, rows: dict[str, list[Row]], audio: str) -> None:
        self.folder, self.rows, self.audio = folder, rows, FolderAudio(folder / "clips")
        self.config = DataConfig(audio=audio)
        self.asked: list[tuple[float, str]] = []

    def check_room(self, folder: Path, needed_bytes: float, what: str) -> None:
        assert folder == self.folder / "data" / ("packs" if self.config.audio == "pack" else "audio") / "manifest"
        assert not self.audio.asked_for
        self.asked.append((needed_bytes, what))

    def prepare(self, name: str, duration: str = "all") -> float:
        """Prepare a set; return the bytes asked for, 0 for none."""
        self.asked.clear()
        self.audio.asked_for.clear()
        asked = Preparation(
            "manifest", self.folder, ["spa"], self.folder / "data", name, config=self.config, duration=duration
        )
        assert prepare_parts(asked, [TablePart(self.folder / "clips", self.rows, audio=self.audio)])
        assert len(self.asked) <= 1
        return self.asked[0][0] if self.asked else 0.0


def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audio: str, **known: float) -> Asked:
    rows = tone_rows(tmp_path / "clips")
    if known:
        rows["train"] = [dataclasses.replace(row, **known) for row in rows["train"]]  # type: ignore[arg-type]
    found = Asked(tmp_path, rows, audio)
    monkeypatch.setattr(prepare, "check_room", found.check_room)
    return found


def test_clips_that_are_converted_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = start(tmp_path, monkeypatch, "convert")
    assert asked.prepare("first") == pytest.approx(9 * (CLIP_BYTES + FILE_BYTES))
    assert asked.asked[0][1] == "16 kHz audio of 9 clips, about 0.0 h,"
    assert asked.prepare("second") == 0
    record = tmp_path / "data/audio/manifest/spa/es.tsv"
    record.unlink()  # as after a kill
    assert asked.prepare("third") == 0
    for name in ("1", "5"):
        (record.parent / "es" / f"{name}.flac").unlink()
    record.unlink()
    assert asked.prepare("fourth") == pytest.approx(2 * (CLIP_BYTES + FILE_BYTES))


def test_packs_need_no_blocks_of_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = start(tmp_path, monkeypatch, "pack")
    assert asked.prepare("first") == pytest.approx(9 * CLIP_BYTES)
    (tmp_path / "data/packs/manifest/spa/es.tsv").unlink()
    assert asked.prepare("second") == 0
    index = tmp_path / "data/packs/manifest/spa/es/index.tsv"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:8]))
    (tmp_path / "data/packs/manifest/spa/es.tsv").unlink()
    assert asked.prepare("third") == pytest.approx(2 * CLIP_BYTES)


def test_lengths_that_tables_say_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of clips of unknown length each counts as the mean of the others."""
    asked = start(tmp_path, monkeypatch, "pack", duration_s=2.0)
    assert asked.prepare("set") == pytest.approx(9 * 2.0 * FLAC_BYTES_PER_S)


def test_clips_that_were_not_drawn_need_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = start(tmp_path, monkeypatch, "pack", duration_s=2.0)
    assert asked.prepare("set", "4s") == pytest.approx((2 + 6) * 2.0 * FLAC_BYTES_PER_S)


def test_kept_audio_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = start(tmp_path, monkeypatch, "keep")
    assert asked.prepare("set") == 0
