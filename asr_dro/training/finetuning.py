"""Options of fine-tuning in the configuration, checked without importing torch: learning rates, adapters, precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asr_dro.config_values import is_count, is_number, take_fields
from asr_dro.errors import UserError

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class RateOptions:
    """How learning rate and weight decay differ between parameters.

    Attributes:
        layer_decay: A layer's learning rate, relative to the one above it; the head has the rate of ``optim_conf``
            (Clark et al., "ELECTRA", 2020, section 3.1, with 0.8 and 0.9). 1: the same everywhere.
        head_lr_scale: Factor of the head's learning rate.
        exclude_weight_decay: No weight decay on biases, norms and all other parameters of one dimension.
    """

    layer_decay: float = 1.0
    head_lr_scale: float = 1.0
    exclude_weight_decay: bool = False


@dataclass(frozen=True)
class LoraOptions:
    """Low-rank adapters (Hu et al., "LoRA", arXiv 2106.09685) beside linear layers.

    Attributes:
        rank: Rank of an adapter.
        alpha: An adapter's output is scaled by ``alpha / rank``.
        dropout: Probability of dropping an adapter's input, from 0 to below 1.
        targets: Names of the linear layers that get one: the last part of a name (``q_proj``) or more of it.
        learn: Patterns of parameters that learn as a whole beside the adapters, in the parts that have adapters.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    learn: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, conf: Mapping[str, Any]) -> LoraOptions:
        """Return the options of the key ``lora``.

        Raises:
            UserError: With every mistake.

        >>> LoraOptions.from_mapping({"rank": 4, "targets": ["q_proj"]}).targets
        ('q_proj',)
        """
        given, problems = take_fields(cls, conf)
        values = {**asdict(cls()), **given}
        for name in ("rank", "alpha"):
            if not is_count(values[name]):
                problems.append(f"{name} must be a whole number from 1, not {values[name]!r}")
        if not is_number(values["dropout"]) or not 0 <= values["dropout"] < 1:
            problems.append(f"dropout must be from 0 to below 1, not {values['dropout']!r}")
        if not _are_names(values["targets"]) or not values["targets"]:
            problems.append(f"targets must be a list of names of linear layers, not {values['targets']!r}")
        if not _are_names(values["learn"]):
            problems.append(f"learn must be a list of patterns, not {values['learn']!r}")
        if problems:
            raise UserError("lora:\n" + "\n".join(f"  - {problem}" for problem in problems))
        return cls(**{**values, "targets": tuple(values["targets"]), "learn": tuple(values["learn"])})


def check_finetuning(config: Mapping[str, Any]) -> None:
    """Check the keys of fine-tuning in a composed configuration whose types are right.

    Raises:
        UserError: With every mistake.
    """
    problems = []
    decay, scale = config.get("layer_decay", 1.0), config.get("head_lr_scale", 1.0)
    if is_number(decay) and not 0 < decay <= 1:
        problems.append(f"layer_decay must be above 0 and at most 1, not {decay}")
    if is_number(scale) and not 0 < scale < float("inf"):
        problems.append(f"head_lr_scale must be above 0, not {scale}")
    if config.get("precision", "fp32") not in PRECISIONS:
        problems.append(f"precision is {config['precision']!r}; allowed: {', '.join(PRECISIONS)}")
    if isinstance(config.get("lora"), Mapping):
        try:
            LoraOptions.from_mapping(config["lora"])
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def _are_names(values: object) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) and value for value in values)
