from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from asr_dro.bin.report import main
from asr_dro.scoring.stage import score_all
from tests.report.experiment import MINI, write_experiment

ROOT = Path(__file__).resolve().parents[2]


def test_the_path_is_logged_and_a_second_run_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    score_all(made.data, made.exp / "decode_greedy")
    arguments = ["--data", str(made.data), "--exp", str(made.exp), "--decode", "greedy"]
    with caplog.at_level(logging.INFO):
        main(arguments)
        main(arguments)
    report = str(made.exp / "report.html")
    of_report = [record.getMessage() for record in caplog.records if record.name.startswith("asr_dro.bin")]
    assert of_report == [f"report: {report}", f"report, already made from the same inputs: {report}"]


def test_neither_the_report_nor_a_finished_one_needs_torch(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    score_all(made.data, made.exp / "decode_greedy")
    script = (
        "import sys; from asr_dro.bin.report import main; main(sys.argv[2:]); "
        "sys.exit(len(set(sys.argv[1].split()) & set(sys.modules)))"
    )
    for heavy in ("torch espnet2 numpy pandas soundfile", "torch espnet2 numpy pandas soundfile jinja2 yaml rapidfuzz"):
        command = [sys.executable, "-c", script, heavy, "--data", str(made.data), "--exp", str(made.exp)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_mistake_ends_with_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asr_dro.bin.report", "--data", "none", "--exp", "none"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "run stage 5" in done.stderr
    assert "Traceback" not in done.stderr
