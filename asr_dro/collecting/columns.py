"""The columns of the table, and how their numbers are written: percent with one decimal, hours with three digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_dro.collecting.entries import Entry, Value
from asr_dro.collecting.settings import short_settings


@dataclass(frozen=True, slots=True)
class Cell:
    """What a reader sees, and the number to sort by."""

    text: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column.

    Attributes:
        head: Its title.
        is_number: Right-aligned and sorted by value.
        rank: Where room is short, columns with the highest rank go first; 0 never goes.
    """

    head: str
    is_number: bool = False
    rank: int = 0


def _seeds(entry: Entry) -> Cell:
    known = [seed for seed in entry.seeds if seed is not None]
    if len(entry.seeds) > 1:
        return Cell(unbroken(f"n = {len(entry.seeds)}"), float(len(entry.seeds)))
    return Cell(str(known[0]), float(known[0])) if known else Cell()


def _percent(value: Value | None) -> Cell:
    if value is None:
        return Cell()
    spread = f" ± {100 * value.sd:.1f}" if value.sd is not None else ""
    return Cell(f"{100 * value.value:.1f}{spread}", value.value)


def _interval(value: Value | None) -> Cell:
    if value is None or value.low is None or value.high is None:
        return Cell()
    return Cell(f"{100 * value.low:.1f}–{100 * value.high:.1f}", value.low)


def _hours(value: float | None) -> Cell:
    if value is None:
        return Cell()
    return Cell(f"{value:.3g}" if value < 100 else f"{value:.0f}", value)


def unbroken(text: str) -> str:
    """Keep a text in one line: a terminal breaks heads of numbers at their spaces, a browser any text."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


_Maker = Callable[[Entry], Cell]
_ALWAYS, _WIDE = False, True
_COLUMNS: tuple[tuple[Column, bool, _Maker], ...] = (
    (Column("Model"), _ALWAYS, lambda entry: Cell(entry.run.model)),
    (Column("Objective"), _ALWAYS, lambda entry: Cell(entry.run.objective)),
    (Column("Settings"), _ALWAYS, lambda entry: Cell(short_settings(entry.settings))),
    (Column("Seed"), _ALWAYS, _seeds),
    (Column("Decode"), _ALWAYS, lambda entry: Cell(entry.decode)),
    (Column("CER", is_number=True), _ALWAYS, lambda entry: _percent(entry.values.get("mean_cer"))),
    (Column(unbroken("95 %"), is_number=True, rank=2), _ALWAYS, lambda entry: _interval(entry.values.get("mean_cer"))),
    (Column("SD", is_number=True), _WIDE, lambda entry: _percent(entry.values.get("sd_cer"))),
    (Column("Worst", is_number=True), _ALWAYS, lambda entry: _percent(entry.values.get("worst_cer"))),
    (Column("Which"), _ALWAYS, lambda entry: Cell(entry.worst_language)),
    (Column(unbroken("Worst 95 %"), is_number=True), _WIDE, lambda entry: _interval(entry.values.get("worst_cer"))),
    (Column("W15", is_number=True, rank=3), _ALWAYS, lambda entry: _percent(entry.values.get("worst15_cer"))),
    (Column("WER", is_number=True, rank=4), _ALWAYS, lambda entry: _percent(entry.values.get("mean_wer"))),
    (Column("LID", is_number=True), _ALWAYS, lambda entry: _percent(entry.values.get("lid_accuracy"))),
    (Column(unbroken("Audio h"), is_number=True, rank=5), _ALWAYS, lambda entry: _hours(entry.run.audio_h)),
    (Column(unbroken("GPU h"), is_number=True), _ALWAYS, lambda entry: _hours(entry.run.gpu_h)),
    (Column(unbroken("CPU h"), is_number=True, rank=6), _ALWAYS, lambda entry: _hours(entry.run.cpu_h)),
    (Column("Experiment"), _WIDE, lambda entry: Cell(entry.run.tag)),
    (Column("Root"), _WIDE, lambda entry: Cell(str(entry.run.place.root))),
    (Column("Commit"), _WIDE, lambda entry: Cell(entry.run.commit)),
    (Column("Host"), _WIDE, lambda entry: Cell(entry.run.host)),
)


def make_columns(entries: Sequence[Entry], *, wide: bool) -> list[tuple[Column, list[Cell]]]:
    """Return the columns of some rows, without those that are empty throughout.

    Args:
        entries: The rows.
        wide: Have all columns, not only those that a terminal has room for.
    """
    made = []
    for column, is_wide, maker in _COLUMNS:
        cells = [maker(entry) for entry in entries]
        if (wide or not is_wide) and any(cell.text for cell in cells):
            made.append((column, cells))
    return made
