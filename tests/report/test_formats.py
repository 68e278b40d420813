from __future__ import annotations

import math

import pytest

from asr_dro.report import formats


def test_percent() -> None:
    assert [formats.percent(value) for value in (0.12345, 2.0, None)] == ["12.3", "200.0", "–"]
    assert formats.percent_tick(0.025) == "2.5\u202f%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0001234, "0.000123"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (0, "0"),
        (3e-9, "3.00e-09"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_significant_digits(value: float | None, text: str) -> None:
    assert formats.significant(value) == text


def test_durations_choose_their_unit() -> None:
    assert [formats.duration(value) for value in (1.25, 120, 7200, None)] == [
        "1.2\u202fs",
        "2.0\u202fmin",
        "2.0\u202fh",
        "–",
    ]
    assert formats.duration_unit(3599)["name"] == "min"
    assert formats.duration_unit(3600) == {"name": "h", "seconds": 3600}


def test_numbers_from_anything() -> None:
    values = ["1e-4", 3, None, "", "x", math.inf, [1], True]
    assert [formats.number(value) for value in values] == [1e-4, 3.0, None, None, None, None, None, 1.0]


def test_names_and_counts() -> None:
    assert formats.name_of("fin") == "Finnish"
    assert formats.name_of("not a code") == "not a code"
    assert formats.count(1234567) == "1\u202f234\u202f567"
