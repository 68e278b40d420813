"""A training on two nodes of a real Slurm, a process on each, started by srun."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from asr_dro.cluster.batch_scripts import element_lines, write_script
from asr_dro.cluster.grid import Run
from asr_dro.cluster.jobs import write_jobs
from tests.cluster.slurm import Slurm
from tests.shell_sandbox import ROOT
from tests.training.runs import TINY, write_noise_set

MORE = "--max_epoch 16 --save_every_updates 0 --use_tensorboard false --encoder_conf dropout_p=0"


class TwoNodes:
    """One line of a list of jobs as an element of an array over both nodes, stage 4 only.

    Args:
        cluster: The cluster.
        folder: Working folder.
    """

    def __init__(self, cluster: Slurm, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.jobs, self.experiment, self.log = folder / "jobs.tsv", folder / "exp" / "both", folder / "log"
        write_noise_set(folder)
        (folder / "data").mkdir()
        (folder / "data" / "mini_fin+kat").symlink_to(folder / "set")
        options = {"lang_set": "fin,kat", "objective": "ctc_dro", "train_args": f"{TINY} {MORE}", "exp_tag": "both"}
        write_jobs(self.jobs, [Run("both", options)])
        call = [sys.executable, "-m", "asr_dro.bin.run_job", "--jobs", str(self.jobs), "--index", "0"]
        call += ["--stage", "4", "--stop-stage", "4"]
        write_script(folder / "job.sh", element_lines([], shlex.join(call)))

    def submit(self) -> str:
        """Submit it; return the job's number."""
        arguments = ["--parsable", "--array=0", "--requeue", "--nodes=2", "--ntasks-per-node=1", "--open-mode=append"]
        arguments += [f"--chdir={self.folder}", f"--output={self.log}", str(self.folder / "job.sh")]
        more = {"ASR_DRO_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return self.cluster.call("sbatch", *arguments, more=more).strip()

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 240.0) -> None:
        """Wait for something; if it does not come, show the log."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not after {timeout_s:.0f} s\n{self.log.read_text()}"
            time.sleep(0.05)

    def rank_on(self, node: str, job: str) -> int:
        """Return the process that trains on a node."""
        wanted = {
            f"SLURMD_NODENAME={node}",
            f"SLURM_ARRAY_JOB_ID={job}",
            f"SLURM_CONF={self.cluster.folder}/slurm.conf",
        }
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = set((entry / "environ").read_text(errors="replace").split("\0"))
                words = (entry / "cmdline").read_text(errors="replace").split("\0")
            except OSError:
                continue
            if wanted <= environment and "asr_dro.bin.train" in words and words[0].endswith("python3"):
                found.append(int(entry.name))
        assert len(found) == 1, (node, found)
        return found[0]
