"""Numbers of fewer bits in the forward pass: the same rule in training, on dev and in decoding."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from asr_dro.errors import UserError
from asr_dro.training.finetuning import PRECISIONS

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: str, *, ngpu: int) -> None:
    """Refuse what this machine cannot compute, before any work.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        ngpu: Number of GPUs; 0 is the CPU.

    Raises:
        UserError: For fp16 on the CPU, or bf16 on a GPU that only imitates it.
    """
    if precision == "fp16" and not ngpu:
        raise UserError("precision fp16 needs a GPU (its gradients need loss scaling); on the CPU take bf16 or fp32")
    if (
        precision == "bf16"
        and ngpu
        and torch.cuda.is_available()
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):  # PyTorch imitates it
        raise UserError(f"{torch.cuda.get_device_name()} cannot compute in bf16; take precision fp16 or fp32")


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context of a forward pass; weights stay in fp32, and so does what is inside :func:`full_precision`.

    A model that was trained in fp16 is computed in fp32 on the CPU, where fp16 saves nothing.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: Where the model is.

    Raises:
        ValueError: For another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; allowed: {', '.join(PRECISIONS)}")
    enabled = precision in _TYPES and not (precision == "fp16" and device.type == "cpu")
    return torch.autocast(device.type, dtype=_TYPES.get(precision, torch.bfloat16), enabled=enabled)


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context in which nothing is computed in fewer bits: signal processing and losses."""
    return torch.autocast(device.type, enabled=False)


def is_signal_processing(module: nn.Module | None) -> bool:
    """Tell whether a front end has nothing to learn, such as a mel filter bank, whose logarithms need fp32."""
    return module is None or next(module.parameters(), None) is None
