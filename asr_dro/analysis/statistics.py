"""Robust statistics: how far one value lies from others, and whether two quantities go together.

Legend: ``N`` values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAD_TO_SD = 1.4826  # of a normal distribution
FEWEST_TO_COMPARE = 5  # values without which a spread says nothing
FEWEST_TO_CORRELATE = 8  # below, even a perfect order is within the reach of chance once several are looked at
N_PERMUTATIONS = 10_000
_BLOCK = 1_000  # permutations at a time
_Z_95 = 1.959963984540054


def robust_z(values: Floats, *, floor: float) -> Floats:
    """Return how many robust standard deviations each value lies above the median.

    Args:
        values: (N,); ``nan`` where there is no value.
        floor: Least standard deviation that is believed: values that are nearly all equal have none of their own.

    Returns:
        (N,), ``nan`` where there is no value, or fewer than five of them.
    """
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_TO_COMPARE:
        return np.full(len(values), np.nan)
    median = np.median(known)
    spread = MAD_TO_SD * float(np.median(np.abs(known - median)))
    z: Floats = (values - median) / max(spread, floor)
    return z


@dataclass(frozen=True, slots=True)
class Deviation:
    """One value beside others.

    Attributes:
        difference: Value minus the others' median.
        z: The same in robust standard deviations of the others; ``nan`` if they are fewer than five.
        median: The others' median.
    """

    difference: float
    z: float
    median: float


def deviation(value: float, others: Sequence[float], *, floor: float) -> Deviation | None:
    """Compare a value with others, of which it is none.

    Args:
        value: The value.
        others: The others.
        floor: Least standard deviation that is believed.

    Returns:
        None if there are no others, or the value is not finite.
    """
    known = np.asarray([other for other in others if math.isfinite(other)])
    if not len(known) or not math.isfinite(value):
        return None
    median = float(np.median(known))
    spread = max(MAD_TO_SD * float(np.median(np.abs(known - median))), floor)
    z = (value - median) / spread if len(known) >= FEWEST_TO_COMPARE else math.nan
    return Deviation(value - median, z, median)


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's correlation of two quantities.

    Attributes:
        n: Pairs.
        rho: The coefficient; None if there are too few pairs, or one quantity is the same everywhere.
        interval: 95 %, by Fisher's transformation with the standard error of Bonett and Wright (2000).
        p: Share of random orders with a coefficient as far from 0, two-sided; never 0.
    """

    n: int
    rho: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None


def spearman(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> RankCorrelation:
    """Correlate ranks; equal values share their mean rank.

    Args:
        first: (N,); pairs in which a value is not finite are left out.
        second: (N,).
        seed: Of the random orders.
    """
    pairs = [(x, y) for x, y in zip(first, second, strict=True) if math.isfinite(x) and math.isfinite(y)]
    n = len(pairs)
    if n < FEWEST_TO_CORRELATE:
        return RankCorrelation(n)
    one, two = (_standardised(mean_ranks(np.array(column))) for column in zip(*pairs, strict=True))
    if one is None or two is None:
        return RankCorrelation(n)
    rho = float(np.clip(one @ two, -1.0, 1.0))
    generator = np.random.default_rng(seed)
    n_as_far = 0
    for _ in range(N_PERMUTATIONS // _BLOCK):
        orders = generator.permuted(np.broadcast_to(two, (_BLOCK, n)), axis=1)
        n_as_far += int(np.count_nonzero(np.abs(orders @ one) >= abs(rho) - 1e-12))
    return RankCorrelation(n, rho, _interval(rho, n), (n_as_far + 1) / (N_PERMUTATIONS + 1))


def mean_ranks(values: Floats) -> Floats:
    """Rank values (N,) from 1 on; equal ones have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _standardised(ranks: Floats) -> Floats | None:
    """Bring ranks to mean 0 and length 1; None if all are equal."""
    centred = ranks - ranks.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0 else None


def _interval(rho: float, n: int) -> tuple[float, float]:
    if abs(rho) >= 1.0:
        return rho, rho
    middle, error = math.atanh(rho), math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(middle - _Z_95 * error), math.tanh(middle + _Z_95 * error)
