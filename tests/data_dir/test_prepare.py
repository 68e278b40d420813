"""Stage 1: every row ends as an utterance or in quarantine, and nothing is done twice or lost."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import read_data_dir, validate_data_dir
from asr_dro.data.prepare import Preparation, prepare
from asr_dro.errors import UserError
from tests.data_dir.tones import HEADER, MakeRelease, write_tone


def asked_for(release: Path, data_dir: Path, codes: tuple[str, ...] = ("spa",), audio: str = "convert") -> Preparation:
    return Preparation("mini", release, codes, data_dir, "mini_" + "+".join(codes), config=DataConfig(audio=audio))


def inodes(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_ino for path in sorted(folder.rglob("*")) if path.is_file()}


def add_rows(table: Path, rows: list[tuple[str, str]]) -> None:
    with open(table, "a", encoding="utf-8", newline="") as file:
        file.writelines("\t".join(("client", clip, "0", sentence, "es")) + "\n" for clip, sentence in rows)


def test_prepared_set(make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_release(locales=("es", "fi"))
    monkeypatch.chdir(tmp_path)
    asked = asked_for(Path("release"), Path("my data"), ("fin", "spa"))
    assert prepare(asked)
    for split in ("train", "dev", "test"):
        validate_data_dir(asked.prepared / split)
        utterances = read_data_dir(asked.prepared / split)
        assert len(utterances) == 6
        for utterance in utterances:
            language, speaker_hash, clip = utterance.utt_id.split("-", maxsplit=2)
            locale = {"spa": "es", "fin": "fi"}[language]
            assert utterance.speaker == f"{language}-{speaker_hash}"
            assert len(speaker_hash) == 16
            assert utterance.wav == f"my data/audio/mini/{language}/{locale}/{clip}.flac"
            assert utterance.text == f"hola número {clip.rsplit('_', maxsplit=1)[1]}"
            assert utterance.language == utterance.group == language
            assert 0.6 <= utterance.duration_s < 0.75
    assert (asked.prepared / "quarantine.tsv").read_text() == "language\tsplit\tclip\treason\n"


def test_second_run_does_nothing(make_release: MakeRelease, tmp_path: Path) -> None:
    asked = asked_for(make_release(), tmp_path / "data")
    assert prepare(asked)
    before = inodes(tmp_path / "data")
    assert not prepare(asked)
    assert inodes(tmp_path / "data") == before


def test_only_what_is_missing_is_redone(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release(locales=("es", "fi"))
    prepare(asked_for(release, tmp_path / "data"))
    before = inodes(tmp_path / "data/audio")
    prepare(asked_for(release, tmp_path / "data", ("fin", "spa")))
    after = inodes(tmp_path / "data/audio")
    assert before.items() <= after.items()  # Spanish audio serves both sets

    write_tone(release / "es/clips/new.mp3")
    add_rows(release / "es/dev.tsv", [("new.mp3", "nueva")])
    assert prepare(asked_for(release, tmp_path / "data"))
    assert "nueva" in (tmp_path / "data/mini_spa/dev/text").read_text()
    last = inodes(tmp_path / "data/audio")
    assert {path for path in after if last[path] != after[path]} == {str(tmp_path / "data/audio/mini/spa/es.tsv")}


def test_another_release_at_the_same_place(make_release: MakeRelease, tmp_path: Path) -> None:
    asked = asked_for(make_release(clips=1), tmp_path / "data")
    prepare(asked)
    shutil.rmtree(asked.source)
    make_release(clips=1, seconds=1.2)
    assert prepare(asked)
    assert read_data_dir(asked.prepared / "train")[0].duration_s >= 1.2


def test_quarantine(make_release: MakeRelease, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    release = make_release()
    clips = release / "es/clips"
    good = (clips / "common_voice_es_1.mp3").read_bytes()
    (clips / "zero.mp3").touch()
    (clips / "cut.mp3").write_bytes(good[: len(good) // 2])
    for name in ("long.mp3", "dots.mp3", "quoted.mp3"):
        write_tone(clips / name, seconds=20.5 if name == "long.mp3" else 0.6)
    write_tone(clips / "short.flac", seconds=0.05)
    rows = [(name, "a") for name in ("zero.mp3", "short.flac", "cut.mp3", "gone.mp3", "long.mp3")]
    rows += [("dots.mp3", "¡…!")]
    rows += [("../../etc/passwd", "a"), ("quoted.mp3", 'dijo "hola'), ("a\u2028b.mp3", "a"), ("extra.mp3", "a\tb")]
    add_rows(release / "es/train.tsv", rows)
    add_rows(release / "es/test.tsv", [("long.mp3", "a")])
    asked = asked_for(release, tmp_path / "data")
    assert prepare(asked)
    found = (asked.prepared / "quarantine.tsv").read_text()
    assert re.sub(r"[0-9.]+ s of 0\.60 s", "a part", found).splitlines() == [
        "language\tsplit\tclip\treason",
        "spa\ttrain\tzero.mp3\tzero bytes",
        "spa\ttrain\tshort.flac\t0.050 s is shorter than 0.1 s",
        "spa\ttrain\tcut.mp3\ttruncated or corrupt: a part decoded",
        "spa\ttrain\tgone.mp3\tno such file",
        "spa\ttrain\tlong.mp3\t20.5 s is longer than 20 s",
        "spa\ttrain\tdots.mp3\tsentence is empty after normalisation",
        "spa\ttrain\t../../etc/passwd\tpath outside the clips folder",
        "spa\ttrain\ta\\u2028b.mp3\tpath with white space or control characters",
        "spa\ttrain\ttrain.tsv:14\t6 fields where the header has 5",
    ]
    assert "train 13 = 4 + 9, dev 3 = 3 + 0, test 4 = 4 + 0" in caplog.text
    assert "dijo hola" in (asked.prepared / "train/text").read_text()
    assert (
        max(utterance.duration_s for utterance in read_data_dir(asked.prepared / "test")) > 20
    )  # whole test sets are scored


def test_mended_clip_is_taken_in(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release()
    add_rows(release / "es/train.tsv", [("late.mp3", "tarde")])
    asked = asked_for(release, tmp_path / "data")
    prepare(asked)
    write_tone(release / "es/clips/late.mp3")
    assert prepare(asked)
    assert "tarde" in (asked.prepared / "train/text").read_text()


def test_nothing_usable(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release(locales=("es", "fi"))
    for clip in (release / "fi/clips").iterdir():
        clip.write_bytes(b"")
    asked = asked_for(release, tmp_path / "data", ("fin", "spa"))
    with pytest.raises(UserError, match=r"no usable training clip for fin; the reasons are in .*quarantine\.tsv"):
        prepare(asked)
    assert (asked.prepared / "quarantine.tsv").read_text().count("zero bytes") == 9
    assert not (asked.prepared / ".done.json").exists()


def test_a_language_without_dev_is_only_warned_of(
    make_release: MakeRelease, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    release = make_release()
    (release / "es/dev.tsv").write_text("\t".join(HEADER) + "\n")
    assert prepare(asked_for(release, tmp_path / "data"))
    assert "dev has no utterance of spa" in caplog.text


def test_name_that_two_locales_share(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release(locales=("zh-CN", "zh-TW"), clips=1)
    for locale in ("zh-CN", "zh-TW"):
        write_tone(release / locale / "clips/same.mp3")
        add_rows(release / locale / "train.tsv", [("same.mp3", "三")])
    asked = asked_for(release, tmp_path / "data", ("cmn",))
    assert prepare(asked)
    assert len(read_data_dir(asked.prepared / "train")) == 3
    assert "another clip of the corpus has this speaker and name" in (asked.prepared / "quarantine.tsv").read_text()


def test_checked_before_any_work(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release()
    asked = asked_for(release, tmp_path / "data", ("fin", "spa"))
    with pytest.raises(UserError, match=r"no fin \(Finnish\): locale fi is not there"):
        prepare(asked)
    assert not (tmp_path / "data").exists()
    with pytest.raises(UserError, match="--nj must be at least 1"):
        dataclasses.replace(asked, nj=0)
    with pytest.raises(UserError, match="control characters"):
        dataclasses.replace(asked, data_dir=tmp_path / "a\tb")
    with pytest.raises(UserError, match=r"--duration 10m: not an amount of audio; allowed are 10min, 1h, .* and all"):
        dataclasses.replace(asked, duration="10m")


def test_file_in_the_place_of_the_data_folder(make_release: MakeRelease, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OSError, match="data"):
        prepare(asked_for(make_release(clips=1), tmp_path / "data"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system to fill")
@pytest.mark.parametrize(("audio", "ending"), [("convert", ".flac"), ("pack", ".ark")])
def test_full_disk(
    make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audio: str, ending: str
) -> None:
    release = make_release(clips=12, seconds=2.0)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let root mount: {mounted.stderr.decode().strip()}")
    try:
        asked = asked_for(release, disk / "data", audio=audio)
        with pytest.raises(UserError, match=r"16 kHz audio of 36 clips, about 0\.1 h, needs 0\.0 GB in .*--data-dir"):
            prepare(asked)
        assert {path.name for path in disk.rglob("*") if path.is_file()} == {".lock", "data.yaml"}
        monkeypatch.setattr("asr_dro.data.prepare.check_room", lambda *_: None)  # clips may be larger than thought
        with pytest.raises(OSError, match=rf"No space left on device: '.*\{ending}'"):
            prepare(asked)
        assert list(disk.rglob("*.tmp.*")) == []
        assert not (asked.prepared / ".done.json").exists()
        whole = [path.stat().st_ino for path in sorted(disk.rglob(f"*{ending}"))]
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert prepare(asked)
        assert {path.stat().st_ino for path in disk.rglob(f"*{ending}")} >= set(whole) != set()
        assert len(read_data_dir(asked.prepared / "train", check_audio=True)) == 12
    finally:
        subprocess.run(["umount", disk], check=True)
