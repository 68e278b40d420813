"""The examples in the documentation run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import textwrap
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from asr_dro import objectives


@pytest.mark.parametrize("module", ["config", "feasibility", "fixed_point", "group_objective", "group_weights"])
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"asr_dro.objectives.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


class Trainer:
    """What the example needs of the class that it extends."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model


class Acoustic(torch.nn.Module):
    objective: torch.nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 3)

    def forward(self, input_values: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.layer(input_values))


def test_trainer_example() -> None:
    text = inspect.getdoc(objectives)
    assert text is not None
    example = textwrap.dedent(text.split("checkpoints)::\n")[1])
    model = Acoustic()
    scope: dict[str, Any] = {
        "model": model,
        "languages": ["fin", "tur"],
        "Trainer": Trainer,
        "build_objective": objectives.build_objective,
        "per_utterance_ctc": lambda logits, labels: (logits.sum(-1) - labels).square(),
    }
    exec(example, scope)
    trainer = scope["GroupRobustTrainer"](model)
    for group in range(2):
        inputs = {"input_values": torch.ones(3, 2), "labels": torch.zeros(3), "groups": torch.full((3,), group)}
        loss, outputs = trainer.compute_loss(model, inputs, return_outputs=True)
        loss.backward()
    assert outputs.logits.shape == (3, 3)
    assert model.state_dict()["objective.updates"] == 1
