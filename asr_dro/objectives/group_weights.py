"""Update rules of the group weights: pure functions on ``(G,)`` tensors, in log space.

Legend: ``G`` groups; ``q`` the weights, a point of the simplex; ``L_g`` the loss of group ``g`` (in nats).

Both rules are exponentiated gradient ascent (Hedge): every weight is multiplied by ``exp(step * gain)`` and the
weights are renormalised. They differ in the gain only: ``L_g`` for group DRO (Sagawa et al. 2020),
``L_g / (q_g + alpha)`` for CTC-DRO (arXiv 2502.01777, Eq. 10), so that a group that already has weight gains less of
it.

Two things are added to the published formulas, both without effect in ordinary training:

- No weight falls below ``WEIGHT_FLOOR``, so that a group whose weight would underflow can come back. (The released code
  adds the same number to every weight.)
- A group whose gain is not finite keeps its weight, and the others share what is left. The factor 1 would be no
  neutral choice: losses are positive, so it would mean "a group with loss 0" and drain weight from the group that
  fails.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WEIGHT_FLOOR = 1e-10


def group_dro_update(log_q: Tensor, loss: Tensor, step_size: float) -> Tensor:
    """Return the log weights after one step of group DRO: ``q_g exp(step L_g)``, renormalised.

    Args:
        log_q: ``(G,)`` logarithms of the weights; use float64 where updates are many.
        loss: ``(G,)`` group losses; 0 for a group that was not seen, NaN for one that keeps its weight.
        step_size: Step of the ascent, at least 0; with 0 ``log_q`` itself is returned.

    Returns:
        ``(G,)`` new log weights, finite and normalised.

    >>> q = group_dro_update(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.0, 1.0]), step_size=1.0).exp()
    >>> [round(weight, 4) for weight in q.tolist()]  # 1 / (1 + e), e / (1 + e)
    [0.2689, 0.7311]
    """
    return _exponentiated_gradient(log_q, loss, step_size)


def ctc_dro_update(log_q: Tensor, loss: Tensor, step_size: float, *, smoothing: float) -> Tensor:
    """Return the log weights after one step of CTC-DRO: ``q_g exp(step L_g / (q_g + smoothing))``, renormalised.

    Args:
        log_q: ``(G,)`` logarithms of the weights; use float64 where updates are many.
        loss: ``(G,)`` group losses; 0 for a group that was not seen, NaN for one that keeps its weight.
        step_size: Step of the ascent, at least 0; with 0 ``log_q`` itself is returned.
        smoothing: The paper's alpha, above 0. The larger, the closer to group DRO with step ``step_size / smoothing``.

    Returns:
        ``(G,)`` new log weights, finite and normalised.
    """
    return _exponentiated_gradient(log_q, loss / (log_q.exp() + smoothing), step_size)


def _exponentiated_gradient(log_q: Tensor, gain: Tensor, step_size: float) -> Tensor:
    """Multiply the weights by ``exp(step_size * gain)`` and renormalise; see the module's text for floor and NaN."""
    if step_size == 0:  # the very same numbers: a step of 0 must equal plain training bit for bit
        return log_q
    ascent = step_size * gain
    moves = torch.isfinite(ascent)
    # log_softmax subtracts the maximum, so that no exponent overflows.
    moved = torch.log_softmax(torch.where(moves, log_q + ascent, -torch.inf), dim=0)
    total = torch.log((log_q.exp() * moves).sum())  # the moving groups keep their total weight
    floored = torch.where(moves, moved + total, log_q).clamp(min=math.log(WEIGHT_FLOOR))
    return torch.log_softmax(floored, dim=0)
