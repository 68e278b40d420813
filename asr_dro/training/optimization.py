"""Learning rates and weight decay by parameter: layer-wise decay, the head's own rate.

The network is read from the bottom to the top: front end, pre-encoder, encoder, post-encoder, decoder, head. A part
with numbered layers has a level for what comes before them and one for each layer; what comes after them goes with the
last one. A part without is one level. The head is the highest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

from asr_dro.training.finetuning import RateOptions
from asr_dro.training.freezing import HEAD

PARTS = ("frontend", "specaug", "normalize", "preencoder", "encoder", "postencoder", "decoder")  # as signals flow
_LAYER = re.compile(r"(?:^|\.)(?:layers|encoders|decoders|blocks)\.(\d+)\.")


def network_levels(model: nn.Module) -> list[tuple[str, list[str]]]:
    """Return levels of the network from the bottom to the head.

    Args:
        model: The model; its parts are called as ESPnet calls them.

    Returns:
        Pairs (name of the level, names of its parameters); none is empty. Where no parameters are left for the head
        (Whisper's decoder puts out tokens through their own embeddings), the last layer is the highest.
    """
    levels: list[tuple[str, list[str]]] = []
    for part in PARTS:
        module = getattr(model, part, None)
        if isinstance(module, nn.Module):
            for level, names in _levels_of_part(module):
                levels.append((f"{part}.{level}".rstrip("."), [f"{part}.{name}" for name in names]))
    placed = {name for _, names in levels for name in names}
    head = [name for name, _ in model.named_parameters() if name not in placed]
    return [*levels, ("head", head)] if head else levels


def learning_rate_scales(model: nn.Module, options: RateOptions) -> dict[str, float]:
    """Return by parameter what its learning rate is multiplied with.

    Args:
        model: The model.
        options: A level's scale is ``layer_decay`` to the power of the number of levels above it.
    """
    levels = network_levels(model)
    scales = {}
    for height, (_, names) in enumerate(levels):
        for name in names:
            below = options.layer_decay ** (len(levels) - 1 - height)
            scales[name] = below * (options.head_lr_scale if _is_head(name) else 1.0)
    return scales


def build_optimizer(
    model: nn.Module, optimizer_class: type[Optimizer], conf: Mapping[str, Any], options: RateOptions
) -> Optimizer:
    """Build an optimiser whose groups of parameters carry ``name`` and ``lr_scale``.

    With the default options there is one group, of all parameters in their order.

    Args:
        model: The model.
        optimizer_class: Class of the optimiser.
        conf: Its options; ``lr`` is the highest level's.
        options: How parameters differ.
    """
    scales, names = learning_rate_scales(model, options), _group_names(model, options)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        plain = options.exclude_weight_decay and parameter.ndim < 2
        group = groups.setdefault((scales[name], plain), {"params": [], "name": names[name]})
        group["params"].append(parameter)
        group["lr_scale"] = scales[name]
        if plain:
            group["weight_decay"] = 0.0
    optimizer = optimizer_class(list(groups.values()), **conf)
    for built in optimizer.param_groups:
        built["lr"] *= built["lr_scale"]
    return optimizer


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the present learning rate by name of the level, the highest first."""
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        rates.setdefault(group.get("name", "all"), float(group["lr"]))
    return dict(sorted(rates.items(), key=lambda entry: -entry[1]))


def rate_options(arguments: Any) -> RateOptions:
    """Return the options among ESPnet's arguments and ours (same names)."""
    return RateOptions(**{name: getattr(arguments, name) for name in asdict(RateOptions())})


def _is_head(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in HEAD)


def _group_names(model: nn.Module, options: RateOptions) -> dict[str, str]:
    """Return by parameter the name of its group: the level, or what is told apart where all levels are alike."""
    if options.layer_decay != 1:
        return {name: level for level, names in network_levels(model) for name in names}
    names = [name for name, _ in model.named_parameters()]
    if options.head_lr_scale == 1:
        return dict.fromkeys(names, "all")
    return {name: "head" if _is_head(name) else "body" for name in names}


def _levels_of_part(part: nn.Module) -> list[tuple[str, list[str]]]:
    """Return a part's levels from the bottom, none of them empty; names are relative to the part."""
    names = [name for name, _ in part.named_parameters()]
    stack = _longest_stack(names)
    if stack is None:
        return [("", names)] if names else []
    indices = sorted({index for found, index in map(_layer, names) if found == stack})
    levels: dict[int, list[str]] = {level: [] for level in (-1, *indices)}
    for name in names:
        found, index = _layer(name)
        if found != stack:
            index = indices[-1] if _comes_after(part, name, stack) else -1
        levels[index].append(name)
    labels = {-1: "input", **{index: f"layer{index}" for index in indices}}
    return [(labels[index], found_names) for index, found_names in levels.items() if found_names]


def _layer(name: str) -> tuple[str | None, int]:
    """Return the path of the list of layers that a parameter is in, and its index there; (None, -1) outside."""
    match = _LAYER.search(name)
    return (name[: match.start(1) - 1], int(match[1])) if match else (None, -1)


def _longest_stack(names: list[str]) -> str | None:
    layers: dict[str, set[int]] = {}
    for path, index in map(_layer, names):
        if path is not None:
            layers.setdefault(path, set()).add(index)
    return max(layers, key=lambda path: len(layers[path]), default=None)


def _comes_after(part: nn.Module, name: str, stack: str) -> bool:
    """Tell whether a parameter outside a list of layers works on what they put out.

    Modules are registered in the order in which they work, with two exceptions: a part's own vectors weigh what the
    network inside it puts out, and wav2vec 2.0 has one norm, which stands before or after the layers.
    """
    if name.startswith(f"{stack}."):
        return True
    own, path = name.split("."), stack.split(".")
    depth = next(i for i, (mine, other) in enumerate(zip(own, path, strict=False)) if mine != other)
    ancestor = part.get_submodule(".".join(path[:depth]))
    children = [child for child, _ in ancestor.named_children()]
    if own[depth] not in children:
        return depth == 0 and len(path) > 1
    if own[depth] == "layer_norm" and getattr(getattr(ancestor, "config", None), "do_stable_layer_norm", False):
        return True
    return children.index(own[depth]) > children.index(path[depth])
