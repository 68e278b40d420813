"""Tables on a terminal: columns that fit its width."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from asr_dro.collecting.columns import Cell, Column
from asr_dro.collecting.tables import Table

WIDTH = 100  # of files and narrow terminals; wider ones are used
_GAP = "  "
_LEAST = 16  # characters that a text column keeps before a column is left out
_LEAST_NAME = 28  # of an experiment, which is shown where nothing else tells rows apart
_SHRINKING = frozenset({"Model", "Objective", "Settings", "Experiment", "Which", "System", "Setting"})
_MARKS = frozenset({"Note", "Ref"})  # columns that hold the numbers of notes
_LAST = "…"


def format_terminal(tables: Iterable[Table], *, width: int | None = WIDTH) -> str:
    """Lay out tables for the terminal.

    Args:
        tables: The tables.
        width: Most columns of characters that a line has; ``None`` for no limit.

    Returns:
        Lines with a final line break.
    """
    return "\n".join(_format(table, width) for table in tables)


def text_width(text: str) -> int:
    """Count the columns that a text takes: none for combining marks, two for wide East Asian characters."""
    width = 0
    for character in text:
        if not unicodedata.combining(character):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def _format(table: Table, width: int | None) -> str:
    """Lay out one table with its title above and its notes below."""
    columns, rows = list(table.columns), [list(row) for row in table.rows]
    widths = _widths(columns, rows)
    if width is not None:
        columns, rows, widths = _fit(columns, rows, widths, width - len(_GAP))
    lines = [_cut(table.title, width)]
    lines += [_line(row, columns, widths) for row in _heads(columns)]
    for row in rows:
        lines.append(_line(row, columns, widths))
    lines += [line for note in table.notes for line in _wrap(note, width)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _heads(columns: Sequence[Column]) -> list[list[Cell]]:
    """Break the heads of columns of numbers into words, one below the other, the last at the bottom."""
    words = [column.head.split(" ") if column.is_number else [column.head] for column in columns]
    height = max(map(len, words))
    padded = [[""] * (height - len(parts)) + parts for parts in words]
    return [[Cell(parts[line]) for parts in padded] for line in range(height)]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    heads = _heads(columns)
    return [max(text_width(row[index].text) for row in [*heads, *rows]) for index in range(len(columns))]


def _fit(
    columns: list[Column], rows: list[list[Cell]], widths: list[int], width: int
) -> tuple[list[Column], list[list[Cell]], list[int]]:
    """Shorten texts, the longest first; where that is not enough leave out columns by their rank, then shorten all."""
    while True:
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        if excess <= 0:
            return columns, rows, widths
        ranked = any(column.rank for column in columns)
        wide = [index for index in _shrinkable(columns) if widths[index] > (_least(columns[index]) if ranked else 1)]
        if wide:
            widths[max(wide, key=widths.__getitem__)] -= 1
            continue
        dispensable = max(range(len(columns)), key=lambda index: columns[index].rank)
        if not columns[dispensable].rank and len(columns) <= 2:
            return columns, rows, widths
        if not columns[dispensable].rank:  # only numbers are left: those on the right go
            dispensable = len(columns) - 1
        columns = _without(columns, dispensable)
        rows = [_without(row, dispensable) for row in rows]
        widths = _widths(columns, rows)


def _least(column: Column) -> int:
    return _LEAST_NAME if column.head == "Experiment" else _LEAST


def _shrinkable(columns: Sequence[Column]) -> list[int]:
    last = len(columns) - 1
    return [
        index
        for index, column in enumerate(columns)
        if column.head in _SHRINKING or (index == last and not column.is_number and column.head not in _MARKS)
    ]


def _without(values: list, index: int) -> list:  # type: ignore[type-arg]
    return values[:index] + values[index + 1 :]


def _line(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> str:
    cells = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        text = _cut(cell.text, width)
        space = " " * (width - text_width(text))
        cells.append(space + text if column.is_number else text + space)
    return _GAP + _GAP.join(cells)


def _cut(text: str, width: int | None) -> str:
    """Cut a text that is too wide, with a mark at its end."""
    if width is None or text_width(text) <= width:
        return text
    shown = ""
    for character in text:
        if text_width(shown + character) > width - 1:
            break
        shown += character
    return shown + _LAST


def _wrap(text: str, width: int | None) -> list[str]:
    """Break a text into indented lines."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and (width is None or text_width(f"{_GAP}{lines[-1]} {word}") <= width):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [_GAP + _cut(line, None if width is None else width - len(_GAP)) for line in lines]
