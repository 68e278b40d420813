"""The entry point ``make_mini_corpus``: what a user sees and the exit status."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest


def make(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_dro.bin.make_mini_corpus", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_makes_and_then_says_that_all_is_there(tmp_path: Path) -> None:
    sizes = ["--train", "2", "--dev", "1", "--test", "1", "--profile", "unequal"]
    first = make("--lang-set", "es", "--out", tmp_path / "out folder", "--nj", "1", *sizes)
    assert first.returncode == 0, first.stderr
    assert f"{tmp_path / 'out folder'}: made spa" in first.stderr
    assert len((tmp_path / "out folder/es/train.tsv").read_text().splitlines()) == 3
    start = time.monotonic()
    second = make("--lang-set", "spa", "--out", tmp_path / "out folder", *sizes)
    assert time.monotonic() - start < 2  # 0.1 s on a free machine
    assert second.stderr == f"INFO: {tmp_path / 'out folder'}: all 1 languages are there already\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lang-set", "esp"], "unknown language 'esp'"),
        (["--lang-set", "bre"], "cannot be made for bre (Breton)"),
        (["--lang-set", "spa", "--nj", "0"], "--nj must be at least 1"),
        (["--lang-set", "spa", "--dev", "0"], "at least 1 clip in train, dev and test"),
        (["--lang-set", "spa", "--train", "many"], "invalid int value: 'many'"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], message: str) -> None:
    run = make("--out", tmp_path / "out", *arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    run = make("--lang-set", "spa", "--out", tmp_path / "out")
    assert run.returncode == 1
    assert f"'{tmp_path / 'out'}" in run.stderr
    assert "Traceback" not in run.stderr
