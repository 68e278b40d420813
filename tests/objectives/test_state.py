from __future__ import annotations

import copy
import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from asr_dro.errors import UserError
from asr_dro.objectives import build_objective
from asr_dro.objectives.group_names import decode_names, encode_names
from asr_dro.objectives.group_objective import GroupObjective

NAMES = ["ქართული", "fin", "tur"]


class Model(torch.nn.Module):
    def __init__(self, name: str, names: list[str] = NAMES) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)
        self.objective = build_objective(name, names, step_size=0.05)

    def forward(self, step: int) -> Tensor:
        inputs = torch.randn(1 + step % 5, 4, generator=torch.Generator().manual_seed(step))
        losses = self.layer(inputs).squeeze(1).square() + (step % 7)
        loss: Tensor = self.objective(
            losses, torch.full((len(losses),), (step * 7 + step // 5) % 3), visit_fraction=0.5 + step % 3
        )
        return loss


def train(model: Model, steps: range, optimizer: torch.optim.Optimizer) -> list[float]:
    values = []
    for step in steps:
        loss = model(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", ["ctc_dro", "group_dro"])
@pytest.mark.parametrize("stop", [1, 8, 20, 31])
def test_resuming_anywhere_equals_never_stopping_bit_for_bit(name: str, stop: int) -> None:
    straight = Model(name)
    assert isinstance(straight.objective, GroupObjective)
    expected = train(straight, range(40), torch.optim.Adam(straight.parameters()))
    first = Model(name)
    optimizer = torch.optim.Adam(first.parameters())
    values = train(first, range(stop), optimizer)
    saved = through_a_file({"model": first.state_dict(), "optimizer": optimizer.state_dict()})
    second = Model(name)
    optimizer = torch.optim.Adam(second.parameters())
    second.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    values += train(second, range(stop, 40), optimizer)
    assert values == expected
    assert straight.objective.updates > 5
    assert straight.objective.pending.any() == (name == "ctc_dro")  # it stops in the middle of a round
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in straight.state_dict().items())
    drained = [record["update"] for record in second.objective.drain_records()]
    assert drained == sorted(drained)
    assert len(set(drained)) == len(drained)
    assert set(drained) <= {record["update"] for record in straight.objective.drain_records()}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["fin", "tur", "spa", "eus"], ["only in the checkpoint: ქართული", "only in this run: eus, spa"]),
        (["fin", "tur"], ["only in the checkpoint: ქართული", "only in this run: none"]),
        (["tur", "fin", "ქართული"], ["order differs", "tur, fin, ქართული"]),
    ],
)
def test_other_groups_are_refused_with_the_difference(names: list[str], words: list[str]) -> None:
    state = Model("ctc_dro").state_dict()
    with pytest.raises(UserError) as error:
        Model("ctc_dro", names).load_state_dict(state)
    assert all(word in str(error.value) for word in words)


def test_state_of_plain_training_is_empty_and_group_state_is_missed() -> None:
    assert build_objective("ctc", NAMES).state_dict() == {}
    with pytest.raises(RuntimeError, match=r"objective\.pending"):
        Model("ctc_dro").load_state_dict(Model("ctc_dro").layer.state_dict(prefix="layer."))


def test_averaged_checkpoints_are_valid() -> None:
    """ESPnet adds up all entries and divides those that are not of an ``int`` type."""
    states = []
    for seed in range(3):
        model = Model("ctc_dro")
        train(model, range(seed, 30 + seed), torch.optim.SGD(model.parameters(), lr=0.01))
        states.append(copy.deepcopy(model.state_dict()))
    average = {key: sum(state[key] for state in states) / len(states) for key in states[0]}
    model = Model("ctc_dro")
    model.load_state_dict(average)
    assert isinstance(model.objective, GroupObjective)
    assert model.objective.q.sum().item() == pytest.approx(1)
    assert all(not str(value.dtype).startswith("torch.int") for value in states[0].values())


def test_names_survive_half_precision() -> None:
    assert decode_names(encode_names(NAMES).to(torch.bfloat16)) == tuple(NAMES)


def test_casting_the_model_leaves_the_state_alone() -> None:
    model = Model("ctc_dro")
    train(model, range(30), torch.optim.SGD(model.parameters(), lr=0.01))
    before = {key: value.clone() for key, value in model.objective.state_dict().items()}
    model.half().bfloat16().to(torch.float32)
    assert model.layer.weight.dtype == torch.float32
    for key, value in model.objective.state_dict().items():
        assert value.dtype == torch.float64
        assert torch.equal(value, before[key])


def test_a_copy_is_independent() -> None:
    model = Model("ctc_dro")
    train(model, range(10), torch.optim.SGD(model.parameters(), lr=0.01))
    twin = copy.deepcopy(model)
    train(twin, range(10, 30), torch.optim.SGD(twin.parameters(), lr=0.01))
    assert isinstance(model.objective, GroupObjective)
    assert isinstance(twin.objective, GroupObjective)
    assert model.objective.updates < twin.objective.updates
    assert len(model.objective.drain_records()) == int(model.objective.updates)


def test_loading_forgets_records_of_another_past() -> None:
    other, model = Model("ctc_dro"), Model("ctc_dro")
    train(other, range(40), torch.optim.SGD(other.parameters(), lr=0.01))
    train(model, range(20), torch.optim.SGD(model.parameters(), lr=0.01))
    model.load_state_dict(other.state_dict())
    assert model.objective.drain_records() == []


def test_records_keep_the_last_ones() -> None:
    objective = build_objective("group_dro", ["a", "b"], record_capacity=5)
    for step in range(12):
        objective(torch.tensor([float(step)]), torch.tensor([step % 2]))
    records = objective.drain_records()
    assert [record["update"] for record in records] == [8, 9, 10, 11, 12]
    assert records[-1]["loss"] == {"a": None, "b": 11}, "a group that was not in the batch has no loss, not loss 0"
    assert math.isclose(sum(records[-1]["q"].values()), 1)
    assert objective.drain_records() == []
    objective(torch.tensor([1.0]), torch.tensor([0]))
    assert [record["update"] for record in objective.drain_records()] == [13]
