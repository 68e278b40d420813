"""The entry point ``make_lengths``: what a user sees and the exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.data.lengths import make_tokens


def make_lengths(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_dro.bin.make_lengths", "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_writes_once(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        write_data_dir(tmp_path / split, [Utterance("spa-a-1", "x.flac", "aé", "spa-a", "spa", "spa", 1.0)])
    make_tokens(tmp_path)
    first, second = make_lengths(tmp_path), make_lengths(tmp_path)
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "test/token_ids").read_text() == "spa-a-1 5 3 4\n"
    assert second.stderr == f"INFO: {tmp_path}: lengths are there already\n"


def test_before_stage_2(tmp_path: Path) -> None:
    run = make_lengths(tmp_path)
    assert run.returncode == 2
    assert "run stage 2 (tokens) first" in run.stderr
