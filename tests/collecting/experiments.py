"""Experiment folders as stages 4 to 6 leave them, small and without any training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr_dro.experiment import CHECKPOINTS, ENVIRONMENT, EPOCHS, INPUTS, LAST_CHECKPOINT, MODEL, TRAIN_CONFIG
from asr_dro.scoring.files import UTTERANCE_COLUMNS, write_tsv

CER = {"fin": 0.1, "hin": 0.3, "kat": 0.2}


def make_scores(cer: Mapping[str, float], *, intervals: bool = True) -> dict[str, Any]:
    """Return what ``scores.json`` holds of these error rates, as far as the table reads it."""
    worst = max(cer, key=cer.__getitem__)
    mean = sum(cer.values()) / len(cer)
    summary = {"mean": mean, "sd": 0.1, "worst": cer[worst], "worst_language": worst}
    scores: dict[str, Any] = {
        "cer": {**summary, "micro": 0.2, "by_language": dict(cer)},
        "wer": {**summary, "mean": 0.5, "by_language": dict(cer)},
        "lid_accuracy": {"micro": 0.75, "by_language": dict.fromkeys(cer, 0.75)},
        "n_utterances": 10 * len(cer),
    }
    if intervals:
        scores["cer"]["worst15"] = mean
        bounds = [mean - 0.02, mean + 0.02]
        scores["intervals"] = {"level": 0.95, "cer": {"mean": bounds, "worst": [0.25, 0.35]}}
    return scores


def write_run(
    folder: Path,
    *,
    model: str = "separable_conv",
    objective: str = "ctc",
    seed: int = 1,
    lang_set: str = "mini_mini6",
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    epochs: int = 2,
    trained: bool = True,
) -> Path:
    """Write an experiment that is trained, or was interrupted."""
    lines = [
        "# Composed configuration of this run; change conf/ or --train-args, not this file.",
        f"# From conf/model/{model}.yaml, conf/objective/{objective}.yaml and --train-args.",
    ]
    content = {"encoder": "separable_conv", "objective": objective, "max_epoch": 2, "seed": seed, **(config or {})}
    lines += [f"{key}: {json.dumps(value)}" for key, value in content.items()]
    write(folder / TRAIN_CONFIG, "\n".join(lines) + "\n")
    made = {
        "command": "./run.sh --corpus mini",
        "commit": "0123456789abcdef",
        "dirty": False,
        "host": {"cpu": "Some CPU", "cores": 2, "gpu": None},
        "device": "cpu",
        "processes": 2,
        "audio_s": {"fin": 1800.0, "hin": 3600.0, "kat": 1800.0},
        **(environment or {}),
    }
    write(folder / ENVIRONMENT, json.dumps(made))
    write(folder / CHECKPOINTS / INPUTS, json.dumps({"data_set": f"data/{lang_set}", "fingerprint": "f00d"}))
    records = [{"epoch": one, "seconds": 900.0, "train": {}, "dev": {"seconds": 1e9}} for one in range(1, epochs + 1)]
    write(folder / EPOCHS, "".join(json.dumps(record) + "\n" for record in records))
    write(folder / CHECKPOINTS / LAST_CHECKPOINT, "")
    if trained:
        write(folder / CHECKPOINTS / MODEL, "")
    return folder


def write_scored(
    folder: Path,
    cer: Mapping[str, float] = CER,
    *,
    dev: Mapping[str, float] | None = None,
    decode: str = "greedy",
    **options: Any,
) -> Path:
    """Write an experiment with scores of test, and of dev if they are given."""
    write_run(folder, **options)
    for split, rates in (("test", cer), ("dev", dev)):
        if rates is not None:
            add_scores(folder, rates, split=split, decode=decode)
    return folder


def add_scores(folder: Path, cer: Mapping[str, float], *, split: str = "test", decode: str = "greedy") -> Path:
    """Write the scores of a split."""
    write(folder / f"decode_{decode}" / split / "text", "a [fin] b\n")
    return write(folder / f"decode_{decode}" / split / "scores.json", json.dumps(make_scores(cer)))


def write_utterances(folder: Path, errors: dict[str, list[int]], *, length: int = 10, reference: str = "r") -> Path:
    """Write ``utterances.tsv`` with so many wrong characters in each utterance of a language."""
    rows = []
    for language, wrong in sorted(errors.items()):
        for index, n in enumerate(wrong):
            row: dict[str, Any] = dict.fromkeys(UTTERANCE_COLUMNS, "0")
            name = f"{language}-{index:03d}"
            row |= {"utt_id": name, "language": language, "group": language, "speaker": name, "reference": reference}
            row |= {"hypothesis_language": language, "ref_chars": str(length), "char_sub": str(n), "ref_words": "2"}
            rows.append([row[column] for column in UTTERANCE_COLUMNS])
    write_tsv(folder / "utterances.tsv", UTTERANCE_COLUMNS, rows)
    return folder


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
