"""Figures that others published, as data with their source; they stand beside ours and are never ranked with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asr_dro.errors import UserError
from asr_dro.scoring.files import read_tsv

FOLDER = Path(__file__).parent / "published"
COLUMNS = ("system", "benchmark", "setting", "metric", "value", "unit", "source", "note")


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number.

    Attributes:
        system: What was measured.
        benchmark: On which benchmark.
        setting: Under which conditions, e.g. amount of training audio.
        metric: What the number is.
        value: The number, rounded as published.
        unit: Its unit, ``%`` or ``points``.
        source: Where it was published.
        note: How sure it is, and what is odd about it; often empty.
    """

    system: str
    benchmark: str
    setting: str
    metric: str
    value: float
    unit: str
    source: str
    note: str


def published_names() -> list[str]:
    """List the tables that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.tsv"))


def read_published(name: str) -> list[Figure]:
    """Read a table of published figures.

    Args:
        name: One of :func:`published_names`.

    Returns:
        Its figures in the order of the file.

    Raises:
        UserError: If there is no such table.
    """
    if name not in published_names():
        raise UserError(f"--published {name}: no such table; there are: {', '.join(published_names())}")
    rows = read_tsv(FOLDER / f"{name}.tsv", COLUMNS)
    return [Figure(**{**row, "value": float(row["value"])}) for row in rows]  # type: ignore[arg-type]
