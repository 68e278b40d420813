"""A grid of six jobs on a real Slurm, disturbed while it trains, and what a submitted element costs.

    python3 -m docs.benchmarks.cluster.grid

tests/cluster/disturbed_grid.py says what is done to it; the tests run one that is alike. Needs the programs of Slurm
(tools/install_system.sh).
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from asr_dro.errors import UserError, run_main
from asr_dro.fileio import write_json
from docs.benchmarks.cluster.overhead import measure_overhead
from tests.cluster.disturbed_grid import FAILURE, PARTITIONS, VARIED, DisturbedGrid
from tests.cluster.slurm import running, why_not

logger = logging.getLogger("asr_dro.benchmarks.cluster")

FOLDER = Path(__file__).parent


def measure(grid: DisturbedGrid) -> dict[str, Any]:
    """Run the grid, set it beside plain runs, try again what failed; return the figures."""
    logger.info("the grid")
    grid.run()
    work, jobs, before = grid.work, grid.work.jobs(), grid.table()
    failing = jobs[grid.disturbances.index(FAILURE)]
    status = [line.replace(str(work.path), "WORK") for line in work.submit("--status").splitlines()]
    logger.info("the job that failed")
    grid.mend()
    logger.info("the same by plain run.sh")
    plain = grid.plain_runs(jobs)
    return {
        "jobs": [grid.beside_plain(job, plain[job.tag]) for job in jobs if job is not failing],
        "failed": {
            "tag": failing.tag,
            "status": next(" ".join(line.split()) for line in status if failing.tag in line),
        },
        "table_of_failed": {key: before[failing.tag][key].replace(str(work.path), "WORK") for key in ("state", "note")},
        "after_retry": grid.beside_plain(failing, plain[failing.tag]),
        "last_status": work.submit("--status").splitlines()[-1],
        "overhead": measure_overhead(work, jobs[0]),
    }


def main() -> None:
    """Measure it, and write ``results.json`` beside this file."""
    if reason := why_not():
        raise UserError(f"no Slurm here: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="slurm.", dir="/tmp") as folder,
        running(Path(folder) / "s", more=PARTITIONS) as cluster,
    ):
        try:
            results = measure(DisturbedGrid(cluster, Path(folder), VARIED))
        except subprocess.CalledProcessError as error:
            raise UserError(f"{error}\n{error.stderr}") from error
    write_json(FOLDER / "results.json", results)
    logger.info("written: %s", FOLDER / "results.json")


if __name__ == "__main__":
    run_main(main)
