from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from asr_dro.config_values import is_count, is_number, take_fields


@dataclass
class Options:
    rate: float = 1.0
    names: tuple[str, ...] = ()


def test_fields_are_told_from_other_keys() -> None:
    given = {"rate": "anything", "nmes": 1, 3: 4}
    taken, problems = take_fields(Options, given, "part.")
    assert Options(**taken) == Options(rate="anything")  # type: ignore[arg-type]
    assert problems == [
        "part.nmes is not a key; did you mean names?",
        "part.3 is not a key; allowed: rate, names",
    ]
    assert given == {"rate": "anything", "nmes": 1, 3: 4}
    assert take_fields(Options, {}) == ({}, [])


@pytest.mark.parametrize("values", ["text", ["rate"], 3, None, True])
def test_what_is_no_mapping_is_said(values: object) -> None:
    assert take_fields(Options, values, "a.part.") == ({}, [f"a.part must hold keys and values, not {values!r}"])


@pytest.mark.parametrize(
    ("value", "number", "count"),
    [
        (1, True, True),
        (10**400, True, True),  # too large for a float
        (0, True, False),
        (-3, True, False),
        (2.0, True, False),
        (math.inf, True, False),
        (math.nan, False, False),
        (True, False, False),
        ("1e1", False, False),
        (None, False, False),
        (1j, False, False),
        (Fraction(1, 2), False, False),
        ([1], False, False),
    ],
)
def test_numbers_and_counts(value: Any, number: bool, count: bool) -> None:
    assert (is_number(value), is_count(value)) == (number, count)


def test_counts_from_another_number_on() -> None:
    assert is_count(0, least=0) and is_count(-2, least=-2) and not is_count(-1, least=0) and not is_count(1, least=2)
    assert not is_count(False, least=0) and not is_count(0.0, least=0)
