"""Dev measures of the three tasks, with a network that says exactly what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from asr_dro.data.tokens import Tokenizer, build_token_list
from asr_dro.training.evaluation import DevTotals, evaluate

REFERENCES = {"u1": ("fin", "ab ab"), "u2": ("fin", "ab"), "u3": ("spa", "ba")}
RECOGNISED = {"u1": ("fin", "ab ab"), "u2": ("spa", "abab"), "u3": ("spa", "b")}


class Parrot:
    """Stands in for a model: fixed hypotheses, losses 1, 2, 3."""

    group_names = ("fin", "spa")

    def __init__(self, hypotheses: Sequence[list[int]]) -> None:
        self.hypotheses = list(hypotheses)

    def eval(self) -> Parrot:
        return self

    def evaluate(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, list[list[int]]]:
        losses = torch.tensor([1.0, 2.0, 3.0])
        return losses, torch.zeros(3, dtype=torch.bool), self.hypotheses


def measure(task: str) -> dict[str, Any]:
    tokens = build_token_list("" if task == "lid" else "ab", [] if task == "asr" else ["fin", "spa"])
    tokenizer = Tokenizer(tokens, task=task)
    labels = [tokenizer.encode(text, language) for language, text in REFERENCES.values()]
    model: Any = Parrot([tokenizer.encode(text, language) for language, text in RECOGNISED.values()])
    batch = {
        "text": torch.nn.utils.rnn.pad_sequence([torch.tensor(x) for x in labels], batch_first=True, padding_value=-1),
        "text_lengths": torch.tensor([len(x) for x in labels]),
        "group": torch.tensor([[0], [0], [1]]),
    }
    languages = {utt_id: language for utt_id, (language, _) in REFERENCES.items()}
    batches = [(list(REFERENCES), batch)]
    return evaluate(model, batches, device=torch.device("cpu"), token_list=tokens, languages=languages)


CER = {"mean": (2 / 7 + 1 / 2) / 2, "worst": 0.5, "worst_language": "spa", "by_language": {"fin": 2 / 7, "spa": 0.5}}
LID_ERROR = {"mean": 0.25, "worst": 0.5, "worst_language": "fin", "by_language": {"fin": 0.5, "spa": 0.0}}
NOTHING = {"mean": None, "worst": None, "worst_language": None}


@pytest.mark.parametrize(
    ("task", "cer", "lid_error"),
    [
        ("lid+asr", CER, LID_ERROR),
        ("asr", CER, {**NOTHING, "by_language": {}}),
        ("lid", {**NOTHING, "by_language": {"fin": None, "spa": None}}, LID_ERROR),
    ],
)
def test_measures_of_tasks(task: str, cer: dict[str, Any], lid_error: dict[str, Any]) -> None:
    found = measure(task)
    assert found["cer"] == cer
    assert found["lid_error"] == lid_error
    assert (found["loss"], found["loss_by_group"]) == (2.0, {"fin": 1.5, "spa": 3.0})


def test_processes_add_up() -> None:
    one, other = DevTotals(), DevTotals()
    one.add_mistaken("fin", 1)
    other.add_mistaken("fin", 0)
    other.add_mistaken("spa", 0)
    one.merge(other)
    assert one.summary()["lid_error"]["by_language"] == {"fin": 0.5, "spa": 0.0}
