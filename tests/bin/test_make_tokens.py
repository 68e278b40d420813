"""The entry point ``make_tokens``: what a user sees and the exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from asr_dro.data.data_dir import Utterance, write_data_dir


def make_tokens(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_dro.bin.make_tokens", "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_writes_once(tmp_path: Path) -> None:
    write_data_dir(tmp_path / "train", [Utterance("spa-a-1", "x.flac", "aé", "spa-a", "spa", "spa", 1.0)])
    first, second = make_tokens(tmp_path), make_tokens(tmp_path)
    assert (first.returncode, first.stderr) == (0, f"INFO: {tmp_path / 'tokens.txt'}: 7 tokens\n")
    assert (second.returncode, second.stderr) == (0, f"INFO: {tmp_path / 'tokens.txt'}: made already\n")


def test_before_stage_1(tmp_path: Path) -> None:
    run = make_tokens(tmp_path)
    assert run.returncode == 2
    assert "run the earlier stages first" in run.stderr
