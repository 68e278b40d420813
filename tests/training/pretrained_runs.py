"""Trainings that start from a tiny random XLS-R, and its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from asr_dro.config import compose_run, write_run_config
from asr_dro.experiment import TRAIN_CONFIG
from asr_dro.training.run import espnet_arguments

QUICK = (
    "--max_epoch 2 --num_workers 0 --use_tensorboard false --average_best 1 "
    "--batching.seconds_per_update 4 --batching.batches_per_update 2"
)
PART = {"xlsr": "encoder", "xlsr_s3prl": "frontend"}  # that holds the checkpoint


def options(model: str, tiny_xlsr: Path, more: str = "") -> str:
    return f"{QUICK} --{PART[model]}_conf checkpoint='{tiny_xlsr}' {more}"


def write_xlsr_run(experiment: Path, tiny_xlsr: Path, more: str = "", *, objective: str = "ctc") -> Path:
    config = compose_run("xlsr", objective, seed=1, train_args=options("xlsr", tiny_xlsr, more))
    write_run_config(experiment / TRAIN_CONFIG, config)
    return experiment


def build_model(noise_set: Path, tiny_xlsr: Path, experiment: Path, *, model: str = "xlsr", more: str = "") -> Any:
    """Return the model of a run, in training mode."""
    from asr_dro.task import GroupRobustASRTask

    config = compose_run(model, "ctc", seed=1, train_args=options(model, tiny_xlsr, more))
    torch.manual_seed(0)
    return GroupRobustASRTask.build_model(espnet_arguments(config, noise_set, experiment, ngpu=0))


def waveforms() -> dict[str, torch.Tensor]:
    """Return two utterances of noise, 1 s and 0.6 s."""
    speech = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(3))
    speech[1, 9_600:] = 0.0
    return {"speech": speech, "speech_lengths": torch.tensor([16_000, 9_600])}
