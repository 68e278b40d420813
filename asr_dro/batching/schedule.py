"""How often each group comes in an epoch, and in which order.

Legend: ``G`` groups; a *visit* is one batch of a group. All of it follows from (seed, epoch), never from what came
before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GOLDEN_RATIO = (np.sqrt(5) - 1) / 2


def generator(*entropy: int) -> np.random.Generator:
    """Return a random generator that depends on nothing but these whole numbers."""
    return np.random.Generator(np.random.PCG64(list(entropy)))


def temperature_shares(seconds: Floats, temperature: float) -> Floats:
    """Return each group's share of an epoch's audio, proportional to ``seconds ** (1 / temperature)``.

    Args:
        seconds: ``(G,)`` audio of each group, above 0.
        temperature: 1 gives the natural shares, infinity equal ones.

    Returns:
        ``(G,)`` shares that sum to 1.

    >>> temperature_shares(np.array([100.0, 1.0]), temperature=2.0).round(3)
    array([0.909, 0.091])
    """
    powers = (seconds / seconds.max()) ** (1 / temperature)
    return np.asarray(powers / powers.sum())


def whole_visits(rates: Floats, epoch: int) -> Ints:
    """Return whole numbers of visits whose sum is the same in every epoch and whose mean over epochs is ``rates``.

    Systematic sampling: the rates are laid end to end on a line, and a visit falls on every whole number after the line
    was shifted. The shifts of successive epochs are multiples of the golden ratio, which fill the unit interval
    evenly, so no group waits long for the visit that its fraction stands for.

    Args:
        rates: ``(G,)`` visits per epoch, fractions allowed; their sum is a whole number.
        epoch: Number of the epoch, from 0.

    Returns:
        ``(G,)`` visits, each ``rates`` rounded down or up.
    """
    return np.asarray(_visits_until(rates, np.array([epoch]))[0])


def visits_before(rates: Floats, epoch: int) -> Ints:
    """Return the ``(G,)`` visits in all epochs before this one."""
    return np.asarray(_visits_until(rates, np.arange(epoch)).sum(axis=0))


def _visits_until(rates: Floats, epochs: Ints) -> Ints:
    """Return the ``(E, G)`` visits in each of the epochs."""
    ends = np.concatenate([[0.0], np.cumsum(rates)])
    ends[-1] = round(ends[-1])
    shift = (epochs * GOLDEN_RATIO) % 1 + 1e-9  # sums of fractions miss a whole number by a rounding error
    visits: Ints = np.diff(np.floor(ends + shift[:, None]).astype(np.int64), axis=1)
    return visits


def order_visits(visits: Ints, schedule: str, rng: np.random.Generator) -> Ints:
    """Return the groups of an epoch's batches in order.

    Args:
        visits: ``(G,)`` visits of each group.
        schedule: ``uniform``: rounds in which each group comes once, in random order; ``proportional``: random order;
            ``interleaved``: each group's visits evenly spread over the epoch.
        rng: Random numbers.

    Returns:
        Group indices, as many as there are visits.
    """
    groups = np.repeat(np.arange(len(visits)), visits)
    turn = np.arange(len(groups)) - np.repeat(np.cumsum(visits) - visits, visits)  # 0, 1, ... within a group
    if schedule == "uniform":
        order = np.lexsort((rng.random(len(groups)), turn))
    elif schedule == "interleaved":
        place = (turn + rng.random(len(visits))[groups]) / visits[groups]
        order = np.argsort(place, kind="stable")
    else:
        order = rng.permutation(len(groups))
    return np.asarray(groups[order])
