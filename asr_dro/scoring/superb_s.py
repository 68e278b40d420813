"""SUPERB_s: the one number by which ML-SUPERB ranks systems.

Each figure is brought to a scale on which the baseline is 0 and the best of all systems is 1; figures are averaged
within their task, tasks are averaged, and the mean is shown times 1000. So a system's score changes when another one
joins the table. Source: the paper of ML-SUPERB, arXiv:2305.10615.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from asr_dro.errors import UserError
from asr_dro.scoring.files import read_tsv

BASELINE = "FBANK"
# figures by task; error rates are better when low, accuracies when high
TASKS = {
    "monolingual ASR": ("mono CER/PER",),
    "multilingual ASR": ("ASR normal CER", "ASR few-shot CER"),
    "LID": ("LID accuracy",),
    "multilingual ASR+LID": ("ASR+LID accuracy", "ASR+LID normal CER", "ASR+LID few-shot CER"),
}
FIGURES = tuple(figure for figures in TASKS.values() for figure in figures)
Systems = Mapping[str, Mapping[str, float]]


def superb_s(systems: Systems, *, baseline: str = BASELINE) -> dict[str, float]:
    """Score systems against each other.

    Args:
        systems: By name, the figures of ``FIGURES``, all in the same unit.
        baseline: The system that has 0.

    Returns:
        Score by system, in their order.

    Raises:
        UserError: If the baseline or a figure is missing, or no system is better than the baseline somewhere.
    """
    problems = [] if baseline in systems else [f"no system {baseline}, the baseline; there are {', '.join(systems)}"]
    problems += [
        f"{name} has no {', '.join(missing)}"
        for name, figures in systems.items()
        if (missing := [figure for figure in FIGURES if figure not in figures])
    ]
    if problems:
        raise UserError("; ".join(problems))
    best = {
        figure: (max if figure.endswith("accuracy") else min)(figures[figure] for figures in systems.values())
        for figure in FIGURES
    }
    zero = systems[baseline]
    if flat := [figure for figure in FIGURES if best[figure] == zero[figure]]:
        raise UserError(f"no system is better than {baseline} in {', '.join(flat)}: there is no scale")

    def scaled(figures: Mapping[str, float], figure: str) -> float:
        return (figures[figure] - zero[figure]) / (best[figure] - zero[figure])

    return {
        name: 1000
        * sum(sum(scaled(figures, one) for one in of_task) / len(of_task) for of_task in TASKS.values())
        / len(TASKS)
        for name, figures in systems.items()
    }


def read_systems(path: Path) -> dict[str, dict[str, float]]:
    """Read a table of systems.

    Args:
        path: A TSV file with the column ``system`` and one for each of ``FIGURES``.

    Returns:
        Figures by system, in the order of the file.

    Raises:
        UserError: If the file, a column or a number is missing, or a system is there twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    systems: dict[str, dict[str, float]] = {}
    for row in read_tsv(path, ("system", *FIGURES)):
        name = row["system"]
        if name in systems:
            raise UserError(f"{path}: {name} is there twice")
        try:
            systems[name] = {figure: float(row[figure]) for figure in FIGURES}
        except ValueError as error:
            raise UserError(f"{path}: {name}: {error}") from None
        if odd := [figure for figure, value in systems[name].items() if not math.isfinite(value)]:
            raise UserError(f"{path}: {name}: not a number: {', '.join(odd)}")
    return systems
