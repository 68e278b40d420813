"""The folder of a submitted grid: its lists of jobs, and what was given to the scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.cluster.element import read_state
from asr_dro.cluster.grid import Run, data_runs, shard_data
from asr_dro.cluster.jobs import read_jobs, write_jobs
from asr_dro.cluster.options import run_options
from asr_dro.data.languages import parse_lang_set
from asr_dro.errors import UserError
from asr_dro.fileio import write_json

# What there is to do, each kind after all of those before it: its list, and the stages of run.sh.
PARTS, DATA, TRAIN = "parts", "data", "train"
LISTS: Mapping[str, tuple[str, tuple[int, int]]] = {
    PARTS: ("parts.tsv", (1, 1)),  # the audio of each language, where a set is prepared in parts
    DATA: ("data.tsv", (1, 3)),
    TRAIN: ("jobs.tsv", (4, 7)),
}
RECORD = "submission.json"
LOGS = "logs"


@dataclass(frozen=True)
class Array:
    """Elements that were given to the scheduler together.

    Attributes:
        kind: ``parts``, ``data``, ``train`` or ``collect``.
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
        return self.list_of(TRAIN)

    def list_of(self, kind: str) -> Path:
        """Return the list of a kind."""
        return self.folder / LISTS[kind][0]

    def lists(self) -> dict[str, Path]:
        """Return the lists that there are, by kind, in their order."""
        return {kind: path for kind in LISTS if (path := self.list_of(kind)).exists()}

    def write_lists(self, runs: Sequence[Run], *, split_data: bool = False) -> None:
        """Write the lists of jobs; those of a grid that has begun stay as they are.

        Args:
            runs: What is trained.
            split_data: Whether the audio of a set is prepared language by language before the set.

        Raises:
            UserError: If another grid was submitted under this name.
        """
        if self.jobs.exists():
            old = [(job.tag, list(job.arguments)) for job in read_jobs(self.jobs)]
            if old != [(run.tag, run.arguments) for run in runs] and self.has_begun():
                raise UserError(
                    f"{self.jobs} has other jobs, some of which have begun: the grid or the options have changed. "
                    "Give this one a name of its own (--name), or remove that folder (experiments stay)."
                )
        prepared = data_runs(runs)
        if split_data:
            write_jobs(self.list_of(PARTS), list(_parts_of(prepared)))
        write_jobs(self.list_of(DATA), prepared)
        write_jobs(self.jobs, runs)

    def has_begun(self) -> bool:
        """Tell whether any element has been submitted or run."""
        return bool(self.arrays) or any(read_state(self.jobs, job.index) for job in read_jobs(self.jobs))

    def save(self) -> None:
        """Write ``submission.json``."""
        arrays = [asdict(array) for array in self.arrays]
        write_json(self.folder / RECORD, {"exp_dir": str(self.exp_dir), "site": self.site, "arrays": arrays})


def _parts_of(prepared: Sequence[Run]) -> Iterator[Run]:
    """Yield the parts of sets of several languages, each part once."""
    seen = set()
    for run in prepared:
        languages = parse_lang_set(run.options.get("lang_set", run_options()["lang_set"].default))
        for part in shard_data(run, languages) if len(languages) > 1 else []:
            if part.tag not in seen:
                seen.add(part.tag)
                yield part


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
