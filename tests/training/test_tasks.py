"""Stages 4 to 7 for every kind of label: language and text, text alone, the language alone, pieces of words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr_dro.data.lengths import make_lengths, make_tokens
from asr_dro.decoding.decode import decode_sets
from asr_dro.experiment import CHECKPOINTS, EPOCHS, SELECTION
from asr_dro.fileio import read_json_lines
from asr_dro.report.render import make_report
from asr_dro.scoring.stage import score_all
from asr_dro.training.run import train
from tests.training.runs import LANGUAGES, write_noise_set, write_run


@pytest.mark.parametrize(
    ("config", "measure", "has_text", "has_language"),
    [
        ("task: lid", "mean_lid_error", False, True),
        ("task: asr", "mean_cer", True, False),
        ("tokens: {type: bpe, vocabulary_size: 18}", "mean_cer", True, True),
    ],
)
def test_from_training_to_report(tmp_path: Path, config: str, measure: str, has_text: bool, has_language: bool) -> None:
    data = write_noise_set(tmp_path)
    (data / "data.yaml").write_text(f"{config}\n", encoding="utf-8")
    make_tokens(data)
    make_lengths(data)
    experiment = write_run(tmp_path / "exp")
    train(data, experiment, ngpu=0)
    dev = read_json_lines(experiment / EPOCHS)[-1]["dev"]
    assert set(dev["cer"]["by_language"]) == set(LANGUAGES)
    assert (dev["cer"]["mean"] is not None, dev["lid_error"]["mean"] is not None) == (has_text, has_language)
    selection = json.loads((experiment / CHECKPOINTS / SELECTION).read_text(encoding="utf-8"))
    assert selection["select_by"] == measure
    scores = decode_and_score(data, experiment, tmp_path / "greedy.yaml")
    assert (scores["cer"]["mean"] is not None, scores["lid_accuracy"]["mean"] is not None) == (has_text, has_language)
    assert make_report(data, experiment, "greedy")[1]


def decode_and_score(data: Path, experiment: Path, config: Path) -> dict[str, Any]:
    config.write_text("search: greedy\nseconds_per_batch: 60\n", encoding="utf-8")
    (data / "spm.model").unlink(missing_ok=True)  # a checkpoint decodes with its own vocabulary alone
    decode_sets(data, experiment, config, nj=1, ngpu=0)
    return score_all(data, experiment / "decode_greedy")[-1].scores
