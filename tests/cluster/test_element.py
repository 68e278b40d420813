"""An element asked to stop before its work has begun."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from asr_dro.cluster import element
from asr_dro.cluster.element import Element, read_state, run_element
from asr_dro.cluster.grid import Run
from asr_dro.cluster.jobs import write_jobs
from asr_dro.errors import EXIT_TRY_AGAIN


def run_script(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, Any]]:
    """Run an element whose work is a script; return its status and its state."""
    (folder / "run.sh").write_text(script)
    write_jobs(folder / "jobs.tsv", [Run("tag", {"exp_dir": str(folder / "exp")})])
    monkeypatch.setattr(element, "REPOSITORY", folder)
    status = run_element(Element(folder / "jobs.tsv", 0))
    return status, dict(read_state(folder / "jobs.tsv", 0) or {})


@pytest.mark.parametrize("moment", ["header", "Popen"])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_before_the_work_begins_stops_it(
    moment: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no process yet to pass it on to, and it does not come again."""
    owner: Any = element if moment == "header" else subprocess
    original = getattr(owner, moment)

    def signalled(*arguments: Any, **others: Any) -> Any:
        os.kill(os.getpid(), number)
        return original(*arguments, **others)

    monkeypatch.setattr(owner, moment, signalled)
    before, handlers = time.monotonic(), [signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGTERM)]
    status, state = run_script("sleep 60\n", tmp_path, monkeypatch)
    assert status == EXIT_TRY_AGAIN
    assert time.monotonic() - before < 30
    assert (state["state"], state["error"]) == ("interrupted", f"stopped by {number.name}")
    assert [signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGTERM)] == handlers


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_that_reaches_the_work_first_stops_it_all_the_same(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm, cancelling a job, signals its processes one after another; the work has ended before the element knows."""
    name = number.name[3:]
    script = f"(sleep 0.7; kill -{name} $PPID) & kill -{name} $$\n"  # PPID: that of run.sh, the element
    status, state = run_script(script, tmp_path, monkeypatch)
    assert (status, state["state"], state["error"]) == (EXIT_TRY_AGAIN, "interrupted", f"stopped by {number.name}")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_work_that_dies_of_a_signal_of_its_own_has_failed(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So srun ends all processes of a training when one has died, of want of memory perhaps, and would again."""
    monkeypatch.setattr(element, "_LATER_S", 0.3)
    status, state = run_script(f"kill -{number.name[3:]} $$\n", tmp_path, monkeypatch)
    assert (status, state["state"]) == (128 + number, "failed")
    assert state["error"] == f"exit status {128 + number}"


def test_work_that_was_asked_to_stop_by_itself_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, state = run_script(f"exit {EXIT_TRY_AGAIN}\n", tmp_path, monkeypatch)
    assert (status, state["state"]) == (EXIT_TRY_AGAIN, "interrupted")
