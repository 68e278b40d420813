"""The training step never makes the host wait for the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from asr_dro.objectives import build_objective, group_objective
from asr_dro.objectives.group_objective import GroupObjective

NAMES = ["fin", "kat", "tur"]
WAITS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten._unique2.default,
}


class NoWaiting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masked = func is torch.ops.aten.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])
        assert func not in WAITS and not masked, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


def test_the_check_bites() -> None:
    for wait in (
        lambda: torch.ones(1).item(),
        lambda: bool(torch.ones(1) > 0),
        lambda: torch.ones(2)[torch.ones(2) > 0],
    ):
        with NoWaiting(), pytest.raises(AssertionError, match="waits"):
            wait()


@pytest.mark.parametrize("name", ["ctc", "ctc_length_normalized", "group_dro", "ctc_dro"])
def test_no_operation_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_objective, "READABLE_DEVICES", ())  # as on a GPU
    objective = build_objective(name, NAMES)
    with NoWaiting():
        for step in range(7):
            losses = torch.full((4,), float(step), requires_grad=True)
            loss = objective(
                losses,
                torch.full((4,), step % 3),
                lengths=torch.ones(4),
                infeasible=torch.zeros(4, dtype=torch.bool),
                visit_fraction=0.5,
            )
            loss.backward()
            objective.batch_weight(losses)


@pytest.mark.parametrize("name", ["ctc", "group_dro", "ctc_dro"])
def test_nothing_depends_on_values(name: str) -> None:
    """On the meta device tensors have no values: reading one, or mixing in a tensor of the CPU, is an error."""
    objective = build_objective(name, NAMES).to("meta")
    for _ in range(4):
        losses = torch.ones(4, device="meta", requires_grad=True)
        objective(losses, torch.zeros(4, dtype=torch.long, device="meta"), visit_fraction=0.5).backward()


@pytest.mark.parametrize("name", ["group_dro", "ctc_dro"])
def test_the_path_without_waiting_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for readable in (("cpu",), ()):
        monkeypatch.setattr(group_objective, "READABLE_DEVICES", readable)
        objective = build_objective(name, NAMES, step_size=0.1)
        assert isinstance(objective, GroupObjective)
        values = [objective(torch.tensor([1.0 + i]), torch.tensor([(i * 7 + i // 5) % 3])) for i in range(50)]
        results.append((values, objective.drain_records(), objective.state_dict()))
    (values, records, state), (other_values, other_records, other_state) = results
    assert values == other_values
    assert records == other_records
    assert len(records) >= 10
    assert all(torch.equal(value, other_state[key]) for key, value in state.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["ctc", "group_dro", "ctc_dro"])
def test_no_synchronisation_on_a_gpu(name: str) -> None:
    objective = build_objective(name, NAMES).to("cuda")
    batches = [
        (torch.rand(4, device="cuda", requires_grad=True), torch.full((4,), i % 3, device="cuda")) for i in range(9)
    ]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for losses, groups in batches:
            objective(losses, groups, visit_fraction=0.5).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
