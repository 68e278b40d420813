"""Common Voice through stage 1: every row is used or quarantined, and folder and archive give one set."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.release import ReleasedClip, write_archive
from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import FILES, SPLITS, read_data_dir
from asr_dro.data.prepare import Preparation, prepare
from tests.corpora.releases import RELEASE, client, write_locale
from tests.corpora.test_common_voice import HEADER, lines
from tests.data_dir.tones import write_tone

GOOD = "good {split}\tgood_{split}.mp3\ts\tHola {split}.\tes\n"
_folders = itertools.count()


def quarantine(prepared: Path) -> list[list[str]]:
    return [line.split("\t") for line in (prepared / "quarantine.tsv").read_text().removesuffix("\n").split("\n")[1:]]


def _more(body: list[bytes], rng: random.Random) -> list[bytes]:
    """Return the lines, and others that put their fields together anew, most of them with as many as the header."""
    fields = [field for line in body for field in line.split(b"\t")]
    widths = rng.choices((4, 5, 6), (1, 8, 1), k=350 - len(body))
    more = [b"\t".join(rng.choices(fields, k=width)) for width in widths]
    return rng.sample(body + more, 350)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=lines, seed=st.integers(0, 1000), train=st.sampled_from(["official", "validated"]))
def test_ten_thousand_hostile_rows(tmp_path: Path, body: list[bytes], seed: int, train: str) -> None:
    """Three tables of 350 rows each time; most clips have no file, and some of those that have are empty."""
    out = tmp_path / str(next(_folders))
    folder, rng = out / "release/es", random.Random(seed)
    (folder / "clips").mkdir(parents=True)
    durations, tables = "clip\tduration[ms]\n", {split: folder / f"{split}.tsv" for split in SPLITS}
    if train == "validated":
        tables["train"] = folder / "validated.tsv"
    for split in SPLITS:
        good = GOOD.format(split=split).encode()
        table = HEADER.encode() + good + b"\n".join(_more(body, rng))
        tables[split].write_bytes(table)
        (folder / f"clips/good_{split}.mp3").write_bytes(b"content")
        durations += f"good_{split}.mp3\t1500\n"
    (folder / "clips/a.mp3").write_bytes(b"content")
    (folder / "clips/hola.mp3").touch()
    (folder / "clip_durations.tsv").write_text(f"{durations}a.mp3\t900\nhola.mp3\t900\n")
    preparation = Preparation(
        "common_voice", out / "release", ["spa"], out / "data", "set", config=DataConfig(audio="keep", train=train)
    )
    assert prepare(preparation)
    dropped = quarantine(preparation.prepared)
    assert all(len(row) == 4 and row[3] and row[0] == "spa" for row in dropped)
    for split in SPLITS:
        utterances = read_data_dir(preparation.prepared / split, check_audio=True)
        assert any(utterance.utt_id.endswith(f"-good_{split}") for utterance in utterances)
        content = tables[split].read_bytes()
        n_rows = content.count(b"\n") - content.endswith(b"\n")
        assert n_rows == len(utterances) + sum(row[1] == split for row in dropped)
    shutil.rmtree(out)


def _released(number: int) -> ReleasedClip:
    table = (*SPLITS, "validated")[number % 4]
    speaker = client(f"{table} {number % 8 // 4}")
    return ReleasedClip(table, f"common_voice_fi_{number}.mp3", f"Lause {table} {number}.", speaker, 600)


@pytest.mark.parametrize("train", ["official", "validated"])
def test_folder_and_archive_give_one_set(tmp_path: Path, train: str) -> None:
    clips = [_released(number) for number in range(24)]
    folder = write_locale(tmp_path / "folder" / RELEASE / "fi", clips)
    write_tone(tmp_path / "tone.mp3")
    for one in clips:
        shutil.copyfile(tmp_path / "tone.mp3", folder / "clips" / one.path)
    (folder / "clips" / clips[0].path).write_bytes(b"")
    (folder / "clips" / clips[4].path).unlink()
    (tmp_path / "archive").mkdir()
    write_archive(tmp_path / "archive/mcv-scripted-fi-v25.0.tar.gz", folder, f"{RELEASE}/fi")
    for name in ("folder", "archive"):
        preparation = Preparation(
            "common_voice", tmp_path / name, ["fin"], tmp_path / f"{name} data", "set", 1, DataConfig(train=train)
        )
        assert prepare(preparation)
        assert not prepare(preparation)
    sets = [tmp_path / f"{name} data/set" for name in ("folder", "archive")]
    for split in SPLITS:
        for file in FILES[1:]:
            assert (sets[0] / split / file).read_bytes() == (sets[1] / split / file).read_bytes()
    assert len(read_data_dir(sets[0] / "train")) == (4 if train == "official" else 10)
    assert quarantine(sets[0]) == quarantine(sets[1])
    flacs = [
        {path.name: path.read_bytes() for path in (one.parent / "audio/common_voice/fin/fi").glob("*.flac")}
        for one in sets
    ]
    assert flacs[0] == flacs[1]
    assert len(flacs[0]) == (4 if train == "official" else 10) + 12
