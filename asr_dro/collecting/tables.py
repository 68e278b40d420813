"""Tables as all formats for readers show them: rows of cells, with notes below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from asr_dro.collecting.choosing import METRIC_NAMES
from asr_dro.collecting.columns import Cell, Column, make_columns
from asr_dro.collecting.entries import Entry
from asr_dro.collecting.published import Figure
from asr_dro.collecting.state import SCORED

WORST_FEW = 15  # the mean of the worst 15 languages says something only where there are more
_NAMES = ("Model", "Objective", "Settings", "Seed", "Decode")  # what tells rows apart, unless names were given


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; ``entries`` are those of its rows, where rows are experiments."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    entries: Sequence[Entry] = field(default_factory=tuple)


def entry_tables(entries: Iterable[Entry], *, metric: str, wide: bool = False) -> list[Table]:
    """Lay out rows: a table for each prepared set and split, then one of all that is not scored.

    Args:
        entries: Sorted rows.
        metric: What they are sorted by.
        wide: Have all columns.

    Returns:
        The tables; columns that are empty throughout are left out.
    """
    entries = list(entries)
    blocks: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        if entry.state == SCORED:
            blocks.setdefault(_block_key(entry), []).append(entry)
    names = [_block_name(members[0]) for members in blocks.values()]
    tables = []
    for members, name in zip(blocks.values(), names, strict=True):
        data = members[0].run.data[:8] or "unknown"
        title = f"{name}, prepared data {data}" if names.count(name) > 1 else name
        tables.append(_block(title, members, metric, wide))
    if rest := [entry for entry in entries if entry.state != SCORED]:
        tables.append(_unscored(rest))
    return tables


def _block_key(entry: Entry) -> tuple[object, ...]:
    """Return what rows share that can be ranked: data of training, and as far as can be seen the same utterances."""
    run = entry.run
    return run.corpus, run.lang_set, run.data, entry.split, entry.n_languages, entry.n_utterances


def _block_name(entry: Entry) -> str:
    data = " ".join(part for part in (entry.run.corpus, entry.run.lang_set) if part)
    return f"{data or 'unknown data'} · {entry.split}"


def _block(title: str, entries: Sequence[Entry], metric: str, wide: bool) -> Table:
    """Lay out the scored rows of one set."""
    made = make_columns(entries, wide=wide)
    if all(entry.n_languages <= WORST_FEW for entry in entries):
        made = [(column, cells) for column, cells in made if column.head != "W15"]  # it is the mean
    if not wide:
        made = _without_decoding(made, entries)
        if distinguishing := _distinguish(made, entries):
            made.insert(0, distinguishing)
    marks, notes = _footnotes([entry.note for entry in entries])
    if notes:
        made.append((Column("Note"), [Cell(mark) for mark in marks]))
    decodes = sorted({entry.decode for entry in entries})
    about = [f"{entries[0].n_languages} languages, {entries[0].n_utterances} utterances"]
    about += [f"decode {decodes[0]}"] if len(decodes) == 1 else []
    lines = ["; ".join([*about, "percent", f"by {METRIC_NAMES[metric]}"]), *notes]
    rows = list(zip(*(cells for _, cells in made), strict=True))
    return Table(title, [column for column, _ in made], rows, lines, entries)


def _without_decoding(
    made: list[tuple[Column, list[Cell]]], entries: Sequence[Entry]
) -> list[tuple[Column, list[Cell]]]:
    """Leave out the decoding where there is only one, which the line below says."""
    is_one = len({entry.decode for entry in entries}) == 1
    return [(column, cells) for column, cells in made if not (is_one and column.head == "Decode")]


def _distinguish(made: list[tuple[Column, list[Cell]]], entries: Sequence[Entry]) -> tuple[Column, list[Cell]] | None:
    """Return a first column of tags, or of folders, where the others leave rows that look the same."""
    names = list(zip(*(cells for column, cells in made if column.head in _NAMES), strict=True))
    if names and len(set(names)) == len(entries):
        return None
    tags = [entry.run.tag for entry in entries]
    folders = [str(entry.run.place.folder) for entry in entries]
    shown = [folder if tags.count(tag) > 1 else tag for tag, folder in zip(tags, folders, strict=True)]
    return Column("Experiment"), [Cell(name) for name in shown]


def _unscored(entries: Sequence[Entry]) -> Table:
    """List what has no scores, and why."""
    tags = [(entry.run.tag, entry.split, entry.decode) for entry in entries]
    rows = []
    for entry, key in zip(entries, tags, strict=True):
        name = entry.run.tag if tags.count(key) == 1 else str(entry.run.place.folder)
        what = " ".join(part for part in (entry.split, entry.decode) if part)
        rows.append([Cell(entry.state), Cell(name), Cell(what), Cell(entry.note)])
    columns = [Column("State"), Column("Experiment"), Column("Split"), Column("What is known")]
    return Table("Not scored", columns, rows, entries=entries)


def published_table(figures: Sequence[Figure]) -> Table:
    """Lay out published figures: a row for each system and setting, a column for each metric."""
    metrics = list(dict.fromkeys((figure.metric, figure.unit) for figure in figures))
    rows: dict[tuple[str, str, str], dict[tuple[str, str], Figure]] = {}
    for figure in figures:
        rows.setdefault((figure.system, figure.setting, figure.source), {})[figure.metric, figure.unit] = figure
    doubts = [_doubts(list(of.values())) for of in rows.values()]
    marks, notes = _footnotes(doubts)
    if len(notes) == 1 and all(marks):  # one source, nothing else: no column for it
        marks, notes = [""] * len(marks), doubts[:1]
    columns = [Column("System"), Column("Setting")]
    columns += [Column(metric if unit == "%" else f"{metric} ({unit})", is_number=True) for metric, unit in metrics]
    columns += [Column("Ref")] if any(marks) else []
    cells = []
    for ((system, setting, _), of), mark in zip(rows.items(), marks, strict=True):
        numbers = [Cell(f"{of[m].value:.1f}", of[m].value) if m in of else Cell() for m in metrics]
        cells.append([Cell(system), Cell(setting), *numbers, *([Cell(mark)] if any(marks) else [])])
    title = f"Published: {', '.join(dict.fromkeys(figure.benchmark for figure in figures))}"
    return Table(title, columns, cells, ["published, not measured here, not ranked with ours; percent", *notes])


def _doubts(figures: Sequence[Figure]) -> str:
    """Name the source of the figures of one row, and what is to be known of them, each thing once."""
    notes = [part for figure in figures for part in figure.note.split("; ") if part]
    return "; ".join(dict.fromkeys([*(figure.source for figure in figures), *notes]))


def _footnotes(notes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Give each different note a number; return the number of each, and the lines."""
    numbers = {note: str(index) for index, note in enumerate(dict.fromkeys(filter(None, notes)), start=1)}
    return [numbers.get(note, "") for note in notes], [f"{number}: {note}" for note, number in numbers.items()]
