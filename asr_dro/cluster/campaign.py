"""A grid from beginning to end: submitted to a site, looked at, tried again, cancelled."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr_dro.cluster import slurm
from asr_dro.cluster.grid import expand, read_grid
from asr_dro.cluster.jobs import read_jobs
from asr_dro.cluster.options import run_options
from asr_dro.cluster.site import Site, gpus_of, read_site, with_devices
from asr_dro.cluster.status import element_statuses, format_statuses
from asr_dro.cluster.submission import Submission, open_submission
from asr_dro.config import find_config, names_of
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

FOLDER = "grids"  # in the folder of experiments


class Campaign:
    """A grid under a name.

    Args:
        grid: Name of a file in conf/grids.
        cluster: Name of a file in conf/cluster; None: that of the first time.
        name: Name of the folder for lists, logs and scores.
        given: Options of run.sh for every job.
        num_nodes: Nodes of each training; None: as the site says.
        split_data: Whether sets are prepared language by language, then put together.

    Raises:
        UserError: If there is no such grid or site, or the name is none.
    """

    def __init__(
        self,
        grid: str,
        cluster: str | None,
        name: str,
        given: Mapping[str, str],
        *,
        num_nodes: int | None = None,
        split_data: bool = False,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
            raise UserError(f"--name {name}: letters, digits and _ . + - only")
        if num_nodes is not None and num_nodes < 1:
            raise UserError(f"--num-nodes {num_nodes}: at least one node is needed")
        self.split_data = split_data
        self.grid, self.given, self.num_nodes = find_config("grids", grid), given, num_nodes
        self.exp_dir = Path(given.get("exp_dir", run_options()["exp_dir"].default))
        self.folder = self.exp_dir / FOLDER / name
        self.site_file = str(find_config("cluster", cluster)) if cluster is not None else ""

    def submit(self, *, retry: bool) -> int:
        """Submit what is neither done nor under way.

        Args:
            retry: Only what was submitted before.

        Returns:
            Exit status: 0, or 1 if a job failed (of jobs on this machine, which are waited for).

        Raises:
            UserError: For mistakes in the grid, the site or the options, or if there is nothing to do.
        """
        submission, site = self._open(begin=not retry)
        left = self._left(submission, site, retry=retry)
        if not left:
            logger.info("nothing to submit in %s; --status shows what each job is doing", self.folder)
            return 0
        logger.info("%s: %s -> %s", site.scheduler, _describe(left), self.folder)
        if site.scheduler == "local":
            from asr_dro.cluster.local import run_locally

            submission.save()
            return 1 if run_locally(submission, left, max_running=site.max_running) else 0
        slurm.submit(submission, slurm.plan(submission, site, left))
        return 0

    def dry_run(self) -> str:
        """Write lists and scripts; return what would be submitted."""
        submission, site = self._open(begin=True)
        left = self._left(submission, site)
        listed = "".join(path.read_text(encoding="utf-8") + "\n" for path in submission.lists().values())
        if site.scheduler == "local":
            return f"{listed}{_describe(left)}, {site.max_running} at a time\n"
        commands = slurm.plan(submission, site, left)
        scripts = {command.script: command.script.read_text(encoding="utf-8") for command in commands}
        shown = "".join(f"==> {path} <==\n{text}\n" for path, text in scripts.items())
        return listed + shown + slurm.describe(commands)

    def status(self) -> str:
        """Return the table of all jobs."""
        submission, site = self._open(begin=False)
        return format_statuses(element_statuses(submission, self._queue(submission, site)))

    def cancel(self) -> None:
        """Cancel what waits or runs in the queue."""
        submission, site = self._open(begin=False)
        if site.scheduler == "local":
            raise UserError("jobs on this machine end with the submit.sh that runs them: press Ctrl-C there")
        slurm.cancel(submission.arrays)
        logger.info("cancelled; finished jobs stay as they are")

    def _open(self, *, begin: bool) -> tuple[Submission, Site]:
        """Open the folder; begin it, or bring its lists up to date, if wanted."""
        submission = open_submission(self.folder, exp_dir=self.exp_dir if begin else None, site=self.site_file)
        if not submission.site:
            raise UserError(f"--cluster is missing; sites: {', '.join(names_of('cluster'))}")
        site = read_site(Path(submission.site))
        if begin:
            submission.write_lists(expand(read_grid(self.grid), self.given), split_data=self.split_data)
        return submission, with_devices(site, gpus_of(read_jobs(submission.jobs)), self.num_nodes)

    def _queue(self, submission: Submission, site: Site) -> Mapping[tuple[str, int], tuple[str, str]]:
        return slurm.queue(submission.arrays) if site.scheduler == "slurm" else {}

    def _left(self, submission: Submission, site: Site, *, retry: bool = False) -> dict[str, list[int]]:
        """Return the lines to submit, by kind of list.

        Args:
            submission: The grid's folder.
            site: Its site.
            retry: What failed, died or was interrupted; otherwise what was never submitted, or can simply go on.
        """
        statuses = element_statuses(submission, self._queue(submission, site))
        wanted = ("failed", "died", "interrupted") if retry else ("not submitted", "died", "interrupted")
        left: dict[str, list[int]] = {}
        for status in statuses:
            if status.state in wanted:
                left.setdefault(status.kind, []).append(status.job.index)
        failed = sum(status.state == "failed" for status in statuses)
        if failed and not retry:
            logger.warning("%d jobs have failed; --status shows why, --retry-failed tries them again", failed)
        return left


def _describe(left: Mapping[str, Sequence[int]]) -> str:
    return ", then ".join(f"{len(indices)} {kind}" for kind, indices in left.items())
