"""Stage 7: all sections into one HTML file that loads nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from asr_dro.fileio import atomic_open
from asr_dro.report.inputs import Inputs, find_sources, fingerprint, read_inputs

_HEAD_BYTES = 2048  # the mark of what a report was made from stands within these


def make_report(data_dir: Path, exp_dir: Path, decode: str) -> tuple[Path, bool]:
    """Write ``exp/<tag>/report.html`` unless it was made from the same inputs.

    Args:
        data_dir: The prepared set.
        exp_dir: The experiment folder.
        decode: Name of the decoding.

    Returns:
        The report's path, and whether it was written.

    Raises:
        UserError: If nothing is scored or an input cannot be understood.
    """
    sources = find_sources(data_dir, exp_dir, decode)
    made_from = fingerprint(sources)
    if read_fingerprint(sources.report) == made_from:
        return sources.report, False
    html = render(read_inputs(sources), made_from)
    with atomic_open(sources.report) as file:
        file.write(html)
    return sources.report, True


def read_fingerprint(report: Path) -> str | None:
    """Read what an existing report was made from, ``None`` if there is no report."""
    try:
        with open(report, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return None
    match = re.search(rb'<meta name="made-from" content="(\w+)">', head)
    return match.group(1).decode() if match else None


def render(inputs: Inputs, made_from: str) -> str:
    """Fill the template.

    Args:
        inputs: Everything that the report shows.
        made_from: Fingerprint of the inputs.

    Returns:
        The whole HTML document.
    """
    from asr_dro.report.page import render_page  # a report that is up to date must not pay for the imports

    context = {**_context(inputs), "made_from": made_from}
    return render_page("report.html", context, scripts=("table.js", "report.js"))


def _context(inputs: Inputs) -> dict[str, Any]:
    """Prepare every section."""
    from asr_dro.report import confusion, corpora, formats, languages, leaderboard, run_info, training, utterances

    rows = languages.language_rows(inputs)
    return {
        "tag": inputs.sources.exp_dir.resolve().name,
        "subtitle": run_info.subtitle(inputs),
        "headline": languages.headline(inputs),
        "splits": inputs.sources.splits,
        "scores": inputs.main_scores,
        "measure": languages.main_measure(inputs.main_scores),
        "rows": rows,
        "unit": formats.duration_unit(max((row.train_s or 0.0 for row in rows), default=0.0)),
        "errors": languages.error_chart(inputs, rows),
        "corpora": corpora.corpus_rows(inputs),
        "gap": corpora.largest_gap(inputs),
        "groups": corpora.group_table(inputs),
        "hours": languages.error_against_hours(inputs, rows),
        "leaderboard": leaderboard.leaderboard(inputs),
        "confusion": confusion.confusion(inputs),
        "analysis": _analysis(inputs),
        "curves": training.learning_curves(inputs),
        "weights": training.group_weights(inputs),
        "utterances": utterances.worst_utterances(inputs, [row.code for row in rows]),
        "facts": run_info.run_facts(inputs),
        "config_text": inputs.config_text,
        "quarantine": run_info.quarantine_summary(inputs),
        "vocabulary": run_info.vocabulary_summary(inputs),
    }


def _analysis(inputs: Inputs) -> dict[str, Any] | None:
    """Prepare the section on what explains the errors, if they were analysed."""
    path = inputs.sources.files()["analysis"]
    if not path.exists():
        return None
    from asr_dro.report.analysis import analysis_section  # numpy, which the other sections do without

    made_from = inputs.main_scores.get("made_from")
    return analysis_section(path, inputs.sources.exp_dir, made_from=made_from)
