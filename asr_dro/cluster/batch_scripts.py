"""The batch scripts of a grid: what an element does, and the table of scores at the end.

A signal asks an element to stop, once (``sbatch --signal``, a preemption, ``scancel --signal``). The script listens
from its first line on: modules may take minutes to load, and Python its second to begin, and nobody else would queue
the job again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from asr_dro.cluster.site import Site
from asr_dro.cluster.submission import LISTS, LOGS, TRAIN, Submission
from asr_dro.config import REPOSITORY
from asr_dro.errors import EXIT_TRY_AGAIN
from asr_dro.fileio import atomic_open

COLLECT = "collect"

_LISTEN = """\
# Asked to stop, by a signal that comes once and may come now, the job queues again when its work has saved what it has.
stop() {
  asked=$1
  [[ -n "${element}" ]] || exit "${again}"
  kill -s "$1" "${element}" 2>/dev/null || :
}
leave() {
  local status=$? job="${SLURM_ARRAY_JOB_ID:-}_${SLURM_ARRAY_TASK_ID:-}" state
  set +e
  ((status == again)) || [[ -n "${asked}" && "${status}" != 0 ]] || return
  trap '' USR1 TERM
  state=$(squeue --noheader --jobs="${job}" --format=%T) || state=RUNNING
  # Who cancels or preempts a job sends a signal too, and settles what becomes of it.
  if [[ "${state}" == RUNNING ]]; then
    scontrol requeue "${job}"
  else
    echo "job ${job} is ${state:-gone}; it does not queue again" >&2
  fi
  exit "${again}" # "wait" may have lost it: bash forgets a child that ends just as a trapped signal comes
}
trap leave EXIT
trap 'stop USR1' USR1
trap 'stop TERM' TERM"""

_WAIT = """\
element=$!
while kill -0 "${element}" 2>/dev/null; do wait "${element}" || :; done # a signal ends "wait", not the element
wait "${element}"\
"""


def write_scripts(submission: Submission, site: Site) -> None:
    """Write ``data.sbatch``, ``train.sbatch``, ``collect.sbatch``, which people can read and submit again."""
    (submission.folder / LOGS).mkdir(parents=True, exist_ok=True)
    for kind, path in submission.lists().items():
        listed, (first, last) = LISTS[kind]
        call = ["python3", "-m", "asr_dro.bin.run_job", "--jobs", str(path.resolve())]
        call += ["--stage", str(first), "--stop-stage", str(last), "--index"]
        index = 'index=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "${INDICES}")'
        lines = [
            f"# One element of {listed}: INDICES (from submit.sh) has the line of the list at this place of the array.",
            *element_lines([*_beginning(site), index], f'{shlex.join(call)} "${{index}}"'),
        ]
        write_script(script_of(submission, kind), lines)
    call = ["bash", str(REPOSITORY / "local" / "collect_scores.sh"), *collect_arguments(submission)]
    lines = [
        "# The table of all scores, when the last element has ended.",
        *_beginning(site),
        f"exec {shlex.join(call)}",
    ]
    write_script(script_of(submission, COLLECT), lines)


def element_lines(beginning: Sequence[str], call: str) -> list[str]:
    """Return the lines of an array's element: it queues again if it is asked to stop, from its first line on.

    Args:
        beginning: What prepares the shell.
        call: The command to run; asked to stop it leaves with status 75, unless it ends by the signal.
    """
    return [f"asked='' element='' again={EXIT_TRY_AGAIN}", _LISTEN, *beginning, f"{call} &", _WAIT]


def collect_arguments(submission: Submission) -> list[str]:
    """Return the arguments of the call that collects a grid's scores."""
    folder = submission.folder.resolve()
    outputs = ["--tsv", str(folder / "scores.tsv"), "--html", str(folder / "scores.html")]
    return ["--jobs", str(folder / LISTS[TRAIN][0]), *outputs, str(submission.exp_dir.resolve())]


def script_of(submission: Submission, kind: str) -> Path:
    """Return where a kind's batch script lies."""
    return submission.folder / f"{kind}.sbatch"


def write_script(path: Path, lines: Sequence[str]) -> None:
    """Write a script for bash."""
    with atomic_open(path) as file:
        file.writelines(line + "\n" for line in ("#!/usr/bin/env bash", *lines))


def _beginning(site: Site) -> list[str]:
    return [
        "set -euo pipefail",
        f"cd {shlex.quote(str(Path.cwd()))}",
        *(f"module load {shlex.quote(module)}" for module in site.modules),
        *site.setup,
        f". {shlex.quote(str(REPOSITORY / 'path.sh'))}",
    ]
