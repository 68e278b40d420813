"""Section that shows this run beside the other scored runs of the same data in the same folder of experiments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asr_dro.experiment import DECODE_PREFIX, REPORT
from asr_dro.report.formats import number
from asr_dro.report.inputs import Inputs, Sources
from asr_dro.report.intervals import Interval
from asr_dro.report.languages import main_measure
from asr_dro.scoring.files import GIVEN, read_scores

MAX_RUNS = 100  # rows of the table


@dataclass(frozen=True, slots=True)
class Run:
    """One scored run; rates are fractions.

    Attributes:
        tag: Name of its experiment folder.
        decode: Name of its decoding.
        is_this: Whether it is the run that the report is about.
        mean: Mean of the main measure over languages.
        mean_interval: Its confidence interval, ``None`` if unknown.
        worst: The main measure of the worst language.
        worst_interval: Its confidence interval, ``None`` if unknown.
        worst_language: That language's code.
        lid: Share of utterances whose language was identified, ``None`` without language tags.
        report: Link to its report, empty if there is none.
        given: Whether the search was told the languages.
        place: 1 for the lowest error of the worst language; equal errors have equal places.
    """

    tag: str
    decode: str
    is_this: bool
    mean: float
    mean_interval: Interval | None
    worst: float
    worst_interval: Interval | None
    worst_language: str
    lid: float | None
    report: str
    given: bool = False
    place: int = 0


def leaderboard(inputs: Inputs) -> dict[str, Any] | None:
    """Compare this run with the others; ``None`` if there is no other.

    Runs are of the same data if their scores have the same languages with as many utterances, characters and words
    each. Scores that cannot be read are left out: the report of one run must not fail because of another.

    Args:
        inputs: The report's inputs.

    Returns:
        ``runs`` (the best ones by the worst language, and this one in any case), ``n_runs`` of the same data,
        ``n_other_data`` runs of other data, ``n_unreadable`` score files, ``place`` of this run, ``has_intervals``,
        ``has_decodings``: whether there are several.
    """
    sources = inputs.sources
    key = _data_key(inputs.main_scores)
    if main_measure(inputs.main_scores).summary["mean"] is None:
        return None
    runs = [_run(inputs.main_scores, sources.exp_dir, sources.decode, sources)]
    n_other_data = n_unreadable = 0
    for path in sources.other_scores:
        try:
            scores = read_scores(path)
            if scores is None or _data_key(scores) is None:
                n_unreadable += 1
            elif _data_key(scores) != key:
                n_other_data += 1
            else:
                decode_dir = path.parent.parent
                runs.append(
                    _run(
                        scores,
                        decode_dir.parent,
                        decode_dir.name.removeprefix(DECODE_PREFIX),
                        sources,
                    )
                )
        except (OSError, KeyError, TypeError, ValueError, AttributeError):  # whatever an odd file holds
            n_unreadable += 1
    if len(runs) == 1:
        return None
    return _ranked(runs) | {"n_other_data": n_other_data, "n_unreadable": n_unreadable}


def _data_key(scores: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Tell data sets apart by what was asked for and how much of it there was; ``None`` if the scores do not say."""
    counts = (scores.get("counts") or {}).get("by_language")
    if not isinstance(counts, Mapping):
        return None
    amounts = tuple(
        (code, of["n_utterances"], of["cer"]["reference_length"], of["wer"]["reference_length"])
        for code, of in sorted(counts.items())
    )
    return scores.get("task", "lid+asr"), scores.get("profile"), amounts


def _run(scores: Mapping[str, Any], exp_dir: Path, decode: str, sources: Sources) -> Run:
    measure = main_measure(scores)
    lid = scores["lid_accuracy"]["micro"]
    is_this = exp_dir.resolve() == sources.exp_dir.resolve() and decode == sources.decode
    return Run(
        tag=exp_dir.resolve().name,
        decode=decode,
        is_this=is_this,
        mean=_finite(measure.summary["mean"]),
        mean_interval=measure.intervals.get("mean"),
        worst=_finite(measure.summary["worst"]),
        worst_interval=measure.intervals.get("worst"),
        worst_language=str(measure.summary["worst_language"]),
        lid=None if lid is None else _finite(lid),
        report="" if is_this else _link(exp_dir, sources.exp_dir),
        given=scores.get("languages") == GIVEN,
    )


def _finite(value: Any) -> float:
    found = number(value)
    if found is None:
        raise ValueError(f"{value!r} is not a number")
    return found


def _link(exp_dir: Path, report_dir: Path) -> str:
    """Make the link from the report to that of another run, if it has one."""
    report = exp_dir / REPORT
    return quote(os.path.relpath(report, report_dir.resolve()).replace(os.sep, "/")) if report.exists() else ""


def _ranked(runs: list[Run]) -> dict[str, Any]:
    """Sort by the worst language, and keep this run among the rows if they are cut."""
    runs = sorted(runs, key=lambda run: (run.worst, run.mean, run.tag, run.decode))
    placed = [replace(run, place=1 + sum(other.worst < run.worst for other in runs)) for run in runs]
    this = next(run for run in placed if run.is_this)
    shown = placed[:MAX_RUNS]
    if this not in shown:
        shown = [*shown[:-1], this]
    return {
        "runs": shown,
        "n_runs": len(runs),
        "place": this.place,
        "has_intervals": any(run.mean_interval or run.worst_interval for run in shown),
        "has_decodings": len({run.decode for run in shown}) > 1,
    }
