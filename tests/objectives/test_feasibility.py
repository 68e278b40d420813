from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.objectives.feasibility import ctc_infeasible


@settings(deadline=None, max_examples=50)
@given(
    labels=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1, max_size=4),
    frames=st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_agrees_with_the_loss(labels: list[list[int]], frames: list[int]) -> None:
    sizes = torch.tensor([len(row) for row in labels])
    targets = torch.full((len(labels), 5), 1)  # padding equal to a label must not count as a repetition
    for row, values in enumerate(labels):
        targets[row, : len(values)] = torch.tensor(values)
    lengths = torch.tensor(frames[: len(labels)])
    log_probs = torch.zeros(9, len(labels), 4).log_softmax(-1)
    losses = torch.nn.functional.ctc_loss(log_probs, targets, lengths, sizes, reduction="none")
    assert torch.equal(ctc_infeasible(targets, sizes, lengths), losses.isinf())


def test_targets_without_labels() -> None:
    assert not ctc_infeasible(torch.zeros(2, 0, dtype=torch.long), torch.zeros(2), torch.ones(2)).any()
