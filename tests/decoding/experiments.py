"""Experiments with random weights: everything of a trained model but the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from numpy.typing import NDArray

from asr_dro.config import compose_run
from asr_dro.data.tokens import build_token_list
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL
from asr_dro.training import checkpoints

TOKENS = build_token_list(" abcdefgh", ["fin", "kat"])
SMALL = "--encoder_conf channels=16 --encoder_conf blocks=2"
RATE_HZ = 16_000


def arguments_of(
    model: str = "separable_conv", train_args: str = SMALL, tokens: list[str] | None = None
) -> dict[str, Any]:
    """Return what ESPnet's arguments say of a model."""
    config = compose_run(model, "ctc", seed=1, train_args=train_args)
    conf = {"objective": "ctc", "objective_conf": {}, "group_names": ["fin", "kat"], "ctc_weight": 1.0}
    return {
        "input_size": None,
        **config,
        "model": "group_robust",
        "model_conf": conf,
        "token_list": TOKENS if tokens is None else tokens,
    }


def write_experiment(folder: Path, arguments: dict[str, Any] | None = None, *, seed: int = 0) -> Path:
    """Write an experiment whose network puts out many different tokens, and blanks between them."""
    from asr_dro.decoding.model_loading import build_model

    arguments = arguments_of() if arguments is None else arguments
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(arguments)
        torch.nn.init.normal_(model.ctc.ctc_lo.weight, std=1.0)
        torch.nn.init.zeros_(model.ctc.ctc_lo.bias)
        with torch.no_grad():
            model.ctc.ctc_lo.bias[0] = 4.0
    (folder / CHECKPOINTS).mkdir(parents=True)
    (folder / ESPNET_CONFIG).write_text(yaml.safe_dump(arguments, allow_unicode=True), encoding="utf-8")
    checkpoints.save(folder / CHECKPOINTS / MODEL, model.state_dict())
    return folder


def speech(seconds: float, *, seed: int, silence_s: float = 0.0) -> NDArray[np.float32]:
    """Return noise whose colour changes ten times a second, with silence before and after it."""
    generator = np.random.default_rng(seed)
    parts = []
    for _ in range(round(seconds * 10)):
        noise = generator.standard_normal(RATE_HZ // 10)
        spectrum = np.fft.rfft(noise) * np.exp(generator.normal(0, 2, 8).repeat(101)[: RATE_HZ // 20 + 1])
        part = np.fft.irfft(spectrum)
        parts.append(0.1 * part / part.std())
    silence = np.zeros(round(silence_s * RATE_HZ))
    samples: NDArray[np.float32] = np.concatenate([silence, *parts, silence]).clip(-1, 1).astype(np.float32)
    return samples


def write_audio(path: Path, samples: NDArray[np.float32], rate_hz: int = RATE_HZ) -> Path:
    """Write samples as they are, or as the ending of the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path
