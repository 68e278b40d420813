"""The whole recipe as a user runs it: stages 1 to 7 by run.sh, killed and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_dro.config import REPOSITORY

TAG = "exp/separable_conv_ctc_fin+kat_s1"
TRAIN_ARGS = "--max_epoch 3 --encoder_conf channels=32 --encoder_conf blocks=2"
OPTIONS = ("--corpus", "common_voice", "--lang-set", "fin,kat", "--train-args", TRAIN_ARGS)
MOST_S = 240.0
# To import one of these costs more than all that a run does when nothing is left to do.
HEAVY = {"espnet", "espnet2", "torch", "torchaudio", "transformers", "scipy", "pyarrow"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Common Voice release in a folder with a space and a quote in its name."""
    folder = tmp_path_factory.mktemp("my corpora's")
    command = [sys.executable, "-m", "asr_dro.bin.make_mini_corpus", "--lang-set", "fin,kat", "--out", str(folder)]
    subprocess.run([*command, "--train", "40", "--dev", "6", "--test", "6"], check=True, cwd=REPOSITORY)
    return folder


def start(folder: Path, release: Path, *options: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"COMMON_VOICE": str(release), "ASR_DRO_PYTHON": sys.executable}
    command = ["bash", str(REPOSITORY / "run.sh"), *OPTIONS, *options]
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)


def run(folder: Path, release: Path, *options: str) -> str:
    """Run to the end and return what this run printed."""
    before = (folder / "log.txt").stat().st_size if (folder / "log.txt").exists() else 0
    process = start(folder, release, *options)
    status = process.wait(timeout=MOST_S)
    printed = (folder / "log.txt").read_bytes()[before:].decode()
    assert status == 0, printed
    return printed


def run_and_kill(folder: Path, release: Path, moment: Callable[[], bool]) -> None:
    """Start, and send SIGKILL to every process of the run at the given moment."""
    process = start(folder, release)
    limit = time.monotonic() + MOST_S
    while not moment():
        assert process.poll() is None, (folder / "log.txt").read_text()
        assert time.monotonic() < limit
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def scores(folder: Path) -> dict[str, Any]:
    return {
        split: json.loads((folder / TAG / f"decode_greedy/{split}/scores.json").read_text())
        for split in ("dev", "test")
    }


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "log.txt"
    }


@pytest.fixture(scope="module")
def undisturbed(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a run")
    run(folder, release)
    return folder


def test_all_stages_leave_their_contract(undisturbed: Path) -> None:
    experiment = undisturbed / TAG
    for name in ("train.yaml", "environment.json", "train.jsonl", "checkpoints/model.pt", "report.html"):
        assert (experiment / name).stat().st_size > 0, name
    for split in ("dev", "test"):
        for name in ("text", "hyp.trn", "ref.trn", "utterances.tsv", "scores.json"):
            assert (experiment / f"decode_greedy/{split}" / name).stat().st_size > 0, name
    assert lines(experiment / "train.jsonl") == 3
    assert set(scores(undisturbed)["test"]["cer"]["by_language"]) == {"fin", "kat"}
    assert "run.sh --corpus common_voice" in json.loads((experiment / "environment.json").read_text())["command"]


def test_run_again_changes_nothing_in_no_time(
    undisturbed: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time: by what is imported, as seconds, of the CPU too, vary by two where other tests run at the same time."""
    before = snapshot(undisturbed)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    printed = run(undisturbed, release)
    imported = {line.split("|")[2].split(".")[0].strip() for line in printed.splitlines() if line.count("|") == 2}
    assert "asr_dro" in imported
    assert not imported & HEAVY
    assert snapshot(undisturbed) == before
    assert "worst" in printed, "the table is shown again"


def test_stage_5_to_6_decodes_again_and_nothing_else(undisturbed: Path, release: Path) -> None:
    expected, before = scores(undisturbed), snapshot(undisturbed)
    run(undisturbed, release, "--stage", "5", "--stop-stage", "6")
    assert scores(undisturbed) == expected
    changed = {path for path, state in snapshot(undisturbed).items() if before.get(path) != state}
    assert {f"{TAG}/decode_greedy/{split}/text" for split in ("dev", "test")} <= changed
    assert all("decode_greedy" in path for path in changed), changed


def test_killed_in_stage_1_and_in_stage_4_it_ends_the_same(undisturbed: Path, release: Path, tmp_path: Path) -> None:
    run_and_kill(tmp_path, release, lambda: any((tmp_path / "data").rglob("*.flac")))
    assert not (tmp_path / "data/common_voice_fin+kat/.done.json").exists()
    run_and_kill(tmp_path, release, lambda: lines(tmp_path / TAG / "train.jsonl") >= 1)
    assert not (tmp_path / TAG / "checkpoints/model.pt").exists()
    printed = run(tmp_path, release)
    assert "resuming" in printed
    assert scores(tmp_path) == scores(undisturbed)
    hypotheses = f"{TAG}/decode_greedy/test/text"
    assert (tmp_path / hypotheses).read_bytes() == (undisturbed / hypotheses).read_bytes()
    assert lines(tmp_path / TAG / "train.jsonl") == 3
