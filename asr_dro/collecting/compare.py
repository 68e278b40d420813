"""Two systems against each other: the tables of differences, for readers and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from asr_dro.collecting.columns import Cell, Column, unbroken
from asr_dro.collecting.tables import WORST_FEW, Table
from asr_dro.scoring.table import signed

if TYPE_CHECKING:
    from asr_dro.scoring.comparison import Difference, SystemsComparison
    from asr_dro.scoring.seeds_comparison import SeedsComparison, SeedsDifference

    Comparison: TypeAlias = SystemsComparison | SeedsComparison
    AnyDifference: TypeAlias = Difference | SeedsDifference

SUMMARY_NAMES = {
    "mean": "mean of languages",
    "sd": "SD over languages",
    "worst": "worst language",
    "worst15": "worst 15 languages",
    "micro": "all utterances",
}
METRIC_TITLES = {"cer": "CER", "wer": "WER", "lid": "LID accuracy"}
_COLUMNS = ("A", "B", *map(unbroken, ("B − A", "95 %")), "p")


def compare(systems: Sequence[Sequence[Path]], *, metric: str) -> Comparison:
    """Compare two trainings, or two groups of seeds.

    Args:
        systems: The folders with ``utterances.tsv`` of A and of B: one each, or at least two each.
        metric: ``cer``, ``wer`` or ``lid``.

    Raises:
        UserError: If not all decoded the same utterances with the same references.
    """
    a, b = systems
    if len(a) == len(b) == 1:
        from asr_dro.scoring.comparison import compare_systems

        return compare_systems(a[0], b[0], metric=metric)
    from asr_dro.scoring.seeds_comparison import compare_seeds

    return compare_seeds(a, b, metric=metric)


def comparison_tables(comparison: Comparison, systems: Sequence[Sequence[Path]]) -> list[Table]:
    """Lay out a comparison: the numbers over languages, then each language, the greatest loss first.

    Args:
        comparison: What was found.
        systems: The folders of A and of B.
    """
    title = METRIC_TITLES[comparison.metric]
    numbers: Mapping[str, AnyDifference] = comparison.over_languages
    few = {"worst15"} if len(comparison.by_language) <= WORST_FEW else set()  # they are all languages
    over_rows = [(SUMMARY_NAMES.get(name, name), one) for name, one in numbers.items() if name not in few]
    over = _table(f"{title}, B against A", "Over languages", over_rows, notes=_about(comparison, systems))
    sign = -1.0 if comparison.metric == "lid" else 1.0
    by_language: Mapping[str, AnyDifference] = comparison.by_language
    languages = sorted(by_language.items(), key=lambda item: (-sign * (item[1].difference or 0.0), item[0]))
    note = "Holm: p corrected for the number of languages; * below 5 %"
    return [over, _table("By language, B's greatest loss first", "Language", languages, notes=[note], holm=True)]


def _about(comparison: Comparison, systems: Sequence[Sequence[Path]]) -> list[str]:
    """Say what was compared, and how."""
    lines = []
    for letter, folders in zip("AB", systems, strict=True):
        count = f"{len(folders)} seeds: " if len(folders) > 1 else ""
        lines.append(f"{letter}: {count}{', '.join(map(str, folders))}")
    title = METRIC_TITLES[comparison.metric]
    level, resamples = f"{100 * comparison.settings.level:g} %", f"{comparison.settings.resamples:,}"
    same = f"{title} in percent on the same {comparison.n_utterances} utterances"
    if len(systems[0]) > 1:
        lines.append(f"{same}; A and B are means over seeds, ± is the SD over them")
        lines.append(
            f"{level} intervals and p-values for new seeds and new utterances: Welch's t over seeds, with the variance "
            f"over utterances of {resamples} paired resamples"
        )
        return lines
    lines.append(f"{same}; {level} intervals and p-values by {resamples} paired resamples")
    worst = [getattr(comparison, f"worst_language_{letter}") for letter in "ab"]
    if any(worst):
        lines.append(f"worst language: {worst[0]} in A, {worst[1]} in B")
    return lines


def _table(
    title: str, head: str, rows: Iterable[tuple[str, AnyDifference]], *, notes: Sequence[str], holm: bool = False
) -> Table:
    columns = [Column(head), *(Column(name, is_number=True) for name in _COLUMNS)]
    columns += [Column(unbroken("p (Holm)"), is_number=True), Column("")] if holm else []
    cells = []
    for name, one in rows:
        row = [Cell(name), _percent(one.a, _sd(one, "a")), _percent(one.b, _sd(one, "b")), _points(one.difference)]
        row += [_interval(one.interval), _probability(one.p)]
        row += [_probability(one.p_holm), Cell("*" if one.is_significant else "")] if holm else []
        cells.append(row)
    return Table(title, columns, cells, notes)


def comparison_json(comparison: Comparison, systems: Sequence[Sequence[Path]]) -> str:
    """Write everything of a comparison as JSON; rates are fractions, ``a`` and ``b`` lists of folders."""
    a, b = ([str(folder) for folder in folders] for folders in systems)
    return json.dumps({"a": a, "b": b, **comparison.to_json()}, ensure_ascii=False, indent=2) + "\n"


def comparison_tsv(comparison: Comparison) -> str:
    """Write a row for each number over languages and each language; rates are fractions, ``sd`` is over seeds."""
    numbers = ("a", "b", "sd_a", "sd_b", "difference", "low", "high", "p", "p_holm")
    lines = ["\t".join(("kind", "name", *numbers, "is_significant"))]
    kinds = (("over_languages", comparison.over_languages), ("language", comparison.by_language))
    for kind, differences in kinds:
        for name, one in differences.items():
            low, high = one.interval or (None, None)
            values = (one.a, one.b, _sd(one, "a"), _sd(one, "b"), one.difference, low, high, one.p, one.p_holm)
            shown = ["" if value is None else repr(float(value)) for value in values]
            lines.append("\t".join([kind, name, *shown, str(one.is_significant).lower()]))
    return "\n".join(lines) + "\n"


def _sd(one: AnyDifference, letter: str) -> float | None:
    """Return the standard deviation over seeds; single trainings have none."""
    value: float | None = getattr(one, f"sd_{letter}", None)
    return value


def _percent(value: float | None, sd: float | None) -> Cell:
    if value is None:
        return Cell()
    return Cell(f"{100 * value:.1f}" + ("" if sd is None else f" ± {100 * sd:.1f}"), value)


def _points(value: float | None) -> Cell:
    return Cell() if value is None else Cell(signed(100 * value, 1), value)


def _interval(interval: tuple[float, float] | None) -> Cell:
    if interval is None:
        return Cell()
    low, high = (signed(100 * value, 1) for value in interval)
    return Cell(f"{low} to {high}", interval[0])


def _probability(value: float | None) -> Cell:
    if value is None:
        return Cell()
    return Cell("<0.001" if value < 0.001 else f"{value:.3f}", value)
