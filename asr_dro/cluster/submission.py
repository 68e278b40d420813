"""The folder of a submitted grid: its lists of jobs, and what was given to the scheduler."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.cluster.element import read_state
from asr_dro.cluster.grid import Run, data_runs
from asr_dro.cluster.jobs import Job, read_jobs, write_jobs
from asr_dro.errors import UserError
from asr_dro.fileio import write_json

JOBS, DATA = "jobs.tsv", "data.tsv"  # what is trained, decoded and scored; what is prepared for it
RECORD = "submission.json"
LOGS = "logs"
STAGES = {DATA: (1, 3), JOBS: (4, 7)}


@dataclass(frozen=True)
class Array:
    """Elements that were given to the scheduler together.

    Attributes:
        kind: ``data``, ``train`` or ``collect``.
        job: The scheduler's number.
        indices: Lines of the list, by position in the array; none for ``collect``.
    """

    kind: str
    job: str
    indices: tuple[int, ...] = ()


@dataclass
class Submission:
    """A grid's folder, ``<exp_dir>/grids/<name>``.

    Attributes:
        folder: The folder.
        exp_dir: Where the experiments lie.
        site: File of the site.
        arrays: What was submitted, oldest first.
    """

    folder: Path
    exp_dir: Path
    site: str
    arrays: list[Array] = field(default_factory=list)

    @property
    def jobs(self) -> Path:
        """The list of trainings."""
        return self.folder / JOBS

    @property
    def data(self) -> Path:
        """The list of sets to prepare."""
        return self.folder / DATA

    def write_lists(self, runs: Sequence[Run]) -> None:
        """Write the lists of jobs; those of a grid that has begun stay as they are.

        Raises:
            UserError: If another grid was submitted under this name.
        """
        prepared = data_runs(runs)
        if self.jobs.exists():
            old = [(job.tag, list(job.arguments)) for job in read_jobs(self.jobs)]
            if old != [(run.tag, run.arguments) for run in runs] and self.has_begun():
                raise UserError(
                    f"{self.jobs} has other jobs, some of which have begun: the grid or the options have changed. "
                    "Give this one a name of its own (--name), or remove that folder (experiments stay)."
                )
        write_jobs(self.data, prepared)
        write_jobs(self.jobs, runs)

    def has_begun(self) -> bool:
        """Tell whether any element has been submitted or run."""
        return bool(self.arrays) or any(read_state(self.jobs, job.index) for job in read_jobs(self.jobs))

    def unfinished(self, path: Path) -> list[Job]:
        """Return the jobs of a list that are not done."""
        return [job for job in read_jobs(path) if (read_state(path, job.index) or {}).get("state") != "done"]

    def save(self) -> None:
        """Write ``submission.json``."""
        arrays = [asdict(array) for array in self.arrays]
        write_json(self.folder / RECORD, {"exp_dir": str(self.exp_dir), "site": self.site, "arrays": arrays})


def open_submission(folder: Path, *, exp_dir: Path | None = None, site: str = "") -> Submission:
    """Open a grid's folder, or begin a new one.

    Args:
        folder: The folder.
        exp_dir: Where a new one's experiments lie; None: it must be there.
        site: File of the site, where it is submitted anew.

    Raises:
        UserError: If nothing was submitted under this name.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        arrays = [Array(entry["kind"], str(entry["job"]), tuple(entry["indices"])) for entry in record["arrays"]]
        return Submission(folder, Path(record["exp_dir"]), site or record["site"], arrays)
    except FileNotFoundError as error:
        if exp_dir is None:
            raise UserError(f"{folder} is not there: nothing was submitted under this name") from error
        return Submission(folder, exp_dir, site)
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder / RECORD} cannot be read ({error!r}); remove it if its jobs are over") from error
