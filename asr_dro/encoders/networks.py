"""What networks of transformers have in common here: options, and weights from a Hugging Face folder."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_dro.config_values import is_number
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

ATTENTION = ("sdpa", "eager", "flash_attention_2")


def check_dropout(values: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, float]:
    """Return the probability of each kind of dropout, 0 for what is not named.

    Args:
        values: Probabilities of some kinds.
        kinds: The kinds that there are.

    Raises:
        UserError: With every mistake.
    """
    known = tuple(kinds)
    problems = [f"dropout.{key} is not a key; allowed: {', '.join(known)}" for key in values if key not in known]
    problems += [
        f"dropout.{key} must be from 0 to below 1, not {value!r}"
        for key, value in values.items()
        if key in known and not (is_number(value) and 0 <= value < 1)
    ]
    if problems:
        raise UserError("\n".join(problems))
    return {key: float(values.get(key, 0.0)) for key in known}


def usable_attention(wanted: str) -> str:
    """Return the implementation of attention to use, ``sdpa`` where the wanted one is not there.

    Raises:
        UserError: If it is none of ``ATTENTION``.
    """
    if wanted not in ATTENTION:
        raise UserError(f"attention is {wanted!r}; allowed: {', '.join(ATTENTION)}")
    if wanted != "flash_attention_2":
        return wanted
    if importlib.util.find_spec("flash_attn") is None or not torch.cuda.is_available():
        logger.warning("attention: flash_attention_2 needs the package flash_attn and a GPU; sdpa is used")
        return "sdpa"
    return wanted


def load_folder(
    network: Any, folder: Path, config: Any, *, dispensable: Mapping[str, Callable[[Tensor], object]] | None = None
) -> Any:
    """Load a network from a folder, in training mode and fp32.

    Args:
        network: Its class in transformers.
        folder: Folder with weights.
        config: What the network looks like, with its options; ``_attn_implementation`` is one of ``ATTENTION``.
        dispensable: Parameters that the folder may lack, and what fills them then: transformers leaves some of them
            as the memory was.

    Raises:
        UserError: If other tensors are missing, or some are of another shape than described.
    """
    try:
        model, report = network.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            attn_implementation=config._attn_implementation,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder} cannot be loaded: {error}") from error
    lacking, fillers = set(report["missing_keys"]), dispensable or {}
    missing, wrong = sorted(lacking - fillers.keys()), sorted(map(str, report["mismatched_keys"]))
    if missing or wrong:
        problems = [f"missing: {', '.join(missing)}"] if missing else []
        problems += [f"of another shape: {', '.join(wrong)}"] if wrong else []
        raise UserError(f"{folder}: weights do not fit config.json; {'; '.join(problems)}")
    for name in lacking & fillers.keys():
        fillers[name](model.get_parameter(name))
    return model.train()
