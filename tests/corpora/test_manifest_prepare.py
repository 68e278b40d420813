"""Manifests and saved datasets through stage 1: the audio that is trained on is the audio that was given."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.prepare import Preparation, prepare
from asr_dro.errors import UserError
from tests.corpora.manifests import line, write_lines
from tests.corpora.saved import Samples, save_dict, tone, wav

SECOND = 16_000
STEP = 1 / 32767  # of 16-bit samples


def run(corpus: str, source: Path, data_dir: Path, codes: str = "deu fin", **options: Any) -> Path:
    """Prepare twice; the second time there is nothing to do."""
    duration = options.pop("duration", "all")
    preparation = Preparation(corpus, source, codes.split(), data_dir, "set", 1, DataConfig(**options), duration)
    assert prepare(preparation)
    assert not prepare(preparation)
    return preparation.prepared


def samples_by_text(prepared: Path, split: str) -> dict[str, Samples]:
    """Return the audio of each sentence."""
    wavs = read_two_columns(prepared / split / "wav.scp")
    found = {}
    for utt_id, text in read_two_columns(prepared / split / "text").items():
        found[text], rate_hz = soundfile.read(wavs[utt_id], dtype="float32")
        assert rate_hz == SECOND
    return found


def quarantined(prepared: Path) -> list[tuple[str, str]]:
    """Return clips and reasons."""
    rows = (prepared / "quarantine.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [(row.split("\t")[2], row.split("\t")[3]) for row in rows]


def write_recording(path: Path) -> Samples:
    """Write three seconds, each with a tone of its own."""
    samples = np.concatenate([tone(hz, SECOND) for hz in (300, 500, 700)])
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SECOND)
    return samples


def write_manifests(folder: Path) -> Samples:
    samples = write_recording(folder / "long recordings/one.wav")
    soundfile.write(folder.parent / "elsewhere.flac", tone(900, SECOND), SECOND)
    cuts = [
        line(
            "long recordings/one.wav",
            f"second {n}",
            offset=n,
            duration=1,
            lang="fi",
            speaker="s",
            region="north",
            corpus="my radio",
        )
        for n in range(3)
    ]
    write_lines(
        folder / "train.jsonl",
        [*cuts, line("../elsewhere.flac", "whole", lang="deu"), line("gone.wav", "gone", lang="deu"), b"torn {"],
    )
    write_lines(folder / "dev.jsonl", [line(str(folder / "dev.wav"), "dev", lang="fin")])
    write_lines(folder / "test.jsonl", [line("test.wav", "test", lang="deu", duration=99.0)])
    for name in ("dev", "test"):
        soundfile.write(folder / f"{name}.wav", tone(1100, SECOND), SECOND)
    return samples


def test_a_manifest_becomes_a_set(tmp_path: Path) -> None:
    samples = write_manifests(tmp_path / "mine")
    prepared = run("manifest", tmp_path / "mine", tmp_path / "data", group=("language", "region"))
    found = samples_by_text(prepared, "train")
    assert sorted(found) == ["second 0", "second 1", "second 2", "whole"]
    for second in range(3):
        expected = samples[second * SECOND : (second + 1) * SECOND]
        assert np.abs(found[f"second {second}"] - expected).max() <= STEP
    assert np.abs(found["whole"] - tone(900, SECOND)).max() <= STEP
    assert set(samples_by_text(prepared, "dev")) == {"dev"}
    assert set(samples_by_text(prepared, "test")) == {"test"}
    assert [float(one) for one in read_two_columns(prepared / "test" / "utt2dur").values()] == [1.0], (
        "the audio decides"
    )
    assert set(read_two_columns(prepared / "train" / "utt2group").values()) == {"fin+north", "deu+unknown"}
    assert sorted(read_two_columns(prepared / "train" / "utt2corpus").values()) == ["manifest", *["my_radio"] * 3]
    ((gone, why), torn) = sorted(quarantined(prepared))
    assert (gone.startswith("gone-"), why) == (True, "no such file")
    assert torn == ("train.jsonl:6", "not JSON")
    wavs = [Path(path) for path in read_two_columns(prepared / "train" / "wav.scp").values()]
    assert all((tmp_path / "data/audio/manifest").resolve() in path.resolve().parents for path in wavs)


def test_kept_files_are_the_users_own(tmp_path: Path) -> None:
    write_manifests(tmp_path / "mine")
    with pytest.raises(UserError, match="use audio: convert"):
        run("manifest", tmp_path / "mine", tmp_path / "data", audio="keep")
    write_lines(
        tmp_path / "mine/train.jsonl", [line("../elsewhere.flac", "a", lang="deu"), line("dev.wav", "b", lang="fin")]
    )
    write_lines(tmp_path / "mine/dev.jsonl", [line("test.wav", "c", lang="fin")])
    (tmp_path / "mine/test.jsonl").unlink()
    prepared = run("manifest", tmp_path / "mine", tmp_path / "data", audio="keep")
    wavs = read_two_columns(prepared / "train" / "wav.scp").values()
    assert {Path(path).name for path in wavs} == {"elsewhere.flac", "dev.wav"}
    assert all(Path(path).samefile(tmp_path / "mine" / "dev.wav") for path in wavs if path.endswith("dev.wav"))


@pytest.mark.parametrize("ids", [True, False])
def test_a_saved_dataset_becomes_a_set(tmp_path: Path, ids: bool) -> None:
    def split(name: str, tones: Iterable[int]) -> dict[str, list[Any]]:
        waves = [tone(hz, SECOND) for hz in tones]
        columns: dict[str, list[Any]] = {
            "audio": [{"bytes": wav(wave), "path": None} for wave in waves],
            "text": [f"{hz}" for hz in tones],
            "lang": ["fi" if hz < 600 else "de" for hz in tones],
        }
        return columns | ({"id": [f"{name}/{hz}" for hz in tones]} if ids else {})

    splits = {"train": range(300, 900, 50), "validation": [310, 810], "test": [320, 820]}
    source = save_dict(tmp_path / "saved", {name: split(name, tones) for name, tones in splits.items()})
    prepared = run("hf_dataset", source, tmp_path / "data")
    for name, tones in splits.items():
        found = samples_by_text(prepared, {"validation": "dev"}.get(name, name))
        assert sorted(found) == [str(hz) for hz in tones]
        for hz in tones:
            assert np.abs(found[str(hz)] - tone(hz, SECOND)).max() <= 2 * STEP
    assert quarantined(prepared) == []
    drawn = run("hf_dataset", source, tmp_path / "drawn", duration="3s")
    languages = list(read_two_columns(drawn / "train" / "utt2lang").values())
    assert sorted(languages) == ["deu"] * 3 + ["fin"] * 3
    with pytest.raises(UserError, match="use audio: convert"):
        run("hf_dataset", source, tmp_path / "kept", audio="keep")


def test_hostile_names_stay_inside_the_audio_folder(tmp_path: Path) -> None:
    names = ["../../../up", "/etc/abs", "a/../../b", "..", ".hidden", "-rf", "ü x"]
    splits = {
        "train": {"input_values": [tone(440, SECOND).tolist()] * len(names), "text": list("abcdefg"), "id": names}
    }
    source = save_dict(tmp_path / "saved", splits)
    (source / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    prepared = run("hf_dataset", source, tmp_path / "data", "fin")
    wavs = list(read_two_columns(prepared / "train" / "wav.scp").values())
    assert len(set(wavs)) == len(names)
    folder = (tmp_path / "data/audio/hf_dataset").resolve()
    assert all(folder in Path(path).resolve().parents for path in wavs)
    assert {path.parent.parent for path in tmp_path.rglob("*.flac")} == {folder}
