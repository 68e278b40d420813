"""Shares of a decoding: which batches of a split are whose.

Whole batches are shared out, not utterances: a batch is then the same whoever decodes it, and so is its result.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr_dro.batching import Batch
from asr_dro.errors import UserError

_SHARD = re.compile(r"([0-9]+)/([0-9]+)")


class Shard(NamedTuple):
    """One of several equal shares.

    Attributes:
        number: Which one, from 1.
        total: How many there are.
    """

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def parse_shard(text: str) -> Shard:
    """Read ``K/N``.

    Raises:
        UserError: If it is of another form, or K is not from 1 to N.

    >>> parse_shard("2/8")
    Shard(number=2, total=8)
    """
    match = _SHARD.fullmatch(text)
    if match is None:
        raise UserError(f"--shard {text}: not of the form K/N, such as 2/8 for the second of eight shards")
    shard = Shard(int(match[1]), int(match[2]))
    if not 1 <= shard.number <= shard.total:
        raise UserError(f"--shard {text}: K goes from 1 to N, such as 1/{max(1, shard.total)}")
    return shard


def batch_seconds(batches: Sequence[Batch], durations_s: NDArray[np.float64]) -> list[float]:
    """Return the audio of each batch in seconds, padding counted: what decoding it costs."""
    return [float(durations_s[batch.indices].max()) * len(batch.indices) for batch in batches]


def share_out(seconds: Sequence[float], count: int) -> list[list[int]]:
    """Share batches out so that the shares are about equal: the longest first, each to whoever has least.

    Args:
        seconds: Audio of each batch.
        count: Number of shares.

    Returns:
        For each share its batches, ascending; the shares' sums differ by one batch at most. Shares may be empty.
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [(0.0, share) for share in range(count)]
    for batch in sorted(range(len(seconds)), key=lambda batch: (-seconds[batch], batch)):
        load, share = loads[0]
        shares[share].append(batch)
        heapq.heapreplace(loads, (load + seconds[batch], share))
    return [sorted(share) for share in shares]
