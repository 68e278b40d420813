"""Tables as one HTML file that loads nothing: sorted by a click, filtered by typing, linked to the runs' reports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asr_dro.collecting.columns import Cell
from asr_dro.collecting.entries import Entry
from asr_dro.collecting.tables import Table
from asr_dro.experiment import REPORT

TEMPLATES = Path(__file__).parent / "templates"
_FIRST = ("Experiment", "Decode", "CER", "Worst", "Which")  # what a phone shows
_NAME = _FIRST[0]  # the column that names a row
_LAST = frozenset({"Model", "Objective", "Settings", "Seed", "Root", "Commit", "Host"})  # seen by scrolling
_SHOWN_IF_DIFFERENT = frozenset({"Decode", "Root"})
_WRAPPING = frozenset({"What is known", "Setting"})  # columns of longer texts


def format_html(tables: Iterable[Table], output: Path, *, title: str, lead: str) -> str:
    """Write tables as a page.

    Args:
        tables: The tables.
        output: Where the page will lie; reports below its folder are linked.
        title: Title of the page.
        lead: One or two sentences below it.

    Returns:
        The whole HTML document.
    """
    from asr_dro.report.page import render_page  # jinja2 takes a tenth of a second

    sections = [_section(_for_page(table), output, index) for index, table in enumerate(tables)]
    context = {"title": title, "lead": lead, "sections": sections, "n_rows": sum(len(one["rows"]) for one in sections)}
    return render_page("scores.html", context, folder=TEMPLATES)


def link_to_report(entry: Entry, output: Path) -> str:
    """Return the relative address of a run's report, empty if there is none or it lies outside the page's folder."""
    report = entry.run.place.folder / REPORT
    if not report.is_file():
        return ""
    relative = os.path.relpath(os.path.abspath(report), os.path.abspath(output.parent))
    if relative.split(os.sep)[0] == os.pardir:
        return ""
    return "./" + quote(relative.replace(os.sep, "/"))


def _for_page(table: Table) -> Table:
    """Put the column that names a row first and its numbers next: a phone has room for little more."""
    heads = [column.head for column in table.columns]
    order = [
        index for index, head in enumerate(heads) if head not in _SHOWN_IF_DIFFERENT or _differs(table.rows, index)
    ]
    if _NAME in heads:
        ranks = {head: rank - len(_FIRST) for rank, head in enumerate(_FIRST)} | dict.fromkeys(_LAST, 1)
        order.sort(key=lambda index: ranks.get(heads[index], 0))
    rows = [[row[index] for index in order] for row in table.rows]
    return Table(table.title, [table.columns[index] for index in order], rows, table.notes, table.entries)


def _differs(rows: Sequence[Sequence[Cell]], index: int) -> bool:
    return len({row[index].text for row in rows}) > 1


def _section(table: Table, output: Path, number: int) -> dict[str, Any]:
    heads = [column.head for column in table.columns]
    named = heads.index(_NAME) if _NAME in heads else 0
    links = [link_to_report(entry, output) for entry in table.entries] or [""] * len(table.rows)
    return {
        "id": f"table-{number}",
        "title": table.title,
        "columns": table.columns,
        "named": named,
        "rows": list(zip(table.rows, links, strict=True)),
        "notes": table.notes,
        "wrapping": _WRAPPING,
    }
