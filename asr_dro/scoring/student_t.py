"""Student's t distribution: scipy has it too, but takes a second to import, a fifth of all that scoring may cost."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

NORMAL = NormalDist()
_LARGE = 1e7  # degrees of freedom from which t is the normal distribution
_TINY = 1e-300
_PRECISION = 1e-14


def t_cdf(t: float, freedom: float) -> float:
    """Return the share of Student's t below ``t``.

    Args:
        t: Any number.
        freedom: Degrees of freedom, above 0; not necessarily whole.
    """
    if freedom > _LARGE:
        return NORMAL.cdf(t)
    beyond = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2
    return beyond if t < 0 else 1 - beyond


@lru_cache(maxsize=4096)
def t_quantile(share: float, freedom: float) -> float:
    """Return the point below which Student's t has this share.

    Args:
        share: Between 0 and 1, both excluded.
        freedom: Degrees of freedom, at least 1.
    """
    if freedom > _LARGE:
        return NORMAL.inv_cdf(share)
    if share == 0.5:
        return 0.0
    if share > 0.5:
        return -t_quantile(1 - share, freedom)
    low, high = -1.0, 0.0
    while t_cdf(low, freedom) > share:
        low *= 2
    # Newton's steps, which converge in five where halving takes 50; a step that leaves the bracket halves it instead
    point = (low + high) / 2
    while True:
        excess = t_cdf(point, freedom) - share
        low, high = (low, point) if excess > 0 else (point, high)
        step = point - excess / _density(point, freedom)
        following = step if low < step < high else (low + high) / 2
        if abs(following - point) <= _PRECISION * abs(point):
            return following
        point = following


def _density(t: float, freedom: float) -> float:
    """Return the density of Student's t."""
    logarithm = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    return math.exp(logarithm - (freedom + 1) / 2 * math.log1p(t * t / freedom))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function by its continued fraction (DLMF 8.17.22), Lentz's method.

    Args:
        a: Above 0.
        b: Above 0.
        x: From 0 to 1.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the other end's fraction converges sooner
        return 1 - incomplete_beta(b, a, 1 - x)
    logarithm = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d, c = 1 / _not_zero(1 + step * d), _not_zero(1 + step / c)
            fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return math.exp(logarithm) * fraction / a


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
