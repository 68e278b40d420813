"""Group names inside a checkpoint: a float tensor of UTF-8 bytes, and the check that it belongs to this run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asr_dro.errors import UserError

SEPARATOR = "\n"


def check_group_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the ordered group names.

    Raises:
        UserError: No name, an empty name, a name with a line break, or a name that occurs twice.
    """
    if isinstance(names, str) or not names:
        raise UserError(f"group names are {names!r}; give a list of at least one name, such as ['fin', 'tur']")
    wrong = sorted({name for name in names if not name or SEPARATOR in name or names.count(name) > 1})
    if wrong:
        raise UserError(f"group names must be different, not empty and without line break; mend: {wrong}")
    return tuple(names)


def encode_names(names: Sequence[str]) -> Tensor:
    """Return the names as UTF-8 bytes, one per element of a float64 tensor.

    Floats, because ESPnet averages float entries of checkpoints (which leaves equal values as they are), sums integer
    entries, and fails on extra state. A byte is exact even in bfloat16.
    """
    return torch.tensor(list(SEPARATOR.join(names).encode("utf-8")), dtype=torch.float64)


def decode_names(encoded: Tensor) -> tuple[str, ...]:
    """Return the names that ``encode_names`` stored."""
    return tuple(bytes(int(value) for value in encoded.tolist()).decode("utf-8", errors="replace").split(SEPARATOR))


def check_same_groups(saved: Sequence[str], current: Sequence[str]) -> None:
    """Refuse a checkpoint of other groups.

    Raises:
        UserError: The names or their order differ; the message names the difference both ways.
    """
    if list(saved) == list(current):
        return
    only_saved = sorted(set(saved) - set(current))
    only_current = sorted(set(current) - set(saved))
    if only_saved or only_current:
        extra = ", ".join(only_saved) or "none"
        missing = ", ".join(only_current) or "none"
        difference = f"only in the checkpoint: {extra}; only in this run: {missing}"
    else:
        difference = f"the order differs: checkpoint {', '.join(saved)}; this run {', '.join(current)}"
    raise UserError(
        f"the checkpoint's group weights belong to other groups ({difference}). "
        "Resume with the same data, or start in a new experiment folder."
    )
