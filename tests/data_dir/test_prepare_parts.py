"""Stage 1 on corpora of any kind: files, archives, segments; kept or converted; groups, speakers, what is dropped."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_dro.corpora.corpus import Part, Quarantined, Row
from asr_dro.data.config import DataConfig, read_data_config
from asr_dro.data.data_dir import SPLITS, read_data_dir, read_two_columns
from asr_dro.data.prepare import Preparation, prepare_parts
from asr_dro.errors import UserError
from tests.data_dir.tones import ArchiveAudio, FolderAudio, SegmentAudio, TablePart, tone_rows, write_tone

KEEP = DataConfig(audio="keep")


def asked_for(folder: Path, **changes: object) -> Preparation:
    asked = Preparation("manifest", folder, ["spa"], folder / "data", "set")
    return dataclasses.replace(asked, **changes)  # type: ignore[arg-type]


def quarantined(asked: Preparation) -> dict[str, str]:
    rows = (asked.prepared / "quarantine.tsv").read_text().splitlines()[1:]
    return {clip: f"{language} {split} {reason}" for language, split, clip, reason in (row.split("\t") for row in rows)}


def wavs(asked: Preparation, split: str) -> list[str]:
    return [Path(wav).stem for wav in read_two_columns(asked.prepared / split / "wav.scp").values()]


def test_files_and_archives_give_the_same(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    archive = ArchiveAudio(tmp_path / "clips")
    from_files, from_archive = (asked_for(tmp_path, corpus=name, name=name) for name in ("manifest", "hf_dataset"))
    assert prepare_parts(from_files, [TablePart(tmp_path / "clips", rows)])
    assert prepare_parts(from_archive, [TablePart(tmp_path / "clips", rows, audio=archive)])
    assert archive.passes == 1  # for all splits
    for split in SPLITS:
        one, other = (read_data_dir(asked.prepared / split, check_audio=True) for asked in (from_files, from_archive))
        assert len(one) == 3
        assert other == [
            dataclasses.replace(u, wav=u.wav.replace("/manifest/", "/hf_dataset/"), corpus="hf_dataset") for u in one
        ]
        for first, second in zip(one, other, strict=True):
            assert Path(first.wav).read_bytes() == Path(second.wav).read_bytes()


def test_kept_files(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    train = [dataclasses.replace(row, duration_s=0.25 * (index + 1)) for index, row in enumerate(rows["train"])]
    (tmp_path / "clips/zero.mp3").touch()
    write_tone(tmp_path / "clips/with space.wav", seconds=0.5)
    others = [Row(clip, "a", "b", "spa", duration_s=1.0) for clip in ("gone.mp3", "zero.mp3", "with space.wav")]
    asked = asked_for(tmp_path, config=KEEP)
    assert prepare_parts(asked, [TablePart(tmp_path / "clips", rows | {"train": [*train, *others]})])
    found = {Path(utterance.wav).name: utterance for utterance in read_data_dir(asked.prepared / "train")}
    assert {name: found[name].duration_s for name in found} == {
        "1.mp3": 0.25, "2.mp3": 0.5, "3.mp3": 0.75, "with space.wav": 1.0,
    }  # fmt: skip
    assert found["1.mp3"].wav == str(tmp_path / "clips/1.mp3")
    assert found["with space.wav"].utt_id.endswith("-with_space")
    for utterance in read_data_dir(asked.prepared / "dev"):  # lengths of headers
        assert utterance.duration_s == pytest.approx(soundfile.info(utterance.wav).duration)
    assert quarantined(asked) == {"gone.mp3": "spa train no such file", "zero.mp3": "spa train zero bytes"}
    assert list((tmp_path / "data").rglob("*.flac")) == []
    assert read_data_config(asked.prepared / "data.yaml") == KEEP


def test_what_has_no_files_cannot_be_kept(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    parts = [
        TablePart(tmp_path / "clips", rows),
        TablePart(tmp_path / "clips", rows, name="spa/es.tar", audio=ArchiveAudio(tmp_path / "clips")),
    ]
    with pytest.raises(UserError, match=r"clips of spa/es\.tar lie in an archive.*unpack them, or use audio: convert"):
        prepare_parts(asked_for(tmp_path, config=KEEP), parts)
    assert not (tmp_path / "data").exists()


def test_segments_of_one_file(tmp_path: Path) -> None:
    steps = np.repeat([0.1, 0.4], 16_000)
    (tmp_path / "long").mkdir()
    soundfile.write(tmp_path / "long/a.wav", steps * np.sin(np.arange(32_000) / 3), 16_000)
    rows = {split: [Row(f"a#{start}-1.wav", "a", "b", "spa") for start in (0, 1)] for split in ("train",)}
    rows["train"].append(Row("a#1.5-1.wav", "a", "b", "spa"))
    asked = asked_for(tmp_path)
    assert prepare_parts(asked, [TablePart(tmp_path / "long", rows, audio=SegmentAudio(tmp_path / "long"))])
    utterances = read_data_dir(asked.prepared / "train")
    peaks = [round(float(np.abs(soundfile.read(utterance.wav)[0]).max()), 2) for utterance in utterances]
    assert peaks == [0.1, 0.4]
    assert [utterance.duration_s for utterance in utterances] == [1.0, 1.0]
    assert quarantined(asked) == {"a#1.5-1.wav": "spa train ends 0.50 s after the end of its file"}
    with pytest.raises(UserError, match="or in longer files"):
        prepare_parts(
            asked_for(tmp_path, config=KEEP),
            [TablePart(tmp_path / "long", rows, audio=SegmentAudio(tmp_path / "long"))],
        )


def test_groups_and_speakers(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips", clips=4)
    values = [("female", " río de\tla\nPlata "), ("", "\x00"), ("male", ""), ("male", "x")]
    train = [dataclasses.replace(row, columns=columns) for row, columns in zip(rows["train"], values, strict=True)]
    train[0] = dataclasses.replace(train[0], speaker="")
    train[1] = dataclasses.replace(train[1], speaker="")
    asked = asked_for(tmp_path, config=DataConfig(group=("gender", "language", "accent")))
    prepare_parts(asked, [TablePart(tmp_path / "clips", {"train": train})])
    by_clip = {Path(utterance.wav).stem: utterance for utterance in read_data_dir(asked.prepared / "train")}
    assert [by_clip[clip].group for clip in "1234"] == [
        "female+spa+río_de_la_Plata", "unknown+spa+_", "male+spa+unknown", "male+spa+x",
    ]  # fmt: skip
    assert len({by_clip[clip].speaker for clip in "12"}) == 2  # unknown speakers are not one
    for utterance in by_clip.values():
        assert utterance.utt_id.startswith(f"{utterance.speaker}-")


@pytest.mark.parametrize(
    ("kind", "audio"), [(FolderAudio, "keep"), (FolderAudio, "convert"), (ArchiveAudio, "convert")]
)
def test_caps(
    tmp_path: Path, kind: type[FolderAudio | ArchiveAudio], audio: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rows: dict[str, Sequence[Row | Quarantined]] = dict(tone_rows(tmp_path / "clips", clips=8))
    rows["train"] = [*rows["train"], Quarantined("x.tsv:3", "one field"), Row("gone.mp3", "a", "b", "spa")]
    drawn: dict[tuple[str, int], list[str]] = {}
    for duration, nj in (("1s", 1), ("2.5s", 1), ("2.5s", 2), ("4s", 1), ("1h", 1)):
        asked = asked_for(tmp_path, name=f"{duration}{nj}", duration=duration, nj=nj, config=DataConfig(audio=audio))
        part = TablePart(tmp_path / "clips", rows, audio=kind(tmp_path / "clips"))
        assert prepare_parts(asked, [part])
        drawn[duration, nj] = wavs(asked, "train")
        assert len(wavs(asked, "dev")) == len(wavs(asked, "test")) == 8
        assert quarantined(asked).items() >= {"x.tsv:3": "spa train one field"}.items()
    assert [len(drawn[duration, 1]) for duration in ("1s", "2.5s", "4s", "1h")] == [1, 4, 6, 8]  # clips of 0.6 s
    assert drawn["2.5s", 1] == drawn["2.5s", 2]
    assert set(drawn["1s", 1]) < set(drawn["2.5s", 1]) < set(drawn["4s", 1]) < set(drawn["1h", 1])
    assert "(rows = utterances + quarantined + not drawn): train 10 = 8 + 2 + 0, dev 8 = 8 + 0 + 0" in caplog.text
    with pytest.raises(UserError, match=r"no usable training clip for spa.*unless --duration 0\.1s is too little"):
        prepare_parts(asked_for(tmp_path, duration="0.1s"), [TablePart(tmp_path / "clips", rows)])


def test_an_archive_is_measured_in_one_pass(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips", clips=8)
    half = [dataclasses.replace(row, language="fin") for row in rows["train"][::2]]
    archive = ArchiveAudio(tmp_path / "clips")
    asked = asked_for(tmp_path, codes=["fin", "spa"], duration="1.5s")
    prepare_parts(asked, [TablePart(tmp_path / "clips", {"train": [*half, *rows["train"][1::2]]}, audio=archive)])
    assert (
        sorted(utterance.language for utterance in read_data_dir(asked.prepared / "train")) == ["fin"] * 2 + ["spa"] * 2
    )
    assert archive.passes == 2  # for the lengths of all languages; for the drawn clips


def test_a_part_with_lists_of_its_own_is_not_drawn_from(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips", clips=8)
    part = TablePart(tmp_path / "clips", rows)
    part.draws_itself = True
    asked = asked_for(tmp_path, duration="1s")
    prepare_parts(asked, [part])
    assert len(wavs(asked, "train")) == 8


def test_rows_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows: dict[str, list[Row]] = tone_rows(tmp_path / "clips")
    silent = tmp_path / "clips/silent.wav"
    soundfile.write(silent, np.full(16_000, 0.5e-4), 16_000, subtype="FLOAT")
    write_tone(tmp_path / "clips/1.wav")
    first = rows["train"][0]
    bad = {
        "silent.wav": "silent",
        "a\tb.mp3": "name with control characters",
        "\ud800.mp3": "not Unicode text",
        "x" * 201 + ".mp3": "name longer than 200 bytes",
        "long.mp3": "21.0 s is longer than 20 s",
        "short.mp3": "0.099 s is shorter than 0.1 s",
        "1.wav": "another clip of the part has this name",
    }
    train = [*rows["train"], *(Row(clip, "a", clip.encode("utf-8", "replace").decode(), "spa") for clip in bad)]
    known = {"long.mp3": 21.0, "short.mp3": 0.099, "1.mp3": float("nan"), "2.mp3": -1.0}
    train = [dataclasses.replace(row, duration_s=known.get(row.clip)) for row in train]
    train += [dataclasses.replace(first, sentence="¿?"), rows["train"][1]]
    asked = asked_for(tmp_path)
    assert prepare_parts(asked, [TablePart(tmp_path / "clips", rows | {"train": train})])
    assert sorted(wavs(asked, "train")) == ["1", "2", "3"]
    lines = (asked.prepared / "quarantine.tsv").read_text().splitlines()[1:]
    reasons = [line.split("\t")[3] for line in lines]
    assert reasons == [
        *bad.values(), "sentence is empty after normalisation",
        "another clip of the corpus has this speaker and name",
    ]  # fmt: skip
    assert [line.split("\t")[2] for line in lines[1:3]] == ["a\\tb.mp3", "\\ud800.mp3"]
    assert "spa/es (rows = utterances + quarantined): train 12 = 3 + 9, dev 3 = 3 + 0, test 3 = 3 + 0" in caplog.text
    assert "spa/es is made of tones" in caplog.text


def test_archives_are_not_read_again_for_broken_clips(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    (tmp_path / "clips/1.mp3").write_bytes(b"no audio")
    rows["train"].append(Row("gone.mp3", "a", "b", "spa"))
    archive = ArchiveAudio(tmp_path / "clips")
    for name in ("first", "second"):
        asked = asked_for(tmp_path, name=name)
        assert prepare_parts(asked, [TablePart(tmp_path / "clips", rows, audio=archive)])
        assert quarantined(asked)["gone.mp3"] == "spa train no such file"
        assert quarantined(asked)["1.mp3"].startswith("spa train cannot be decoded")
    assert archive.passes == 1
    write_tone(tmp_path / "clips/1.mp3")
    os.utime(tmp_path / "clips", ns=(5, 5))  # as a newly downloaded archive
    assert prepare_parts(asked, [TablePart(tmp_path / "clips", rows, audio=archive)])
    assert archive.passes == 2
    assert quarantined(asked) == {"gone.mp3": "spa train no such file"}


def test_a_set_leaves_the_record_of_others_alone(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips", clips=4)
    for name, splits, n_new in (("train", ["train"], 4), ("dev", ["train", "dev"], 4), ("one", ["train"], 0)):
        audio = FolderAudio(tmp_path / "clips")
        content = {"train": rows["train"][: 2 if name == "dev" else 4]} | {split: rows[split] for split in splits[1:]}
        assert prepare_parts(asked_for(tmp_path, name=name), [TablePart(tmp_path / "clips", content, audio=audio)])
        assert len(audio.asked_for) == n_new


def test_lengths_come_from_the_flac_and_a_mended_file_is_tried_again(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    rows["train"].append(Row("gone.mp3", "a", "b", "spa"))
    rows["train"] = [dataclasses.replace(row, duration_s=5.0) for row in rows["train"]]
    (tmp_path / "clips/1.mp3").write_bytes(b"")
    part = TablePart(tmp_path / "clips", rows)
    prepare_parts(asked_for(tmp_path), [part])
    utterances = read_data_dir(tmp_path / "data/set/train")
    assert [utterance.duration_s for utterance in utterances] == [
        soundfile.info(utterance.wav).duration for utterance in utterances
    ]
    gone = {"gone.mp3": "spa train no such file"}
    assert quarantined(asked_for(tmp_path)) == {"1.mp3": "spa train zero bytes"} | gone
    (tmp_path / "clips/1.mp3").write_bytes((tmp_path / "clips/2.mp3").read_bytes())  # the folder looks as before
    again = asked_for(tmp_path, name="again")
    prepare_parts(again, [part])
    assert quarantined(again) == gone


def test_languages_that_may_lack(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part: Part = TablePart(tmp_path / "clips", tone_rows(tmp_path / "clips"))
    lenient = asked_for(tmp_path, codes=["fin", "spa"], config=DataConfig(missing_languages="skip"))
    assert prepare_parts(lenient, [part])
    assert "train has no utterance of fin" in caplog.text
    with pytest.raises(UserError, match="no usable training clip for fin;"):
        prepare_parts(asked_for(tmp_path, codes=["fin", "spa"]), [part])


def test_what_a_change_of_the_configuration_costs(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    audio = FolderAudio(tmp_path / "clips")
    part = TablePart(tmp_path / "clips", rows, audio=audio)
    assert prepare_parts(asked_for(tmp_path), [part])
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/set").glob("*/*")}
    for config, is_new in (
        (DataConfig(task="asr"), False),  # of later stages
        (DataConfig(text="none"), True),
        (DataConfig(shortest_s=0.2), True),
    ):
        asked = asked_for(tmp_path, config=config)
        assert prepare_parts(asked, [part]) == is_new
        assert read_data_config(asked.prepared / "data.yaml") == config
        assert not prepare_parts(asked, [part])
    assert len(audio.asked_for) == 9
    changed = {path.name for path in written if path.stat().st_mtime_ns != written[path]}
    assert changed == {"text"}
    assert "número" in (tmp_path / "data/set/train/text").read_text()
