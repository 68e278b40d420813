"""Options of the objectives, checked all at once; without torch, so that a configuration is checked in no time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from asr_dro.config_values import is_count, is_number
from asr_dro.errors import UserError

CHOICES = {
    "reduction": ("sum", "mean"),
    "update": ("round", "batch"),
    "loss_reduction": ("mean", "sum"),
    "normalize_by": ("none", "labels", "frames"),
}
PLAIN_OPTIONS = ("loss_reduction", "normalize_by")


@dataclass(frozen=True)
class ObjectiveConfig:
    """How per-utterance losses become one number, and how group weights move.

    Where the CTC-DRO paper and its released code differ, the option says which value belongs to which.

    Attributes:
        loss_reduction: The loss that is differentiated: ``mean`` over the batch's utterances (released code) or their
            ``sum`` (paper, Algorithm 1). With ``mean``, a batch counts as much as its group's weight says, however
            full it is.
        normalize_by: Divide each utterance's loss by its number of ``labels`` (what PyTorch's ``CTCLoss`` does with
            ``reduction="mean"``) or of ``frames``, in the gradient and in the group losses; or not (``none``).
        step_size: Step of the weights' ascent, the paper's eta_q; 0 leaves them uniform.
        smoothing: The paper's alpha; None selects the group DRO update.
        reduction: Group loss of a batch: ``sum`` over its utterances (CTC-DRO) or ``mean`` (group DRO in the released
            code).
        update: ``round``: once every group was seen since the last update, with the mean of each group's batches
            (CTC-DRO); ``batch``: after every batch, groups not in it having loss 0 (group DRO).
        scale_by_group_count: Multiply the weights by the number of groups, so that uniform weights give the plain
            loss and the learning rate need not be tuned again (CTC-DRO; the released group DRO did not).
        partial_visits: Count a batch as the fraction of a full batch that it is (``visit_fraction``), so that a small
            last batch does not pull its group's loss down. False: as one visit, whatever its size (paper and code).
        record_capacity: Updates kept on the device until ``drain_records()`` is called; None: 4096, or as many as fit
            16 MiB.
    """

    loss_reduction: str = "mean"
    normalize_by: str = "none"
    step_size: float = 1e-4
    smoothing: float | None = None
    reduction: str = "sum"
    update: str = "round"
    scale_by_group_count: bool = True
    partial_visits: bool = True
    record_capacity: int | None = None


@dataclass(frozen=True)
class _Objective:
    """An objective's own defaults and the options it takes."""

    defaults: Mapping[str, Any]
    options: tuple[str, ...]


_ALL_OPTIONS = tuple(field.name for field in fields(ObjectiveConfig))
OBJECTIVES: Mapping[str, _Objective] = {
    "ctc": _Objective({}, PLAIN_OPTIONS),
    "ctc_length_normalized": _Objective({"normalize_by": "labels"}, PLAIN_OPTIONS),
    "group_dro": _Objective(
        {"reduction": "mean", "update": "batch"}, tuple(name for name in _ALL_OPTIONS if name != "smoothing")
    ),
    "ctc_dro": _Objective({"smoothing": 0.5}, _ALL_OPTIONS),
}


def check_objective(name: str, conf: Mapping[str, Any]) -> ObjectiveConfig:
    """Return the complete options of an objective.

    Args:
        name: One of ``OBJECTIVES``.
        conf: Options that differ from the objective's defaults.

    Returns:
        The checked options.

    Raises:
        UserError: Unknown objective, unknown options or wrong values; the message names all of them.

    >>> check_objective("ctc_dro", {"step_size": 1e-3}).smoothing
    0.5
    """
    if name not in OBJECTIVES:
        raise UserError(f"objective '{name}' is unknown; choose one of: {', '.join(OBJECTIVES)}")
    objective = OBJECTIVES[name]
    problems = [
        f"option '{key}' is unknown; '{name}' takes: {', '.join(objective.options)}"
        for key in conf
        if key not in objective.options
    ]
    known = {key: value for key, value in conf.items() if key in objective.options}
    config = ObjectiveConfig(**{**objective.defaults, **known})
    problems += _wrong_values(name, config)
    if problems:
        raise UserError(f"objective '{name}':\n" + "\n".join(f"  - {problem}" for problem in problems))
    return config


def _wrong_values(name: str, config: ObjectiveConfig) -> list[str]:
    """Return one sentence for each value that is not allowed."""
    problems = [
        f"{key} is {getattr(config, key)!r}; choose one of: {', '.join(allowed)}"
        for key, allowed in CHOICES.items()
        if getattr(config, key) not in allowed
    ]
    if name == "ctc_length_normalized" and config.normalize_by == "none":
        problems.append("normalize_by is 'none', which is the objective 'ctc'; choose labels or frames")
    if not is_number(config.step_size) or not 0 <= config.step_size < math.inf:
        problems.append(
            f"step_size is {config.step_size!r}; give a number of at least 0, such as 1.0e-4 (not 1e-4 in YAML)"
        )
    if name == "ctc_dro" and not (is_number(config.smoothing) and 0 < config.smoothing < math.inf):
        problems.append(f"smoothing is {config.smoothing!r}; give a number above 0 (no smoothing is 'group_dro')")
    for key in ("scale_by_group_count", "partial_visits"):
        if not isinstance(getattr(config, key), bool):
            problems.append(f"{key} is {getattr(config, key)!r}; give true or false")
    capacity = config.record_capacity
    if capacity is not None and not is_count(capacity):
        problems.append(f"record_capacity is {capacity!r}; give a whole number of at least 1, or leave it out")
    return problems
