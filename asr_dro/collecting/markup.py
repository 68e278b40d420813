"""Tables for readers as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable

from asr_dro.collecting.tables import Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "–": "--",
    "−": "$-$",
    "…": r"\ldots{}",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def format_markdown(tables: Iterable[Table]) -> str:
    """Write tables as Markdown, each with its title in bold and its notes as a list."""
    return "\n".join(_markdown(table) for table in tables)


def format_latex(tables: Iterable[Table]) -> str:
    """Write tables as LaTeX (package booktabs), each a ``tabular`` with its title and notes around it."""
    return "\n".join(_latex(table) for table in tables)


def escape_markdown(text: str) -> str:
    """Write a text so that Markdown shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def escape_latex(text: str) -> str:
    """Write a text so that LaTeX shows it as it is."""
    return "".join(_LATEX.get(character, character) for character in text)


def _markdown(table: Table) -> str:
    columns = table.columns
    lines = [f"**{escape_markdown(table.title)}**", ""]
    lines.append("| " + " | ".join(escape_markdown(column.head) for column in columns) + " |")
    lines.append("|" + "|".join("---:" if column.is_number else ":---" for column in columns) + "|")
    lines += ["| " + " | ".join(escape_markdown(cell.text) for cell in row) + " |" for row in table.rows]
    lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def _latex(table: Table) -> str:
    columns = table.columns
    lines = [rf"\textbf{{{escape_latex(table.title)}}}\par\medskip"]
    lines.append(rf"\begin{{tabular}}{{{''.join('r' if column.is_number else 'l' for column in columns)}}}")
    lines.append(r"\toprule")
    lines.append(" & ".join(escape_latex(column.head) for column in columns) + r" \\")
    lines.append(r"\midrule")
    # A row that begins with a bracket would be taken for the argument of the \\ before it.
    lines += ["{}" + " & ".join(escape_latex(cell.text) for cell in row) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}\par\smallskip"]
    lines += [rf"{{\footnotesize {escape_latex(note)}\par}}" for note in table.notes]
    return "\n".join(lines) + "\n"
