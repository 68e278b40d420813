"""English names of scripts."""

from __future__ import annotations

import functools


@functools.cache
def script_name(code: str) -> str:
    """Give the English name of a script.

    Args:
        code: ISO 15924, e.g. ``Latn``; a name that is no such code comes back with a capital letter.

    Returns:
        The name, ``Han, simplified`` and ``Han, traditional`` for those two; empty for an empty code.
    """
    from babel import Locale  # takes longer to import than the whole report

    name: str = Locale("en").scripts.get(code, code[:1].upper() + code[1:])
    return f"Han, {name.lower()}" if code in ("Hans", "Hant") else name  # CLDR says no more than "Simplified"
