"""How the report writes numbers and names."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from asr_dro.data.languages import languages
from asr_dro.scoring.table import language_name
from asr_dro.scripts import script_name

MISSING = "–"
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def percent(fraction: float | None, decimals: int = 1) -> str:
    """Write a fraction as percent without the sign."""
    return MISSING if fraction is None else f"{100 * fraction:.{decimals}f}"


def percent_tick(fraction: float) -> str:
    """Write a tick of an axis of percent: no more decimals than it needs."""
    return f"{100 * fraction:g}{THIN_SPACE}%"


def significant(value: float | None, digits: int = 3) -> str:
    """Write a number with this many significant digits and no exponent where one can do without."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 <= magnitude <= 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def tick(value: float) -> str:
    """Write a tick of an axis of plain numbers."""
    return f"{value:g}"


def count(value: int | float | None) -> str:
    """Write a whole number with thin spaces between thousands."""
    return MISSING if value is None else f"{value:,.0f}".replace(",", THIN_SPACE)


def duration(seconds: float | None) -> str:
    """Write a duration in the unit that suits it."""
    if seconds is None:
        return MISSING
    if seconds < 90:
        return f"{seconds:.1f}{THIN_SPACE}s"
    if seconds < 5400:
        return f"{seconds / 60:.1f}{THIN_SPACE}min"
    return f"{seconds / 3600:.1f}{THIN_SPACE}h"


def duration_unit(longest_s: float) -> dict[str, Any]:
    """Choose the unit of a column of durations: its ``name`` and its length in ``seconds``."""
    return {"name": "h", "seconds": 3600} if longest_s >= 3600 else {"name": "min", "seconds": 60}


def name_of(code: str) -> str:
    """Give a language's English name, or its code where there is none."""
    return language_name(code) or code


def interval_text(interval: tuple[float, float] | None) -> str:
    """Write an interval of fractions in percent, ``12.3–14.0``; nothing if there is none."""
    return "" if interval is None else f"{percent(interval[0])}–{percent(interval[1])}"


def breakable(tag: str) -> Markup:
    """Let a line break after each underscore of a name."""
    return Markup("_<wbr>").join(tag.split("_"))


def script_of_language(code: str) -> str:
    """Give the English name of the script that a language is usually written in; empty if it is not known."""
    language = languages().get(code)
    return "" if language is None else script_name(language.script)


def number(value: Any) -> float | None:
    """Read a number that may be missing, a string (YAML's ``1e-4``) or not finite."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None
