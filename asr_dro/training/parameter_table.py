"""Which parameters a training has, which of them learn, and how fast: shown once when it starts."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import nn
from torch.optim import Optimizer

from asr_dro.fileio import write_json
from asr_dro.training.freezing import FreezeSchedule

logger = logging.getLogger(__name__)


class Row(NamedTuple):
    """A part of the network.

    Attributes:
        part: Name of the part; sub-parts are indented.
        total: Number of parameters.
        learning: How many of them learn at any time in the training.
        rates: Lowest and highest learning rate of those, before any schedule; None if none learns.
    """

    part: str
    total: int
    learning: int
    rates: tuple[float, float] | None

    @property
    def frozen(self) -> int:
        """Number of parameters that never learn."""
        return self.total - self.learning


def parameter_rows(model: nn.Module, optimizer: Optimizer, never: Collection[str]) -> list[Row]:
    """Return a row for the whole network, each part of it, and the sub-parts of those.

    Args:
        model: The network.
        optimizer: Its groups hold the learning rates; ``initial_lr`` where a schedule has changed ``lr``.
        never: Names of the parameters that never learn.
    """
    rates = {
        id(parameter): float(group.get("initial_lr", group["lr"]))
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    sizes = {
        name: (parameter.numel(), None if name in never else rates.get(id(parameter)))
        for name, parameter in model.named_parameters()
    }
    rows = [_row("all", sizes)]
    for part, inside in _by_first_name(sizes).items():
        rows.append(_row(part, inside))
        rows += _rows_of_sub_parts(inside)
    return rows


def format_table(rows: list[Row]) -> str:
    """Return the rows as aligned lines with a heading."""
    cells = [("part", "parameters", "learn", "frozen", "learning rate")]
    cells += [(r.part, f"{r.total:,}", f"{r.learning:,}", f"{r.frozen:,}", _format_rates(r.rates)) for r in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(both))
        for both in (zip(line, widths, strict=True) for line in cells)
    )


def record_parameters(model: nn.Module, optimizer: Optimizer, freezing: FreezeSchedule, environment: Path) -> None:
    """Log the table, and add the numbers of the whole network to ``environment.json``.

    Args:
        model: The network.
        optimizer: Its groups hold the learning rates.
        freezing: What never learns, and when only the head does.
        environment: The file; made if there is none.
    """
    rows = parameter_rows(model, optimizer, freezing.never)
    logger.info("parameters of the network:\n%s", format_table(rows))
    if freezing.freeze_updates:
        size = sum(parameter.numel() for name, parameter in model.named_parameters() if name in freezing.head)
        logger.info("in the first %d updates only the %d parameters of the head learn", freezing.freeze_updates, size)
    content = json.loads(environment.read_text(encoding="utf-8")) if environment.exists() else {}
    numbers = {"total": rows[0].total, "learning": rows[0].learning, "frozen": rows[0].frozen}
    write_json(environment, {**content, "parameters": numbers})


_Sizes = Mapping[str, tuple[int, float | None]]  # by name: number of elements, learning rate (None: never learns)


def _rows_of_sub_parts(sizes: _Sizes) -> list[Row]:
    """Return rows of what a part consists of; a wrapper around a single module is looked through."""
    prefix, children = "", _by_first_name(sizes)
    while len(children) == 1 and "" not in (inside := next(iter(children.values()))):
        prefix, children = f"{prefix}{next(iter(children))}.", _by_first_name(inside)
    if all("" in inside for inside in children.values()):  # nothing but the tensors of one layer
        return []
    return [_row(f"  {prefix}{name}", inside) for name, inside in children.items()]


def _by_first_name(sizes: _Sizes) -> dict[str, dict[str, tuple[int, float | None]]]:
    """Group parameters by the first part of their names; what is left of the name of a tensor itself is empty."""
    groups: dict[str, dict[str, tuple[int, float | None]]] = {}
    for name, size in sizes.items():
        first, _, rest = name.partition(".")
        groups.setdefault(first, {})[rest] = size
    return groups


def _row(part: str, sizes: _Sizes) -> Row:
    learning = [(size, rate) for size, rate in sizes.values() if rate is not None]
    rates = [rate for _, rate in learning]
    return Row(
        part,
        sum(size for size, _ in sizes.values()),
        sum(size for size, _ in learning),
        (min(rates), max(rates)) if rates else None,
    )


def _format_rates(rates: tuple[float, float] | None) -> str:
    if rates is None:
        return "-"
    lowest, highest = (f"{rate:.3g}" for rate in rates)
    return highest if lowest == highest else f"{lowest} to {highest}"
