"""Two systems against each other: which files to compare, and the table of differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr_dro.collecting.columns import Cell, Column, unbroken
from asr_dro.collecting.find import DECODE_PREFIX, Place, choose_experiment, find_experiments, is_experiment
from asr_dro.collecting.tables import Table
from asr_dro.errors import UserError

if TYPE_CHECKING:
    from asr_dro.scoring.comparison import Difference, SystemsComparison

UTTERANCES = "utterances.tsv"
SUMMARY_NAMES = {
    "mean": "mean of languages",
    "sd": "SD over languages",
    "worst": "worst language",
    "worst15": "worst 15 languages",
    "micro": "all utterances",
}
METRIC_TITLES = {"cer": "CER", "wer": "WER", "lid": "LID accuracy"}
_COLUMNS = ("A", "B", *map(unbroken, ("B − A", "95 %")), "p")


def find_system(name: str, roots: Sequence[Path], *, split: str, decode: str | None) -> Path:
    """Find the scored split that a name stands for.

    Args:
        name: An experiment's tag or folder, or the folder of a decoding or of a scored split.
        roots: Where experiments are looked for.
        split: Name of the split.
        decode: Name of the decoding; not needed where there is only one.

    Returns:
        The folder with ``utterances.tsv``.

    Raises:
        UserError: If there is none, or more than one.
    """
    path = Path(name)
    if (path / UTTERANCES).is_file():
        return path
    if path.name.startswith(DECODE_PREFIX) and path.is_dir():
        return _scored(path / split)
    folder = path if is_experiment(path) else choose_experiment(name, _search(roots, name)).folder
    if decode is not None:
        return _scored(folder / f"{DECODE_PREFIX}{decode}" / split)
    found = sorted(path.parent for path in folder.glob(f"{DECODE_PREFIX}*/{split}/{UTTERANCES}"))
    if len(found) > 1:
        names = ", ".join(one.parent.name.removeprefix(DECODE_PREFIX) for one in found)
        raise UserError(f"{name}: {split} was decoded in several ways ({names}); choose one by --decode or its folder")
    return found[0] if found else _scored(folder / f"{DECODE_PREFIX}*" / split)


def _search(roots: Sequence[Path], name: str) -> list[Place]:
    try:
        return find_experiments(roots)
    except UserError as error:
        raise UserError(f"{name} is no experiment's folder, and no tag: {error}") from error


def _scored(folder: Path) -> Path:
    if not (folder / UTTERANCES).is_file():
        raise UserError(f"{folder / UTTERANCES}: no scored split there; run stages 5 and 6 (decode, score) first")
    return folder


def comparison_tables(comparison: SystemsComparison, names: tuple[str, str]) -> list[Table]:
    """Lay out a comparison: the numbers over languages, then each language, the greatest loss first.

    Args:
        comparison: What was found.
        names: Names of systems A and B.
    """
    title = METRIC_TITLES[comparison.metric]
    level = f"{100 * comparison.settings.level:g} % intervals"
    lines = [
        f"A: {names[0]}",
        f"B: {names[1]}",
        f"{title} in percent on the same {comparison.n_utterances} utterances; {level} and p-values by "
        f"{comparison.settings.resamples} paired resamples",
    ]
    if comparison.worst_language_a or comparison.worst_language_b:
        lines.append(f"worst language: {comparison.worst_language_a} in A, {comparison.worst_language_b} in B")
    names_over = {SUMMARY_NAMES.get(name, name): value for name, value in comparison.over_languages.items()}
    over = _table(f"{title}, B against A", "Over languages", names_over.items(), notes=lines)
    sign = -1.0 if comparison.metric == "lid" else 1.0
    languages = sorted(comparison.by_language.items(), key=lambda item: (-sign * (item[1].difference or 0.0), item[0]))
    note = "Holm: p corrected for the number of languages; * below 5 %"
    return [over, _table("By language, B's greatest loss first", "Language", languages, notes=[note], holm=True)]


def _table(
    title: str, head: str, rows: Iterable[tuple[str, Difference]], *, notes: Sequence[str], holm: bool = False
) -> Table:
    columns = [Column(head), *(Column(name, is_number=True) for name in _COLUMNS)]
    columns += [Column(unbroken("p (Holm)"), is_number=True), Column("")] if holm else []
    cells = []
    for name, one in rows:
        row = [Cell(name), _percent(one.a), _percent(one.b), _percent(one.difference, sign="+")]
        row += [_interval(one.interval), _probability(one.p)]
        row += [_probability(one.p_holm), Cell("*" if one.is_significant else "")] if holm else []
        cells.append(row)
    return Table(title, columns, cells, notes)


def comparison_json(comparison: SystemsComparison, names: tuple[str, str]) -> str:
    """Write everything of a comparison as JSON; rates are fractions."""
    value = {"a": names[0], "b": names[1], **comparison.to_json()}
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def comparison_tsv(comparison: SystemsComparison) -> str:
    """Write a row for each number over languages and each language; rates are fractions."""
    columns = ("kind", "name", "a", "b", "difference", "low", "high", "p", "p_holm", "is_significant")
    lines = ["\t".join(columns)]
    kinds = (("over_languages", comparison.over_languages), ("language", comparison.by_language))
    for kind, differences in kinds:
        for name, one in differences.items():
            low, high = one.interval or (None, None)
            numbers = (one.a, one.b, one.difference, low, high, one.p, one.p_holm)
            shown = ["" if number is None else repr(float(number)) for number in numbers]
            lines.append("\t".join([kind, name, *shown, str(one.is_significant).lower()]))
    return "\n".join(lines) + "\n"


def _percent(value: float | None, sign: str = "") -> Cell:
    return Cell() if value is None else Cell(f"{100 * value:{sign}.1f}", value)


def _interval(interval: tuple[float, float] | None) -> Cell:
    if interval is None:
        return Cell()
    low, high = interval
    return Cell(f"{100 * low:+.1f} to {100 * high:+.1f}", low)


def _probability(value: float | None) -> Cell:
    if value is None:
        return Cell()
    return Cell("<0.001" if value < 0.001 else f"{value:.3f}", value)
