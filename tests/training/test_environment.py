from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.training.environment import describe_training
from tests.collecting.experiments import write


def test_audio_of_each_language_and_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "train" / "utt2lang", "a fin\nb kat\nc fin\n")
    write(tmp_path / "train" / "utt2num_samples", "a 16000\nb 8000\nc 24000\n")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    found = describe_training(tmp_path, ngpu=0)
    assert found == {"device": "cpu", "processes": 1, "audio_s": {"fin": 2.5, "kat": 0.5}}
    found = describe_training(tmp_path, ngpu=4)
    assert (found["device"], found["processes"]) == ("cuda", 4)
    monkeypatch.setenv("WORLD_SIZE", "8")  # two machines of four
    assert describe_training(tmp_path, ngpu=1)["processes"] == 8


def test_without_languages_there_is_no_audio_by_language(tmp_path: Path) -> None:
    assert describe_training(tmp_path, ngpu=0)["audio_s"] == {}
