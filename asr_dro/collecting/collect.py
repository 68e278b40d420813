"""From folders of experiments to tables in every format."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr_dro.collecting.choosing import DEV, METRIC_NAMES, best_on_dev, pool_seeds, sort_entries
from asr_dro.collecting.entries import Entry, read_entries
from asr_dro.collecting.find import Place, find_experiments
from asr_dro.collecting.page import format_html
from asr_dro.collecting.published import Figure, read_published
from asr_dro.collecting.runs import Run, read_run
from asr_dro.collecting.settings import add_settings
from asr_dro.collecting.state import NOT_BEGUN, SCORED
from asr_dro.collecting.tables import Table, entry_tables, published_table
from asr_dro.collecting.terminal import WIDTH, format_terminal
from asr_dro.errors import UserError
from asr_dro.experiment import DECODE_PREFIX, HYPOTHESES
from asr_dro.fileio import atomic_open
from asr_dro.scoring.files import read_tsv

logger = logging.getLogger(__name__)

FORMATS = ("tsv", "markdown", "latex", "json", "html")
STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for.

    Attributes:
        roots: Folders to search.
        splits: Splits to report.
        decode: The only decoding to report; all by default.
        jobs: List of jobs (TSV with a column ``tag``): only its experiments, also those that have no folder yet.
        metric: What rows are sorted, and hyper-parameters chosen, by.
        pool_seeds: One row for the seeds of a configuration.
        best_on_dev: Only the hyper-parameters that were best on dev.
        published: Names of tables of published figures.
        wide: All columns, lines of any length.
        files: File by format; ``-`` is the standard output.
    """

    roots: Sequence[Path]
    splits: Sequence[str] = ("test",)
    decode: str | None = None
    jobs: Path | None = None
    metric: str = "worst_cer"
    pool_seeds: bool = False
    best_on_dev: bool = False
    published: Sequence[str] = ()
    wide: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


def collect(options: Options) -> list[Entry]:
    """Read all experiments and return the rows that are asked for, sorted.

    Raises:
        UserError: If there is no experiment, or nothing was decoded in the way that is asked for.
    """
    if options.best_on_dev and set(options.splits) <= {DEV}:
        raise UserError("--best-on-dev chooses on dev, so it cannot report dev; give another --split")
    splits = list(dict.fromkeys([*options.splits, *([DEV] if options.best_on_dev else [])]))
    entries = []
    for run in find_runs(options):
        entries += read_entries(run, splits, options.decode)
    if options.decode is not None and not any(entry.decode for entry in entries):
        raise UserError(f"--decode {options.decode}: no experiment has a folder {DECODE_PREFIX}{options.decode}")
    _warn_about_splits(entries, options)
    entries = add_settings(entries)
    if options.best_on_dev:
        entries = best_on_dev(entries, options.metric)
    if options.pool_seeds:
        entries = pool_seeds(entries)
    return sort_entries(entries, options.metric)


def _warn_about_splits(entries: Sequence[Entry], options: Options) -> None:
    """Name splits that nobody decoded where others were: a misspelt name looks like work that is not done."""
    missing = [name for name in options.splits if not any(entry.decode for entry in entries if entry.split == name)]
    if not missing:
        return
    folders = {entry.run.place.folder for entry in entries}
    pattern = f"{DECODE_PREFIX}{options.decode or '*'}/*/{HYPOTHESES}"
    if decoded := sorted({path.parent.name for folder in folders for path in folder.glob(pattern)}):
        there = " ".join(decoded)
        logger.warning("--split %s: no experiment has it; decoded splits are %s", " ".join(missing), there)


def find_runs(options: Options) -> list[Run]:
    """Read the experiments, of a list of jobs where there is one.

    Raises:
        UserError: If there is no experiment, or the list cannot be read.
    """
    if options.jobs is None:
        return [read_run(place) for place in find_experiments(options.roots)]
    if not options.jobs.is_file():
        raise UserError(f"--jobs {options.jobs}: no such file; give a list of jobs as submit.sh writes it (jobs.tsv)")
    tags = dict.fromkeys(row["tag"] for row in read_tsv(options.jobs, ("tag",)))
    roots = [root for root in options.roots if root.is_dir()]  # none of the jobs may have begun
    try:
        places = find_experiments(roots)
    except UserError:
        places = []
    runs = [read_run(place) for place in places if place.tag in tags]
    begun = {run.tag for run in runs}
    first = options.roots[0]
    return runs + [Run(Place(first, first / tag), state=NOT_BEGUN) for tag in tags if tag not in begun]


def write_collection(options: Options) -> None:
    """Collect, and write or print every format that is asked for.

    Raises:
        UserError: If something that is asked for does not exist.
    """
    check_files(options.files)
    figures = [figure for name in options.published for figure in read_published(name)]
    entries = collect(options)
    from asr_dro.collecting.records import format_json, format_tsv

    def tables(*, wide: bool) -> list[Table]:
        ours = entry_tables(entries, metric=options.metric, wide=wide)
        return [*ours, *_published_tables(figures)]

    n_scored = sum(entry.state == SCORED for entry in entries)
    others = len(entries) - n_scored
    lead = f"{n_scored} scored, {others} not scored; the best first by {METRIC_NAMES[options.metric]}."
    write_formats(
        options,
        tables,
        tsv=lambda: format_tsv(entries, figures),
        json=lambda: format_json(entries, figures, metric=options.metric),
        title="Scores",
        lead=lead,
    )


def write_comparison(options: Options, a: str, b: str, *, metric: str) -> None:
    """Compare two systems, and write or print every format that is asked for.

    Args:
        options: Where to look, and what to write.
        a: System A: a tag or folder, several with commas between them, or a tag without its seed.
        b: System B.
        metric: ``cer``, ``wer`` or ``lid``.

    Raises:
        UserError: If a system is not found, or they did not decode the same utterances.
    """
    from asr_dro.collecting import compare
    from asr_dro.collecting.systems import find_systems

    check_files(options.files)
    if len(options.splits) > 1:
        raise UserError(f"--compare compares one split, not {', '.join(options.splits)}")
    systems = find_systems([a, b], options.roots, split=options.splits[0], decode=options.decode)
    comparison = compare.compare(systems, metric=metric)
    write_formats(
        options,
        lambda *, wide: compare.comparison_tables(comparison, systems),
        tsv=lambda: compare.comparison_tsv(comparison),
        json=lambda: compare.comparison_json(comparison, systems),
        title="Two systems compared",
        lead="Differences are B minus A, in percent.",
    )


def write_formats(
    options: Options,
    tables: Callable[..., list[Table]],
    *,
    tsv: Callable[[], str],
    json: Callable[[], str],
    title: str,
    lead: str,
) -> None:
    """Write each format to its file; without one for the standard output, show the tables there.

    Args:
        options: The files and the width.
        tables: Makes the tables for readers; ``wide`` says whether with all columns.
        tsv: Makes the TSV.
        json: Makes the JSON.
        title: Title of the page.
        lead: First sentence of the page.
    """
    from asr_dro.collecting.markup import format_latex, format_markdown

    makers: dict[str, Callable[[str], str]] = {
        "tsv": lambda _: tsv(),
        "json": lambda _: json(),
        "markdown": lambda _: format_markdown(tables(wide=options.wide)),
        "latex": lambda _: format_latex(tables(wide=options.wide)),
        "html": lambda file: format_html(tables(wide=True), Path(file), title=title, lead=lead),
    }
    for name, file in options.files.items():
        text = makers[name](file)
        if file == STANDARD_OUTPUT:
            sys.stdout.write(text)
            continue
        with atomic_open(Path(file)) as output:
            output.write(text)
        logger.info("%s: %s", name, file)
    if STANDARD_OUTPUT not in options.files.values():
        width = None if options.wide else max(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
        sys.stdout.write(format_terminal(tables(wide=options.wide), width=width))


def check_files(files: Mapping[str, str]) -> None:
    """Refuse files that cannot be written to before any work.

    Raises:
        UserError: With all problems at once.
    """
    problems = [
        f"--{name} {file}: that is a folder; give a file" for name, file in files.items() if Path(file).is_dir()
    ]
    problems += [f"--{name}: no file is named" for name, file in files.items() if not file]
    names = [file for file in files.values() if file]
    problems += [f"{file}: named for more than one format" for file in sorted(set(names)) if names.count(file) > 1]
    if problems:
        raise UserError("\n".join(problems))


def _published_tables(figures: Sequence[Figure]) -> list[Table]:
    """Lay out published figures, a table for each benchmark."""
    benchmarks = dict.fromkeys(figure.benchmark for figure in figures)
    return [published_table([one for one in figures if one.benchmark == benchmark]) for benchmark in benchmarks]
