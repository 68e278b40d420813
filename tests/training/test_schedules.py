from __future__ import annotations

import pytest
import torch

from asr_dro.training.schedules import TriStageLR


def rates(total: int, **conf: float | str) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = TriStageLR(optimizer, total, **conf)  # type: ignore[arg-type]
    seen = []
    for _ in range(total + 1):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return seen


def test_three_stages_of_wav2vec2() -> None:
    """10 % warm-up, 40 % constant, exponential decay to 5 %: arXiv 2006.11477, appendix B."""
    seen = rates(100, warmup_share=0.1, hold_share=0.4, init_scale=0.01, final_scale=0.05, decay="exponential")
    assert seen[0] == pytest.approx(0.02)
    assert seen[5] == pytest.approx(2 * (0.01 + 0.99 * 0.5))
    assert seen[10:50] == pytest.approx([2.0] * 40)
    assert seen[75] == pytest.approx(2 * 0.05**0.5)
    assert seen[100] == pytest.approx(0.1)


def test_linear_decay_without_a_plateau() -> None:
    seen = rates(10, warmup_share=0.0, hold_share=0.0, final_scale=0.1, decay="linear")
    assert seen == pytest.approx([2 * (1 - 0.09 * step) for step in range(11)])


def test_goes_on_where_it_stopped() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    first = TriStageLR(optimizer, 20)
    for _ in range(7):
        optimizer.step()
        first.step()
    again = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    second = TriStageLR(again, 20)
    again.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    for _ in range(13):
        first.step()
        second.step()
        assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    "conf", [{"warmup_share": 0.7, "hold_share": 0.4}, {"decay": "cosine"}, {"final_scale": 0.0}, {"init_scale": 2.0}]
)
def test_impossible_schedules_are_refused(conf: dict[str, float | str]) -> None:
    with pytest.raises(ValueError, match=r"share|decay|scale"):
        rates(10, **conf)
