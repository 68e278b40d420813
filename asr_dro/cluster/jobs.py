"""Lists of jobs: ``jobs.tsv`` with a line for each run, readable by people and by ``run_job``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.cluster.grid import Run
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_open

COLUMNS = ("index", "tag", "options")


@dataclass(frozen=True)
class Job:
    """A line of a list.

    Attributes:
        index: Its number, from 0.
        tag: Name of its experiment, or of its data.
        arguments: Arguments of run.sh.
    """

    index: int
    tag: str
    arguments: tuple[str, ...]


def write_jobs(path: Path, runs: Sequence[Run]) -> list[Job]:
    """Write a list; its third column can be pasted behind ``./run.sh``.

    Args:
        path: The file.
        runs: What to run.

    Returns:
        The jobs.
    """
    jobs = [Job(index, run.tag, tuple(run.arguments)) for index, run in enumerate(runs)]
    with atomic_open(path) as file:
        file.write("\t".join(COLUMNS) + "\n")
        file.writelines(f"{job.index}\t{job.tag}\t{shlex.join(job.arguments)}\n" for job in jobs)
    return jobs


def read_jobs(path: Path) -> list[Job]:
    """Read a list.

    Raises:
        UserError: If it is not there, or a line is not one of ours.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; submit.sh writes it") from error
    if lines[0].split("\t") != list(COLUMNS):
        raise UserError(f"{path}: the first line must be {' '.join(COLUMNS)}, separated by tabs")
    return [_parse(path, number, line) for number, line in enumerate(lines[1:]) if line]


def read_job(path: Path, index: int) -> Job:
    """Read one line of a list.

    Raises:
        UserError: If there is no such line.
    """
    jobs = read_jobs(path)
    if not 0 <= index < len(jobs):
        raise UserError(f"{path} has no job {index}; it has 0 to {len(jobs) - 1}")
    return jobs[index]


def _parse(path: Path, index: int, line: str) -> Job:
    columns = line.split("\t")
    try:
        number, tag, options = columns
        words = tuple(shlex.split(options))
    except ValueError as error:
        raise UserError(f"{path}:{index + 2}: not a line of a list of jobs ({error}): {line}") from error
    if number != str(index):
        raise UserError(f"{path}:{index + 2}: the index is {number}, not {index}: a line is missing or moved")
    return Job(index, tag, words)
