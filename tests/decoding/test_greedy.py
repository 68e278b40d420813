from __future__ import annotations

from itertools import groupby

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.decoding.greedy import ctc_greedy


def reference_greedy(best: list[int], blank: int) -> list[int]:
    """Textbook definition: join repeats, then drop blanks."""
    return [token for token, _ in groupby(best) if token != blank]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=6),
    st.integers(0, 3),
)
def test_equals_the_definition(paths: list[list[int]], blank: int) -> None:
    longest = max(map(len, paths)) or 1
    logits = torch.full((len(paths), longest, 4), -1.0)
    padding = torch.randint(0, 4, (len(paths), longest))
    for row, path in enumerate(paths):
        best = path + padding[row, len(path) :].tolist()  # whatever the padding says, it is not decoded
        logits[row, torch.arange(longest), torch.tensor(best)] = 1.0
    lengths = torch.tensor([len(path) for path in paths])
    assert ctc_greedy(logits, lengths, blank=blank) == [reference_greedy(path, blank) for path in paths]


def test_batch_equals_one_by_one() -> None:
    torch.manual_seed(1)
    logits = torch.randn(5, 20, 7)
    lengths = torch.tensor([20, 3, 11, 0, 19])
    together = ctc_greedy(logits, lengths)
    alone = [ctc_greedy(logits[i : i + 1, : lengths[i]], lengths[i : i + 1])[0] for i in range(5)]
    assert together == alone
    assert together[3] == []
