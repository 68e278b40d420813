"""ML-SUPERB through stage 1: both packagings give the same data, and every row is accounted for."""

from __future__ import annotations

import csv
import io
import re
import string
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_dro.corpora.ml_superb_labels import few_shot_utterances
from asr_dro.data.config import DataConfig, read_data_config
from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.prepare import Preparation, prepare
from asr_dro.errors import UserError
from tests.corpora.ml_superb_release import shard_row, tone, write_folders, write_pair, write_shard
from tests.shell_sandbox import ROOT

BENCHMARK = read_data_config(ROOT / "conf" / "data" / "ml_superb.yaml")
FILES = ("text", "utt2spk", "utt2lang", "utt2group", "utt2dur", "utt2corpus")


def normalize_as_the_benchmark(text: str) -> str:
    """Do what the benchmark's recipe does to a transcript."""
    return re.sub(r"\[[^()]*\]", "", text).translate(str.maketrans("", "", string.punctuation)).upper()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_folders(tmp_path_factory.mktemp("folders"), [("commonvoice", "cv", "ces"), ("mls", "mls", "pol")])
    write_pair(root / "fleurs" / "umb", "fleurs", {"10min_train": 8, "1h_train": 50, "10min_dev": 2, "10min_test": 2})
    return root


@pytest.fixture(scope="module")
def shards(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same utterances as parquet, without the few-shot language's other ones."""
    root = tmp_path_factory.mktemp("shards")
    few_shot = few_shot_utterances()["umb"]
    for split, name in (("train", "1h_train"), ("dev", "10min_dev"), ("test", "10min_test")):
        rows = []
        for table in sorted(folders.glob(f"*/*/transcript_{name}.txt")):
            for utterance, _, text in (line.split("\t") for line in table.read_text().splitlines()):
                if split != "train" or "umb" not in utterance or utterance in few_shot:
                    label = table.parent.name
                    rows.append(shard_row(utterance, label, int(utterance[-6:]), f"[{label}] {text}"))
        write_shard(root / "data" / f"{split}-00000-of-00001.parquet", rows)
    return root


def prepared(source: Path, data_dir: Path, duration: str = "1h", config: DataConfig = BENCHMARK) -> Path:
    preparation = Preparation("ml_superb", source, ["ces", "pol", "umb"], data_dir, "set", 1, config, duration)
    assert prepare(preparation)
    assert not prepare(preparation), "a second run has nothing to do"
    return preparation.prepared


def test_both_packagings_give_the_same_data(folders: Path, shards: Path, tmp_path: Path) -> None:
    ours = [prepared(source, tmp_path / source.name) for source in (folders, shards)]
    for split, count in (("train", 5 + 5 + 5), ("dev", 2 + 2 + 2), ("test", 3 + 3 + 2)):
        files = [{name: (folder / split / name).read_text() for name in FILES} for folder in ours]
        assert files[0] == files[1]
        assert files[0]["text"].count("\n") == count
        corpora = read_two_columns(ours[0] / split / "utt2corpus")
        assert {(utt[:3], corpus) for utt, corpus in corpora.items()} == {
            ("ces", "commonvoice"),
            ("pol", "mls"),
            ("umb", "fleurs"),
        }
        audio = [read_two_columns(folder / split / "wav.scp") for folder in ours]
        assert list(audio[0]) == list(audio[1])
        for utterance, path in audio[0].items():
            number = int(re.sub(r".*_(\d{6})\.flac", r"\1", path))
            expected = soundfile.read(io.BytesIO(tone(number)), dtype="int16")[0]
            for wav in (path, audio[1][utterance]):
                np.testing.assert_array_equal(soundfile.read(wav, dtype="int16")[0], expected)


def test_text_is_the_benchmarks_and_every_row_ends_somewhere(folders: Path, tmp_path: Path) -> None:
    ours = prepared(folders, tmp_path)
    texts = read_two_columns(ours / "train" / "text")
    paths = read_two_columns(ours / "train" / "wav.scp")
    sources = dict(
        (utterance, text)
        for table in folders.glob("*/*/transcript_1h_train.txt")
        for utterance, _, text in (line.split("\t") for line in table.read_text().splitlines())
    )
    for utterance, text in texts.items():
        assert text == normalize_as_the_benchmark(sources[Path(paths[utterance]).stem])
    assert {Path(paths[name]).stem for name in texts if name.startswith("umb")} == few_shot_utterances()["umb"]
    with open(ours / "quarantine.tsv", encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(texts) + len(rejected) == len(sources)
    assert {(row["language"], row["split"]) for row in rejected} == {("umb", "train")}


def test_ten_minutes_are_the_list_or_drawn(folders: Path, shards: Path, tmp_path: Path) -> None:
    listed = prepared(folders, tmp_path / "listed", "10min")
    assert (listed / "train" / "text").read_text().count("\n") == 2 + 2 + 5
    drawn = prepared(shards, tmp_path / "drawn", "0.5s")  # clips of 0.2 s
    languages = list(read_two_columns(drawn / "train" / "utt2lang").values())
    assert languages == ["ces"] * 2 + ["pol"] * 2 + ["umb"] * 2
    assert (drawn / "test" / "text").read_text().count("\n") == 3 + 3 + 2


def test_keeping_audio_needs_files(folders: Path, shards: Path, tmp_path: Path) -> None:
    config = DataConfig(text="ml_superb", audio="keep", group=("language", "corpus"))
    ours = prepared(folders, tmp_path / "kept", config=config)
    paths = read_two_columns(ours / "dev" / "wav.scp").values()
    assert all(Path(path).is_relative_to(folders) and path.endswith(".wav") for path in paths)
    groups = set(read_two_columns(ours / "dev" / "utt2group").values())
    assert groups == {"ces+commonvoice", "pol+mls", "umb+fleurs"}
    with pytest.raises(UserError, match="audio: convert"):
        prepared(shards, tmp_path / "refused", config=config)


def test_repaired_labels_share_audio_with_the_benchmarks(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "release", [("commonvoice", "cv", "lga"), ("fleurs", "fleurs", "lug")])
    repaired = DataConfig(text="ml_superb", label_repairs=("lga",))
    sets = {"as_published": (["lga", "lug"], BENCHMARK), "repaired": (["lug"], repaired)}
    paths = {}
    for name, (labels, config) in sets.items():
        prepare(Preparation("ml_superb", source, labels, tmp_path / "data", name, 1, config))
        paths[name] = set(read_two_columns(tmp_path / "data" / name / "train" / "wav.scp").values())
    assert paths["repaired"] == paths["as_published"] and len(paths["repaired"]) == 10
    assert set(read_two_columns(tmp_path / "data" / "repaired" / "train" / "utt2lang").values()) == {"lug"}
