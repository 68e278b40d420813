from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_dro.bin.estimate_cost import main
from asr_dro.errors import UserError


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A run of 2 GPUs on an hour of audio in 10 kB files of a second, 3 epochs measured, 2 GB of checkpoints."""
    folder = tmp_path / "exp"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "train.yaml").write_text("max_epoch: 40\n")
    environment = {"device": "cuda", "processes": 2, "audio_s": {"fin": 1800.0, "kat": 1800.0}}
    (folder / "environment.json").write_text(json.dumps(environment))
    lines = [json.dumps({"epoch": n, "audio_s_per_s": speed}) for n, speed in enumerate([50, 100, 120], start=1)]
    (folder / "train.jsonl").write_text("".join(line + "\n" for line in lines))
    with open(folder / "checkpoints" / "last.pt", "wb") as file:
        file.truncate(2_000_000_000)  # a hole: it takes no room
    train = tmp_path / "set" / "train"
    train.mkdir(parents=True)
    (tmp_path / "a.flac").write_bytes(b"0" * 10_000)
    (train / "wav.scp").write_text("".join(f"u{n} {tmp_path / 'a.flac'}\n" for n in range(3)))
    (train / "utt2dur").write_text("".join(f"u{n} 1.0\n" for n in range(3)))
    (folder / "checkpoints" / "inputs.json").write_text(json.dumps({"data_set": str(tmp_path / "set")}))
    return folder


def test_the_cost_is_what_one_reckons_by_hand(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(experiment), "--hours", "200", "--epochs", "10", "--runs", "9"])
    shown = capsys.readouterr().out
    assert "2 process(es) on cuda, 100 s of audio a second" in shown
    # 200 h x 10 epochs = 2,000 h of audio at 100 times real time on 2 GPUs: 40 GPU hours.
    assert "40.0 GPU hours a run, 360 in all" in shown
    assert "0.018 TB of checkpoints (2.00 GB a run)" in shown
    assert "0.007 TB of training audio, once (10.0 kB a second)" in shown  # 200 h x 3600 s x 10 kB = 7.2 GB


def test_by_default_it_is_the_measured_run_again(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(experiment)])
    assert "1 runs of 40 epochs of 1.0 h of audio" in capsys.readouterr().out


def test_without_its_audio_the_rest_is_told(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (experiment / "checkpoints" / "inputs.json").unlink()
    main([str(experiment)])
    assert "training audio" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["train.jsonl", "environment.json", "train.yaml"])
def test_a_folder_without_a_run_is_refused(experiment: Path, name: str) -> None:
    (experiment / name).unlink()
    with pytest.raises(UserError, match=r"epoch or two|readable"):
        main([str(experiment)])


@pytest.mark.parametrize("option", ["--hours", "--epochs", "--runs"])
def test_numbers_must_be_above_0(experiment: Path, option: str) -> None:
    with pytest.raises(UserError, match=f"{option} 0.*must be above 0"):
        main([str(experiment), option, "0"])
