"""The plain objective: per-utterance losses in, one number to differentiate out.

Legend: ``B`` utterances of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from asr_dro.errors import UserError
from asr_dro.objectives.config import ObjectiveConfig
from asr_dro.objectives.feasibility import usable_utterances
from asr_dro.objectives.group_names import check_group_names


class MeanObjective(nn.Module):
    """Plain empirical risk: the mean (or sum) of the utterances' losses, without state.

    Args:
        group_names: Ordered names of the groups.
        config: Checked options.
    """

    def __init__(self, group_names: Sequence[str], config: ObjectiveConfig) -> None:
        super().__init__()
        self.group_names = check_group_names(group_names)
        self.config = config

    def forward(
        self,
        losses: Tensor,
        groups: Tensor,
        *,
        lengths: Tensor | None = None,
        infeasible: Tensor | None = None,
        visit_fraction: float = 1.0,
    ) -> Tensor:
        """Reduce the losses of one batch to the number to differentiate.

        In evaluation (``self.training`` false) it is the mean of the raw losses and nothing else happens. In both,
        utterances that are marked as infeasible or whose loss is not finite are left out of value and gradient.

        Args:
            losses: ``(B,)`` per-utterance losses; ``B`` may be 0 on a rank whose slice of the batch is empty.
            groups: ``(B,)`` indices of the utterances' groups.
            lengths: ``(B,)`` labels or frames per utterance, needed if ``normalize_by`` asks for them.
            infeasible: ``(B,)`` mask of utterances to leave out, such as ``ctc_infeasible`` returns.
            visit_fraction: Size of the (whole, not this rank's) batch relative to a full batch.

        Returns:
            The loss, without dimensions. If no utterance is usable: 0 in training, without gradient; NaN in evaluation,
            where 0 would look like a perfect result.

        Raises:
            UserError: Losses are not per utterance, lengths are missing, or (found on CPU only) a group index is
            unknown.
        """
        _check_shapes(losses, groups)
        usable = usable_utterances(losses, infeasible)
        losses = torch.where(usable, losses, 0.0)
        if losses.dtype in (torch.float16, torch.bfloat16):  # a sum of losses overflows or is coarse in half precision
            losses = losses.float()
        if not self.training:
            return losses.sum() / (usable.sum() if len(losses) else 1)
        total = self._weigh(self._normalize(losses, lengths), usable, groups, visit_fraction).sum()
        return total if self.config.loss_reduction == "sum" else total / usable.sum().clamp(min=1)

    def batch_weight(self, losses: Tensor, infeasible: Tensor | None = None) -> Tensor:
        """Return this rank's share in the loss ``()``: its usable utterances, or 1 where losses are summed.

        The mean over all ranks is ``sum(weight * loss) / sum(weight)``.
        """
        usable = usable_utterances(losses, infeasible)
        return usable.sum() if self.config.loss_reduction == "mean" else torch.ones_like(usable.sum())

    def check_groups(self, names: Sequence[str]) -> None:
        """Refuse data whose groups were not trained on.

        Raises:
            UserError: Some names are no groups of this objective; the message names them.
        """
        unknown = sorted(set(names) - set(self.group_names))
        if unknown:
            raise UserError(
                f"groups without training data: {', '.join(unknown)}; trained groups: {', '.join(self.group_names)}. "
                "Remove them from the dev or test set, or add training data."
            )

    def drain_records(self) -> list[dict[str, Any]]:
        """Return the weight updates since the last call; none here."""
        return []

    def _weigh(self, losses: Tensor, usable: Tensor, groups: Tensor, visit_fraction: float) -> Tensor:
        """Return the ``(B,)`` losses times their groups' weights."""
        return losses

    def _normalize(self, losses: Tensor, lengths: Tensor | None) -> Tensor:
        """Return the ``(B,)`` losses per label or frame if the options ask for it."""
        unit = self.config.normalize_by
        if unit == "none":
            return losses
        if lengths is None:
            raise UserError(f"normalize_by is '{unit}': call the objective with lengths, the {unit} of each utterance")
        return losses / lengths.clamp(min=1)


def _check_shapes(losses: Tensor, groups: Tensor) -> None:
    if losses.ndim != 1 or losses.shape != groups.shape:
        raise UserError(
            f"losses have shape {tuple(losses.shape)} and groups {tuple(groups.shape)}; "
            "both must be (utterances,): compute the loss with reduction='none'"
        )
