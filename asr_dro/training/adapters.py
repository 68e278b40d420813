"""LoRA adapters beside the linear layers of any network (package ``peft``), and their way back into the weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from asr_dro.errors import UserError, first_of
from asr_dro.training.finetuning import LoraOptions

logger = logging.getLogger(__name__)

# Weights of layers in a sum: few, new, and no part of what the checkpoint holds.
ALWAYS_LEARN = ("frontend.weights", "frontend.featurizer.*")
HEAD_PART = "ctc"  # it learns as a whole
SHOWN = 12  # names of layers in a message


def add_adapters(model: nn.Module, options: LoraOptions) -> None:
    """Put adapters beside linear layers and freeze the parts that have them, in place.

    Of a part with adapters (``encoder``, ``frontend``, ``decoder``) only these and ``options.learn`` learn; other
    parts learn as before. An untrained adapter changes nothing. Checkpoints without adapters can still be loaded
    (``init_param``).

    Args:
        model: The model, as ESPnet builds it.
        options: Rank, scale, dropout and targets.

    Raises:
        UserError: If a target is no linear layer of the network, or a pattern fits nothing; the message names what
            there is.
    """
    targets = find_targets(model, options.targets)
    learnt = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    unknown = [pattern for pattern in options.learn if not any(fnmatchcase(name, pattern) for name in learnt)]
    if unknown:
        raise UserError(f"lora.learn: no parameter fits {', '.join(map(repr, unknown))}")
    from peft import LoraConfig, inject_adapter_in_model  # seconds: only where adapters are asked for

    conf = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=list(targets)
    )
    inject_adapter_in_model(conf, model)
    for _, layer in _adapted(model):
        layer.register_load_state_dict_pre_hook(_accept_plain_weights)
    parts = {name.split(".")[0] for name in targets}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.requires_grad_(True)
        else:
            whole = name.split(".")[0] not in parts or _fits(name, (*ALWAYS_LEARN, *options.learn))
            parameter.requires_grad_(whole and learnt.get(name, False))
    logger.info("LoRA adapters of rank %d at %d linear layers of %s", options.rank, len(targets), ", ".join(parts))


def find_targets(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """Return the full names of the linear layers that are meant.

    Args:
        model: The model; its head is left out.
        targets: Last parts of names, such as ``q_proj`` or ``attention.q_proj``.

    Raises:
        UserError: If a target is no linear layer, or one whose weights are read past an adapter.
    """
    linear = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    linear = [name for name in linear if name.split(".")[0] != HEAD_PART]
    found = {target: [name for name in linear if f".{name}".endswith(f".{target}")] for target in targets}
    unknown = [target for target, names in found.items() if not names]
    if unknown:
        counts = Counter(name.rpartition(".")[2] for name in linear)
        there = first_of([f"{name} ({count})" for name, count in counts.most_common()], SHOWN) or "none"
        raise UserError(f"lora.targets: no linear layer is called {', '.join(map(repr, unknown))}; there are: {there}")
    names = sorted({name for names in found.values() for name in names})
    for name in names:
        parent = model.get_submodule(name.rpartition(".")[0])
        # torch's and fairseq's attention hand the weights to a function, so an adapter would never be asked.
        if "MultiheadAttention" in type(parent).__name__:
            raise UserError(f"lora.targets: {name} is in a {type(parent).__name__}, which does not run its adapter")
    return names


def merge_adapters(model: nn.Module) -> int:
    """Add adapters to the weights they stand beside, and remove them, in place; return how many there were.

    Raises:
        ValueError: If an adapter holds numbers that are not finite.
    """
    adapted = _adapted(model)
    for name, layer in adapted:
        layer.merge(safe_merge=True)
        model.set_submodule(name, layer.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
    return len(adapted)


def _adapted(model: nn.Module) -> list[tuple[str, Any]]:
    """Return the layers with adapters by name; without importing ``peft`` where nothing has asked for it."""
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "lora_A")]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _accept_plain_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Give the weights of a layer without adapter the name that they have beside one."""
    for name in ("weight", "bias"):
        if f"{prefix}{name}" in state:
            state[f"{prefix}base_layer.{name}"] = state.pop(f"{prefix}{name}")
