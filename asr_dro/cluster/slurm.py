"""Slurm: batch scripts, arrays that depend on each other, and what the queue says of them."""

from __future__ import annotations

import logging
import math
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr_dro.cluster.batch_scripts import COLLECT, script_of, write_scripts
from asr_dro.cluster.site import Resources, Site
from asr_dro.cluster.submission import DATA, LISTS, LOGS, PARTS, TRAIN, Array, Submission
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_open

logger = logging.getLogger(__name__)

_TIMEOUT_S = 120  # clients wait for a controller that is away


@dataclass(frozen=True)
class Command:
    """A call of sbatch.

    Attributes:
        kind: ``parts``, ``data``, ``train`` or ``collect``.
        arguments: Its arguments, but for dependencies.
        script: The batch script.
        indices: Lines of the list, by position in the array.
        after: Kinds that must have ended, and how: ``afterok`` or ``afterany``.
        abreast: Arrays of its kind that may run at a time: it begins when the one so many before it has ended.
    """

    kind: str
    arguments: tuple[str, ...]
    script: Path
    indices: tuple[int, ...] = ()
    after: tuple[tuple[str, str], ...] = field(default=())
    abreast: int = 1


def plan(submission: Submission, site: Site, left: Mapping[str, Sequence[int]]) -> list[Command]:
    """Write the batch scripts, and return the calls of sbatch in their order.

    Args:
        submission: The grid's folder.
        site: The site.
        left: Lines to run of each kind's list.
    """
    write_scripts(submission, site)
    commands: list[Command] = []
    after: tuple[tuple[str, str], ...] = ()
    for kind in LISTS:
        if arrays := _arrays(submission, site, kind, left.get(kind, ()), after):
            commands += arrays
            # A set's own stage 1 does what its parts left undone, and says what is wrong with it.
            after = (("afterany" if kind == PARTS else "afterok", kind),)
    commands.append(_command(submission, site, COLLECT, (("afterany", TRAIN),)))
    return commands


def _arrays(
    submission: Submission, site: Site, kind: str, indices: Sequence[int], after: tuple[tuple[str, str], ...]
) -> list[Command]:
    """Cut a list into arrays that the site allows, one behind another: together they never run more than one would.

    Side by side each would need a share: one at least, which is too much for very many arrays, and the share of an
    array that ends early would stay idle.
    """
    limit = site.array_limit
    parts = [tuple(indices[start : start + limit]) for start in range(0, len(indices), limit)]
    # One, unless an array alone is too short for all that may run.
    abreast = max(1, min(math.ceil(site.max_running / limit), len(parts)))
    commands = [_command(submission, site, kind, after, part, site.max_running // abreast) for part in parts]
    return [replace(command, abreast=abreast) for command in commands]


def _command(
    submission: Submission,
    site: Site,
    kind: str,
    after: tuple[tuple[str, str], ...],
    indices: tuple[int, ...] = (),
    at_a_time: int = 1,
) -> Command:
    arguments = ["--parsable", f"--job-name={submission.folder.name}.{kind}", "--open-mode=append"]
    resources = {PARTS: site.data, DATA: site.data, TRAIN: site.train, COLLECT: site.collect}[kind]
    arguments += _resources(resources)
    logs = str((submission.folder / LOGS).resolve()).replace("%", "%%")
    if indices:
        arguments += [f"--array={_ranges(range(len(indices)))}%{at_a_time}", f"--output={logs}/{kind}.%A_%a.log"]
        arguments += ["--requeue", f"--signal=B:USR1@{site.signal_s}"]
    else:
        arguments.append(f"--output={logs}/{kind}.%j.log")
    return Command(kind, tuple(arguments), script_of(submission, kind), indices, after)


def _resources(resources: Resources) -> list[str]:
    named = {
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "gres": resources.gres,
        "constraint": resources.constraint,
        "time": resources.time,
        "mem": resources.memory,
    }
    numbers = {
        "nodes": resources.nodes,
        "ntasks-per-node": resources.tasks_per_node,
        "cpus-per-task": resources.cpus,
    }
    given = [f"--{name}={value}" for name, value in named.items() if value]
    return [*given, *(f"--{name}={value}" for name, value in numbers.items()), *resources.extra]


def _ranges(numbers: Iterable[int]) -> str:
    """Write rising numbers as sbatch takes them.

    >>> _ranges([0, 1, 2, 5])
    '0-2,5'
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def describe(commands: Sequence[Command]) -> str:
    """Write calls of sbatch as one would type them."""
    lines: list[str] = []
    named: list[Array] = []
    for number, command in enumerate(commands, start=1):
        waits = _dependency(command, named)
        named.append(Array(command.kind, f"<job {number}>"))
        more = [f"--dependency={waits}"] if waits else []
        lines.append(shlex.join(["sbatch", *command.arguments, *more, str(command.script)]))
    return "\n".join(lines) + "\n"


def submit(submission: Submission, commands: Sequence[Command]) -> None:
    """Give everything to Slurm; what is submitted is recorded at once.

    Raises:
        UserError: If sbatch refuses; what was submitted before it is taken back.
    """
    own: list[Array] = []
    try:
        for number, command in enumerate(commands):
            waits = _dependency(command, own)
            more = [f"--dependency={waits}", "--kill-on-invalid-dep=yes"] if waits else []
            variables = {"INDICES": str(_write_indices(submission, command, number))} if command.indices else {}
            job = _call(["sbatch", *command.arguments, *more, str(command.script)], **variables).strip()
            job = job.partition(";")[0]
            own.append(Array(command.kind, job, command.indices))
            logger.info(
                "%s: job %s%s", command.kind, job, f", {len(command.indices)} elements" if command.indices else ""
            )
    except UserError:
        if own:
            _call(["scancel", *(array.job for array in own)])
        raise
    submission.arrays += own
    submission.save()


def _dependency(command: Command, before: Sequence[Array]) -> str:
    """Return what a call waits for, as sbatch takes it, among what was submitted before it; empty if nothing."""
    jobs = [(how, [array.job for array in before if array.kind == kind]) for how, kind in command.after]
    same = [array.job for array in before if array.kind == command.kind]
    jobs.append(("afterany", same[-command.abreast :][:1] if len(same) >= command.abreast else []))
    return ",".join(f"{how}:{':'.join(numbers)}" for how, numbers in jobs if numbers)


def _write_indices(submission: Submission, command: Command, number: int) -> Path:
    """Write which lines of the list an array's elements take."""
    path = submission.folder.resolve() / "arrays" / f"{command.kind}.{len(submission.arrays) + number}.txt"
    with atomic_open(path) as file:
        file.writelines(f"{index}\n" for index in command.indices)
    return path


def queue(arrays: Sequence[Array]) -> dict[tuple[str, int], tuple[str, str]]:
    """Ask which elements wait or run.

    Args:
        arrays: What was submitted.

    Returns:
        State (``PENDING``, ``RUNNING``, ...) and reason, by list kind and line; an element that is over is not there.
    """
    by_job = {array.job: array for array in arrays}
    if not by_job:
        return {}
    text = _call(["squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%r"])
    found = {}
    for line in text.splitlines():
        job, position, state, reason = [*line.split("|", 3), "", "", ""][:4]
        array = by_job.get(job)
        if array is None:
            continue
        index = array.indices[int(position)] if position.isdigit() and array.indices else -1
        found[array.kind, index] = state, reason
    return found


def cancel(arrays: Sequence[Array]) -> None:
    """Cancel whatever of these is not over."""
    waiting = {array.job for array in arrays}
    text = _call(["squeue", "--noheader", "--me", "--format=%F"])
    if alive := sorted(waiting & set(text.split())):
        _call(["scancel", *alive])


def _call(command: Sequence[str], **variables: str) -> str:
    """Call one of Slurm's programs, with these variables in its environment, which jobs inherit.

    Raises:
        UserError: If it is missing, refuses, or does not answer.
    """
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{command[0]} is not installed here: submit from a host of the cluster, or take --cluster local"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{command[0]} has not answered for {_TIMEOUT_S} s; is the controller of Slurm up?") from error
    if result.returncode:
        raise UserError(f"{shlex.join(command)}\nfailed: {result.stderr.strip() or f'exit status {result.returncode}'}")
    return result.stdout
