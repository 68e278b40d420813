from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.export import export as export_module
from asr_dro.export.model_card import card, read_facts
from asr_dro.scoring.hypotheses import Hypothesis
from asr_dro.scoring.scores import score_utterances, summarise
from tests.decoding.experiments import arguments_of


def scores() -> dict[str, Any]:
    """Return scores of five utterances: 0, 1 and 2 errors in fin, 1 in kat, and org_jpn, whose label is no code."""
    texts = {"a": ("fin", "abcd", "abcd"), "b": ("fin", "abcd", "abcx"), "c": ("fin", "ab", "xx")}
    texts |= {"d": ("kat", "ab", "a"), "e": ("org_jpn", "abcde", "abcde")}
    references = [Utterance(utt, "x", text, "s", label, label, 1.0) for utt, (label, text, _) in texts.items()]
    heard = {utt: Hypothesis(text, label) for utt, (label, _, text) in texts.items()}
    return summarise(score_utterances(references, heard))


def write_results(experiment: Path, decode: str, content: dict[str, Any]) -> None:
    folder = experiment / f"decode_{decode}" / "test"
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(content))


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    experiment = tmp_path / "xlsr_ctc_dro_s1"
    (experiment / "checkpoints").mkdir(parents=True)
    used = {
        "encoder_conf": {"name": "facebook/wav2vec2-xls-r-300m@abc", "commit": "abc", "path": "/secret/hub"},
        "frontend_conf": {"name": "/secret/model.pt", "commit": None, "path": "/secret/model.pt"},
    }
    environment = {"versions": {"torch": "2.8.0"}, "commit": "f00", "checkpoints": used, "host": {"cpu": "EPYC"}}
    (experiment / "environment.json").write_text(json.dumps(environment))
    selection = {"select_by": "mean_cer", "averaged": [{"epoch": 3, "mean_cer": 0.5}, {"epoch": 2, "mean_cer": 0.6}]}
    (experiment / "checkpoints" / "selection.json").write_text(json.dumps(selection))
    return experiment


def arguments(tmp_path: Path) -> dict[str, Any]:
    found = arguments_of() | {"data_set": str(tmp_path / "sets" / "mini_two")}
    found["model_conf"] |= {"objective": "ctc_dro", "objective_conf": {"step_size": 1e-4}}
    return found


def test_the_table_and_the_index_hold_the_scores(experiment: Path, tmp_path: Path) -> None:
    write_results(experiment, "beam", {})
    write_results(experiment, "greedy", scores())
    written = {f"{language}-{n}": Utterance(f"{language}-{n}", "x.wav", "a", "s", language, language, 1800.0)
               for language in ("fin", "kat") for n in range(3)}  # fmt: skip
    write_data_dir(tmp_path / "sets" / "mini_two" / "train", list(written.values()))
    lines = [f"{utt} {1800 * 16_000}\n" for utt in sorted(written)]
    (tmp_path / "sets" / "mini_two" / "train" / "utt2num_samples").write_text("".join(lines))
    facts = read_facts(experiment, arguments(tmp_path))
    assert facts.decode == "greedy"
    text = card(facts, library="transformers", usage="print()")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| Finnish `fin` | 30.0 | 66.7 | 100.0 | 3 |" in rows
    assert "| Georgian `kat` | 50.0 | 100.0 | 100.0 | 1 |" in rows
    assert "| **mean of languages** | 26.7 | 55.6 | 100.0 | 5 |" in rows
    assert "| **worst language** | 50.0 `kat` | 100.0 `kat` | 100.0 `fin` |  |" in rows
    assert "| Training data | mini_two, 3.0 hours |" in rows
    assert "| Objective | ctc_dro (step_size 0.0001) |" in rows
    assert "| Pretrained weights | facebook/wav2vec2-xls-r-300m@abc, model.pt |" in rows
    assert "| Epochs averaged | 3, 2 |" in rows
    data: Any = ModelCard(text).data
    assert data.license == "unknown" and data.library_name == "transformers" and data.language == ["fin", "kat"]
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    assert found["CER, mean of languages"] == pytest.approx((0.3 + 0.5 + 0) / 3, abs=1e-6)
    assert found["CER, kat"] == 0.5 and found["WER, worst language"] == 1.0
    assert {result.dataset_name for result in data.eval_results} == {"mini_two"}
    assert "unknown: set it" in text and "/secret" not in text and str(tmp_path) not in text and "EPYC" not in text


def test_without_scores_and_files_there_is_a_card_without_a_table(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    facts = read_facts(tmp_path / "exp", arguments(tmp_path))
    text = card(facts, library="espnet", usage="print()")
    assert "Not scored." in text and "model-index" not in text and "hours" not in text
    data: Any = ModelCard(text).data
    assert data.eval_results is None


def test_a_task_without_tags_or_text(experiment: Path, tmp_path: Path) -> None:
    content = scores()
    content["lid_accuracy"] = {"micro": None, "mean": None, "sd": None, "worst": None, "worst_language": None,
                               "by_language": dict.fromkeys(["fin", "kat", "org_jpn"])}  # fmt: skip
    write_results(experiment, "greedy", content)
    untagged = arguments(tmp_path) | {"token_list": ["<blank>", "<unk>", "<space>", "a", "<sos/eos>"]}
    facts = read_facts(experiment, untagged)
    assert facts.labels == ["fin", "kat", "org_jpn"]
    text = card(facts, library="transformers", usage="print()")
    assert "language right" not in text and "begins a transcript" not in text
    data: Any = ModelCard(text).data
    assert data.language == ["fin", "jpn", "kat"]


def test_usage_is_python() -> None:
    for usage in (export_module._HF_USAGE, export_module._ESPNET_USAGE):
        compile(usage, "usage", "exec")
