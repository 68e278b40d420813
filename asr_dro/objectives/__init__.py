"""Group-robust training objectives for any per-utterance loss; needs torch only.

- ``build_objective(name, group_names, **options)`` makes one of ``ctc``, ``ctc_length_normalized``, ``group_dro``,
  ``ctc_dro``;
- ``check_objective(name, options)`` checks a configuration, and ``ctc_dro_fixed_point`` says where weights settle: both
  without importing torch, for the stages that configure and report.

In the ``Trainer`` of Hugging Face (the objective is a submodule of the model, so its weights are in the checkpoints)::

    model.objective = build_objective("ctc_dro", languages, step_size=1e-4, smoothing=0.5)

    class GroupRobustTrainer(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
            groups, labels = inputs.pop("groups"), inputs.pop("labels")  # remove_unused_columns=False keeps "groups"
            outputs = model(**inputs)
            losses = per_utterance_ctc(outputs.logits, labels)  # (B,), reduction="none"
            loss = self.model.objective(losses, groups)  # model.train() and model.eval() switch it too
            return (loss, outputs) if return_outputs else loss
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asr_dro.objectives.config import OBJECTIVES, ObjectiveConfig, check_objective
from asr_dro.objectives.fixed_point import ctc_dro_fixed_point

if TYPE_CHECKING:
    from asr_dro.objectives.mean_objective import MeanObjective

__all__ = ["OBJECTIVES", "ObjectiveConfig", "build_objective", "check_objective", "ctc_dro_fixed_point"]


def build_objective(name: str, group_names: Sequence[str], **options: Any) -> MeanObjective:
    """Make an objective.

    Args:
        name: ``ctc``, ``ctc_length_normalized``, ``group_dro`` or ``ctc_dro``.
        group_names: Names of the groups; a group's index is its position here.
        options: Those of ``ObjectiveConfig`` that differ from the objective's defaults.

    Returns:
        A module to call with ``(losses, groups)``, each ``(B,)``.

    Raises:
        UserError: Unknown name or options, wrong values or group names; the message lists what is allowed.
    """
    config = check_objective(name, options)
    # Here and not above: torch takes seconds to import, and checking a configuration needs none of it.
    from asr_dro.objectives.group_objective import GroupObjective
    from asr_dro.objectives.mean_objective import MeanObjective

    weighted = name in ("group_dro", "ctc_dro")
    return GroupObjective(group_names, config) if weighted else MeanObjective(group_names, config)
