"""What every reader of a configuration asks of the values that it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeGuard

from asr_dro.errors import unknown_keys


def take_fields(cls: type[Any], values: object, prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """Pick the values that a dataclass has a field for.

    Args:
        cls: The dataclass.
        values: A mapping as it was read, or something else that stands in its place.
        prefix: Put before names in messages, such as ``tokens.``.

    Returns:
        Arguments for the dataclass, whatever their values, and a sentence for each key that it has no field for.

    >>> from asr_dro.data.config import TokenConfig
    >>> take_fields(TokenConfig, {"type": "bpe", "min_counts": 2}, "tokens.")
    ({'type': 'bpe'}, ['tokens.min_counts is not a key; did you mean min_count?'])
    """
    if not isinstance(values, Mapping):
        return {}, [f"{prefix.rstrip('.')} must hold keys and values, not {values!r}"]
    known = [field.name for field in fields(cls)]
    problems = [f"{prefix}{key} is not a key; {hint}" for key, hint in unknown_keys(values, known)]
    return {key: value for key, value in values.items() if key in known}, problems


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether this is a number, infinite ones included.

    Text is none, such as the ``1e1`` that YAML reads as text; neither are NaN, and ``true``, an int to Python.
    """
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Tell whether this is a whole number from ``least`` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
