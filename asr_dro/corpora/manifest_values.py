"""Checked values of rows that people or programs wrote: each is what it should be, or the row is unusable."""

from __future__ import annotations

import math

_LONGEST_LABEL = 200  # characters of a speaker, a language or a value that makes the group
_LONGEST_S = 1e9


class RowError(Exception):
    """A value that makes its row unusable; the message is the reason given in ``quarantine.tsv``."""


def checked_string(value: object, column: str) -> str:
    """Return a string that can be written as UTF-8.

    Raises:
        RowError: If it is missing, of another type, or holds half a character.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON may escape one half of a surrogate pair
            raise RowError(f"{column} holds half a character") from None
        return value
    raise RowError(f"no {column}" if value is None else f"{column} is {_described(value)}, not a string")


def checked_label(value: object, column: str) -> str:
    """Return a speaker, a code or the value of a column as a string; empty if there is none.

    Raises:
        RowError: If it is neither a string nor a number, or too long for a name.
    """
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        value = str(value)
    text = checked_string(value, column)
    if len(text) > _LONGEST_LABEL:
        raise RowError(f"{column} has {len(text)} characters; at most {_LONGEST_LABEL}")
    return text


def checked_seconds(value: object, column: str, *, zero: bool = False) -> float | None:
    """Return a number of seconds, None if there is none.

    Args:
        value: What the row holds.
        column: Its column, for the reason.
        zero: Whether 0 is allowed.

    Raises:
        RowError: If it is no number, not finite, negative, or 0 where that is not allowed.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RowError(f"{column} is {_described(value)}, not a number of seconds")
    if not math.isnan(value) and (0 < value <= _LONGEST_S or (zero and value == 0)):
        return float(value)
    raise RowError(f"{column} is {value:.6g} s" if isinstance(value, float) else f"{column} is not a length of time")


def _described(value: object) -> str:
    if isinstance(value, UnicodeDecodeError):  # what stands in for a string that is not UTF-8
        return "not UTF-8"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value)) or ascii(value)[:40]
