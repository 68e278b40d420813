"""Stage 1 with packs: what other readers find in them, what a kill costs, and that nothing is packed twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kaldiio  # type: ignore[import-untyped]
import numpy as np
import pytest
import soundfile

from asr_dro.corpora.corpus import Row
from asr_dro.data.audio_reading import read_audio
from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import SPLITS, read_two_columns, validate_data_dir
from asr_dro.data.packing import packed_places
from asr_dro.data.prepare import Preparation, prepare_parts
from asr_dro.errors import UserError
from tests.data_dir.tones import ArchiveAudio, FolderAudio, MakeRelease, TablePart, tone_rows, write_tone

ROOT = Path(__file__).parents[2]
PACKED = DataConfig(audio="pack")


def asked_for(folder: Path, config: DataConfig = PACKED, name: str = "set") -> Preparation:
    return Preparation("manifest", folder, ["spa"], folder / "data", name, config=config)


def entries(asked: Preparation, split: str = "train") -> dict[str, str]:
    return dict(read_two_columns(asked.prepared / split / "wav.scp"))


def test_others_read_what_conversion_makes(tmp_path: Path) -> None:
    """kaldiio and ESPnet's reader of wav.scp find in the packs what lies in the files of ``audio: convert``."""
    from espnet2.train.dataset import kaldi_loader  # seconds

    rows = tone_rows(tmp_path / "clips")
    part = TablePart(tmp_path / "clips", rows)
    packed, converted = asked_for(tmp_path), asked_for(tmp_path, DataConfig(), "converted")
    assert prepare_parts(packed, [part])
    assert prepare_parts(converted, [part])
    for split in SPLITS:
        wavs = entries(converted, split)
        loader = kaldi_loader(str(packed.prepared / split / "wav.scp"), float_dtype="float32")
        assert len(wavs) == len(loader) == 3
        for utt_id, place in entries(packed, split).items():
            samples, rate_hz = soundfile.read(wavs[utt_id])
            assert rate_hz == 16_000
            assert kaldiio.load_mat(place)[0] == 16_000
            np.testing.assert_array_equal(kaldiio.load_mat(place)[1], samples)
            np.testing.assert_array_equal(loader[utt_id], samples.astype(np.float32))
            np.testing.assert_array_equal(read_audio(place, len(samples)), read_audio(wavs[utt_id], len(samples)))
        for name in ("text", "utt2dur", "utt2spk", "utt2lang", "utt2group", "utt2corpus"):
            assert (packed.prepared / split / name).read_bytes() == (converted.prepared / split / name).read_bytes()
    assert [path.name for path in (tmp_path / "data/packs").rglob("*.*") if path.is_file() and path.name != ".lock"]
    assert not list((tmp_path / "data/packs").rglob("*.flac"))
    archive = tmp_path / "data/packs/manifest/spa/es/0001.ark"
    assert [name for name, _ in kaldiio.load_ark(str(archive))] == [str(n) for n in range(1, 10)]


def test_a_second_run_opens_no_audio_and_sets_share_packs(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips", clips=4)
    audio = FolderAudio(tmp_path / "clips")
    few = TablePart(tmp_path / "clips", {"train": rows["train"][:2]}, audio=audio)
    assert prepare_parts(asked_for(tmp_path), [few])
    assert not prepare_parts(asked_for(tmp_path), [few])
    assert audio.asked_for == ["1.mp3", "2.mp3"]
    index = tmp_path / "data/packs/manifest/spa/es/index.tsv"
    head = index.read_bytes(), (index.parent / "0001.ark").read_bytes()

    whole = TablePart(tmp_path / "clips", rows, audio=audio)
    more = asked_for(tmp_path, name="more")
    assert prepare_parts(more, [whole])  # clips that are added go behind the others
    assert sorted(audio.asked_for) == sorted(f"{n}.mp3" for n in range(1, 13))
    assert index.read_bytes().startswith(head[0])
    assert (index.parent / "0001.ark").read_bytes().startswith(head[1])
    assert entries(asked_for(tmp_path)).items() <= entries(more).items()
    again = asked_for(tmp_path, name="again")
    assert prepare_parts(again, [whole])
    assert len(audio.asked_for) == 12
    assert entries(again) == entries(more)


@pytest.mark.parametrize("is_archive", [False, True])
def test_only_clips_that_changed_are_packed_anew(tmp_path: Path, is_archive: bool) -> None:
    rows = tone_rows(tmp_path / "clips")
    part = TablePart(tmp_path / "clips", rows, audio=ArchiveAudio(tmp_path / "clips") if is_archive else None)
    assert prepare_parts(asked_for(tmp_path), [part])
    before = entries(asked_for(tmp_path))
    kept = {utt_id: read_audio(place, 9_600) for utt_id, place in before.items()}
    write_tone(tmp_path / "clips/2.mp3", seconds=1.5)
    os.utime(tmp_path / "clips", ns=(7, 7))
    assert prepare_parts(asked_for(tmp_path, name="new"), [part])
    after = entries(asked_for(tmp_path, name="new"))
    assert before.keys() == after.keys()
    changed = [utt_id for utt_id in before if before[utt_id] != after[utt_id]]
    assert sorted(utt_id[-1] for utt_id in changed) == (
        ["1", "2", "3"] if is_archive else ["2"]
    )  # archives have one age
    for utt_id in before:
        seconds = 1.5 if utt_id.endswith("-2") else 0.6
        assert abs(len(read_audio(after[utt_id], round(16_000 * seconds))) - 16_000 * seconds) < 1_600
        np.testing.assert_array_equal(read_audio(before[utt_id], 9_600), kept[utt_id])  # earlier sets stay as they were


def test_a_clip_that_fails_and_is_mended(tmp_path: Path) -> None:
    rows = tone_rows(tmp_path / "clips")
    (tmp_path / "clips/1.mp3").write_bytes(b"")
    rows["train"].append(Row("gone.mp3", "a", "b", "spa"))
    part = TablePart(tmp_path / "clips", rows)
    prepare_parts(asked_for(tmp_path), [part])
    quarantine = (tmp_path / "data/set/quarantine.tsv").read_text()
    assert quarantine.splitlines()[1:] == ["spa\ttrain\t1.mp3\tzero bytes", "spa\ttrain\tgone.mp3\tno such file"]
    shutil.copyfile(tmp_path / "clips/2.mp3", tmp_path / "clips/1.mp3")
    prepare_parts(asked_for(tmp_path, name="again"), [part])
    assert len(entries(asked_for(tmp_path, name="again"))) == 3


def test_killed_in_the_middle(make_release: MakeRelease, tmp_path: Path) -> None:
    """The next run packs what is missing, each clip once, and reads as one that nobody disturbed."""
    release = make_release(clips=40, seconds=6.0)
    script = (
        "import sys; from pathlib import Path; from asr_dro.data import packing; from asr_dro.data.config import *\n"
        "from asr_dro.data.prepare import *\n"
        "packing.PackWriter.__init__.__kwdefaults__.update(synced_bytes=200_000, most_bytes=1_500_000)\n"
        "if __name__ == '__main__':\n"
        "    packed = DataConfig(audio='pack')\n"
        "    prepare(Preparation('mini', Path(sys.argv[1]), ['spa'], Path('data'), 'set', 2, packed))\n"
    )
    (tmp_path / "go.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    folder = tmp_path / "killed/data/packs/mini/spa/es"
    command = [sys.executable, str(tmp_path / "go.py"), str(release)]
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    run = subprocess.Popen(command, cwd=tmp_path / "killed", env=environment, start_new_session=True)
    end = time.monotonic() + 60
    while len(list(packed_places(folder))) < 20:
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    done = {place.clip: place.wav for place in packed_places(folder)}
    assert 20 <= len(done) < 120
    last = max(folder.glob("*.ark"))
    with open(last, "ab") as file:  # and the disk kept half of a clip that the index does not know
        file.write(b"common_voice_es_119 AUDIO\x03\x00")
    with open(folder / "index.tsv", "ab") as file:
        file.write(b"common_voice_es_119.mp3\t17")
    for name in ("killed", "whole"):
        subprocess.run(command, cwd=tmp_path / name, env=environment, check=True, capture_output=True)
    places = list(packed_places(folder))
    assert len(places) == len({place.clip for place in places}) == 120
    assert {place.clip: place.wav for place in places}.items() >= done.items()
    whole = tmp_path / "whole/data"
    for path in sorted(whole.rglob("*")):
        if path.suffix == ".ark" or path.name == "index.tsv" or path.parent.name in SPLITS:
            assert (tmp_path / "killed/data" / path.relative_to(whole)).read_bytes() == path.read_bytes(), path
    assert len(list(folder.glob("*.ark"))) > 2


def test_packs_that_are_gone_are_made_again(tmp_path: Path) -> None:
    part = TablePart(tmp_path / "clips", tone_rows(tmp_path / "clips"))
    prepare_parts(asked_for(tmp_path), [part])
    (tmp_path / "data/packs/manifest/spa/es/0001.ark").unlink()
    with pytest.raises(UserError, match=r"wav.scp:1: no such file: .*0001\.ark:"):
        validate_data_dir(tmp_path / "data/set/train")
    again = asked_for(tmp_path, name="again")
    prepare_parts(again, [part])
    validate_data_dir(again.prepared / "train")
