"""The batch script of an element, signalled at every kind of moment; squeue and scontrol are stand-ins."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from asr_dro.cluster import slurm
from asr_dro.cluster.batch_scripts import element_lines, write_script
from asr_dro.cluster.grid import Run
from asr_dro.cluster.site import read_site
from asr_dro.cluster.submission import Submission
from asr_dro.errors import EXIT_TRY_AGAIN
from tests.cluster.work import wait_for

# It says when it has begun; then it does as a training would that a signal reaches, or the same one twice.
ELEMENT = "bash -c 'trap \"echo saved >said; exit %d\" USR1 TERM; touch begun; while :; do sleep 0.05; done'"
DEAF = "bash -c 'touch begun; while :; do sleep 0.05; done'"  # as Python is in its imports: it dies
SLOW_SETUP = ["set -euo pipefail", "touch begun", "sleep 1", "echo reached >>said"]


class Script:
    """A script of an element and how it ran.

    Args:
        folder: Working folder.
        beginning: What prepares the shell.
        call: The element.
        state: What squeue says of the job; empty: it fails.
    """

    def __init__(self, folder: Path, beginning: list[str], call: str, state: str = "RUNNING") -> None:
        self.folder, path = folder, folder / "bin"
        path.mkdir()
        (path / "squeue").write_text(f"#!/bin/bash\n[[ -n '{state}' ]] && echo {state}\n")
        (path / "scontrol").write_text('#!/bin/bash\necho "$*" >>said\n')
        for program in path.iterdir():
            program.chmod(0o755)
        write_script(folder / "element.sbatch", element_lines(beginning, call))
        self.process = subprocess.Popen(
            ["bash", "element.sbatch"],
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{path}:{os.environ['PATH']}",
                "SLURM_ARRAY_JOB_ID": "5",
                "SLURM_ARRAY_TASK_ID": "3",
            },
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def signalled(self, number: signal.Signals, *, everybody: bool = False) -> tuple[int, str]:
        """Send a signal once it has begun, to the script alone or to all its processes; wait for the end."""
        wait_for((self.folder / "begun").exists, "the beginning", 30)
        (os.killpg if everybody else os.kill)(self.process.pid, number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for its end; return its status, and what was done."""
        try:
            _, self.messages = self.process.communicate(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # what a script that is wrong has left
        said = self.folder / "said"
        return self.process.returncode, said.read_text() if said.exists() else ""


@pytest.mark.parametrize("everybody", [False, True])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_is_heeded_from_the_first_line_on(tmp_path: Path, number: signal.Signals, everybody: bool) -> None:
    for name, beginning, call, said in [
        ("setup", SLOW_SETUP, DEAF, ""),
        ("imports", [], DEAF, ""),
        ("work", ["set -euo pipefail"], ELEMENT % EXIT_TRY_AGAIN, "saved\n"),
    ]:
        (tmp_path / name).mkdir()
        status, found = Script(tmp_path / name, beginning, call).signalled(number, everybody=everybody)
        assert (status, found) == (EXIT_TRY_AGAIN, f"{said}requeue 5_3\n"), name


def test_what_is_done_does_not_queue_again(tmp_path: Path) -> None:
    """The signal came with the last breath."""
    assert Script(tmp_path, [], ELEMENT % 0).signalled(signal.SIGUSR1) == (0, "saved\n")


def test_what_slurm_is_ending_does_not_queue_again(tmp_path: Path) -> None:
    script = Script(tmp_path, [], ELEMENT % EXIT_TRY_AGAIN, "COMPLETING")
    assert script.signalled(signal.SIGTERM, everybody=True) == (EXIT_TRY_AGAIN, "saved\n")
    assert "job 5_3 is COMPLETING; it does not queue again" in script.messages


def test_a_slurm_that_does_not_answer_is_asked_all_the_same(tmp_path: Path) -> None:
    _, said = Script(tmp_path, [], ELEMENT % EXIT_TRY_AGAIN, "").signalled(signal.SIGUSR1)
    assert said == "saved\nrequeue 5_3\n"


@pytest.mark.parametrize(("status", "said"), [(0, ""), (2, ""), (137, ""), (EXIT_TRY_AGAIN, "requeue 5_3\n")], ids=repr)
def test_without_a_signal_the_status_is_the_element_s(tmp_path: Path, status: int, said: str) -> None:
    """Status 75: somebody has asked the work itself to stop."""
    assert Script(tmp_path, ["set -euo pipefail"], f"bash -c 'exit {status}'").ended() == (status, said)


def test_the_scripts_of_a_grid_listen_before_modules_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "scheduler: slurm\nmodules: [cuda]\nsetup: ['echo reached; kill -USR1 $$; echo on']"
    )
    submission = Submission(tmp_path / "grid", tmp_path / "exp", "")
    submission.folder.mkdir()
    submission.write_lists([Run("tag", {"seed": "1"})])
    (command, _) = slurm.plan(submission, read_site(tmp_path / "site.yaml"), {"train": [0]})
    environment = {**os.environ, "BASH_FUNC_module%%": "() { :; }", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(["bash", command.script], env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (EXIT_TRY_AGAIN, "reached\n")
