"""Where CTC-DRO's weights settle when the losses stand still; plain Python, so that reports need no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ctc_dro_fixed_point(loss: Sequence[float], smoothing: float) -> list[float]:
    """Return the weights at which CTC-DRO's update stands still for constant group losses.

    They maximise ``sum_g log(q_g + smoothing) L_g`` on the simplex. With ``A`` the active set (groups with weight
    above 0) and ``m`` its size: ``q_g = (1 + m smoothing) L_g / sum_A L - smoothing``, and 0 outside of ``A``. ``A``
    is found by leaving out the groups whose weight comes out negative until none does; each round lowers the other
    weights, so no group left out has to come back.

    Args:
        loss: ``G`` group losses, finite and at least 0.
        smoothing: The paper's alpha, at least 0; with 0 the weights are proportional to the losses.

    Returns:
        ``G`` weights that sum to 1; uniform when all losses are 0.

    Raises:
        ValueError: No loss given, or a loss or the smoothing is negative or not finite.

    >>> [round(weight, 4) for weight in ctc_dro_fixed_point([1.0, 2.0, 3.0], smoothing=0.5)]
    [0.0, 0.3, 0.7]
    """
    if not loss or not all(math.isfinite(value) and value >= 0 for value in [*loss, smoothing]):
        raise ValueError(
            f"losses and smoothing must be finite and at least 0: losses {list(loss)}, smoothing {smoothing}"
        )
    largest = max(loss)
    if largest == 0:
        return [1 / len(loss)] * len(loss)
    scaled = [value / largest for value in loss]  # the sum of huge losses would overflow
    active = list(range(len(loss)))
    while True:
        scale = (1 + len(active) * smoothing) / sum(scaled[group] for group in active)
        weights = {group: scale * scaled[group] - smoothing for group in active}
        if min(weights.values()) >= 0:
            return [weights.get(group, 0.0) for group in range(len(loss))]
        active = [group for group in active if weights[group] > 0]
