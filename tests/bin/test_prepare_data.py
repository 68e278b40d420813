"""The entry point ``prepare_data``: what a user sees and the exit status."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]


def prepare(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_dro.bin.prepare_data", "--corpus", "mini", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={"PYTHONPATH": str(ROOT)}
    )


@pytest.fixture
def release(tmp_path: Path) -> Path:
    clips = tmp_path / "release/es/clips"
    clips.mkdir(parents=True)
    soundfile.write(clips / "a.wav", np.full(16_000, 0.1), 16_000)
    (clips / "zero.mp3").touch()
    for split in ("train", "dev", "test"):
        table = "client_id\tpath\tsentence\nc\ta.wav\t«Hola»\nc\tzero.mp3\tadiós\n"
        (tmp_path / f"release/es/{split}.tsv").write_text(table)
    return tmp_path / "release"


def test_prepares_and_then_says_that_all_is_there(release: Path, tmp_path: Path) -> None:
    first = prepare(tmp_path, "--source", release, "--lang-set", "es")
    assert first.returncode == 0, first.stderr
    assert "train 2 = 1 + 1, dev 2 = 1 + 1, test 2 = 1 + 1" in first.stderr
    assert "data/mini_es: train, dev, test and quarantine.tsv are written" in first.stderr
    assert (tmp_path / "data/mini_es/train/text").read_text().endswith("-a hola\n")
    start = time.monotonic()
    second = prepare(tmp_path, "--source", "release", "--lang-set", "es", "--name", "mini_es")
    assert time.monotonic() - start < 2  # 0.1 s on a free machine
    assert second.stderr == "INFO: data/mini_es: prepared already\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lang-set", "esp"], "unknown language 'esp'"),
        (["--lang-set", "es", "--source", "nowhere"], "nowhere is neither a folder nor an archive"),
        (["--lang-set", "es,fi"], "no fin (Finnish): locale fi is not there"),
        (["--lang-set", "es", "--nj", "0"], "--nj must be at least 1"),
        (["--lang-set", "es", "--corpus", "mimi"], "invalid choice: 'mimi'"),
        (["--lang-set", "es", "--duration", "10m"], "--duration 10m: not an amount of audio; allowed are 10min, 1h"),
        (["--lang-set", "es", "--data-conf", "no.yaml"], "no.yaml is not a readable YAML file"),
    ],
)
def test_mistakes(release: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    run = prepare(tmp_path, "--source", release, *arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "data").exists()


def test_names_of_sets(release: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text("{audio: keep, text: none}\n")
    run = prepare(tmp_path, "--source", release, "--lang-set", "es", "--duration", "9h", "--data-conf", "kept.yaml")
    assert run.returncode == 0, run.stderr
    assert "train 2 = 1 + 1 + 0" in run.stderr
    prepared = tmp_path / "data/mini_es_9h_kept"
    assert (prepared / "train/wav.scp").read_text().endswith(f"-a {release}/es/clips/a.wav\n")
    assert (prepared / "train/text").read_text().endswith("-a «Hola»\n")
    assert "audio: keep\n" in (prepared / "data.yaml").read_text()
    assert list((tmp_path / "data").rglob("*.flac")) == []


def test_missing_column(release: Path, tmp_path: Path) -> None:
    (release / "es/dev.tsv").write_text("client_id\tpath\ttext\nc\ta.wav\thola\n")
    run = prepare(tmp_path, "--source", "release", "--lang-set", "spa")
    assert run.returncode == 2
    assert "release/es/dev.tsv: column 'sentence' is missing; columns found: client_id, path, text" in run.stderr


def test_file_in_the_place_of_the_data_folder(release: Path, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    run = prepare(tmp_path, "--source", release, "--lang-set", "es")
    assert run.returncode == 1
    assert "'data" in run.stderr
    assert "Traceback" not in run.stderr
