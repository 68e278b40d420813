"""What a site is like (``conf/cluster/<site>.yaml``): its scheduler, what a job asks for, how much may run at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from asr_dro.cluster.jobs import Job
from asr_dro.config import load_yaml
from asr_dro.errors import UserError, unknown_keys

SCHEDULERS = ("slurm", "local")
_TIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}")  # as sbatch takes it: minutes, h:m:s, days-hours, ...
_ONE_LINE = re.compile(r"[^\n\r\0]*")


@dataclass(frozen=True)
class Resources:
    """What a job asks Slurm for; what is empty is the site's default.

    Attributes:
        partition: Name of a partition, or several separated by commas.
        account: Who pays.
        qos: Quality of service.
        gres: Devices of each node, ``gpu:1``.
        constraint: Features of nodes.
        time: Longest time, ``24:00:00``; a training that needs more goes on in the next one.
        memory: Memory of each node, ``32G``.
        cpus: Processor cores of each task.
        nodes: Nodes.
        tasks_per_node: Processes on each node, one for each GPU.
        extra: Further options of sbatch, ``--exclude=n13``.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    gres: str = ""
    constraint: str = ""
    time: str = ""
    memory: str = ""
    cpus: int = 1
    nodes: int = 1
    tasks_per_node: int = 1
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """A site, checked.

    Attributes:
        scheduler: ``slurm``, or ``local``: processes on this machine.
        max_running: Elements that run at a time.
        array_limit: Most elements of one array (``MaxArraySize`` in ``scontrol show config``).
        signal_s: Seconds before its time limit at which a job is asked to stop and go on later.
        modules: Environment modules to load.
        setup: Shell commands before the work, one a line.
        train: What stages 4 to 7 ask for.
        data: What stages 1 to 3 ask for.
        collect: What the table of scores asks for.
    """

    scheduler: str
    max_running: int = 16
    array_limit: int = 1000
    signal_s: int = 120
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    train: Resources = field(default_factory=Resources)
    data: Resources = field(default_factory=Resources)
    collect: Resources = field(default_factory=Resources)


_PARTS = ("train", "data", "collect")


def read_site(path: Path) -> Site:
    """Read and check a site.

    ``data`` and ``collect`` ask for what ``train`` does on one node without devices, unless they say more.

    Raises:
        UserError: With every mistake at once.
    """
    content = load_yaml(path, interpolate=False)  # ${SCRATCH} is the shell's
    problems = [f"{key} is not a key; {hint}" for key, hint in unknown_keys(content, _names(Site))]
    values: dict[str, Any] = {key: value for key, value in content.items() if key in _names(Site)}
    resources: dict[str, Resources] = {}
    for part in _PARTS:
        given = values.pop(part, None) or {}
        if not isinstance(given, Mapping):
            problems.append(f"{part} must hold keys and values, not {given!r}")
            given = {}
        problems += [f"{part}.{key} is not a key; {hint}" for key, hint in unknown_keys(given, _names(Resources))]
        base = {} if part == "train" else asdict(replace(resources["train"], gres="", nodes=1, tasks_per_node=1))
        known = {key: value for key, value in given.items() if key in _names(Resources)}
        resources[part] = Resources(**{**base, **_with_tuples(known, ("extra",))})
        problems += [f"{part}.{problem}" for problem in _problems_of(resources[part])]
    site = Site(**{"scheduler": "", **_with_tuples(values, ("modules", "setup")), **resources})
    problems += _problems_of(site)
    if site.scheduler not in SCHEDULERS:
        problems.append(f"scheduler is {site.scheduler!r}; allowed: {', '.join(SCHEDULERS)}")
    if not problems:
        problems += _too_short(site)
    if problems:
        raise UserError(f"{path}:\n  " + "\n  ".join(problems))
    return site


def _too_short(site: Site) -> Iterator[str]:
    """Yield the time limits that no job could keep: asked to stop as it begins, it would queue again for ever."""
    for part in ("train", "data"):
        time = getattr(site, part).time
        if time and 0 < _limit_s(time) <= site.signal_s:  # 0 is none
            yield f"{part}.time is {time!r}, not longer than signal_s ({site.signal_s} s): change either"


def _limit_s(time: str) -> int:
    """Return a time limit in seconds.

    >>> [_limit_s(time) for time in ("2", "2:30", "1:00:00", "1-12", "1-0:30")]
    [120, 150, 3600, 129600, 88200]
    """
    days, dash, clock = time.rpartition("-")
    numbers = [int(number) for number in clock.split(":")]
    units = (3600, 60, 1) if dash or len(numbers) == 3 else (60, 1)
    return int(days or 0) * 86_400 + sum(number * unit for number, unit in zip(numbers, units, strict=False))


def gpus_of(jobs: Iterable[Job]) -> int:
    """Return the GPUs of each node that these jobs ask for (``--ngpu``), the most of all."""
    words = (word for job in jobs for word in job.arguments if word.startswith("--ngpu="))
    return max((int(word.partition("=")[2] or 0) for word in words), default=0)


def with_devices(site: Site, ngpu: int, num_nodes: int | None) -> Site:
    """Return a site whose trainings have a task for each GPU, and so many nodes.

    Args:
        site: The site.
        ngpu: GPUs of each node; with one or none, tasks and devices stay as the site has them.
        num_nodes: Nodes; None: as the site has them.
    """
    train = site.train if num_nodes is None else replace(site.train, nodes=num_nodes)
    if ngpu > 1:
        gres = re.sub(r"^(gpu(?::[^:,]+)?)(:\d+)?$", rf"\1:{ngpu}", train.gres) or f"gpu:{ngpu}"
        train = replace(train, tasks_per_node=ngpu, gres=gres)
    return replace(site, train=train)


def _names(cls: type[Site | Resources]) -> list[str]:
    return [item.name for item in fields(cls)]


def _with_tuples(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    changed = {
        name: tuple(value) if isinstance(value := values[name], list) else (value,) for name in names if name in values
    }
    texts = {name: "" if value is None else value for name, value in values.items()}
    return {**texts, **changed}


def _problems_of(part: Site | Resources) -> list[str]:
    """List values of a wrong type; each key's type is that of its default."""
    problems = []
    for item in fields(part):
        value = getattr(part, item.name)
        if item.type == "int":
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                problems.append(f"{item.name} must be a whole number from 1 on, not {value!r}")
        elif item.type == "str":
            if not isinstance(value, str) or not _ONE_LINE.fullmatch(value):
                problems.append(f'{item.name} must be a text in one line (in quotes: "24:00:00"), not {value!r}')
        elif isinstance(value, tuple) and not all(isinstance(one, str) and _ONE_LINE.fullmatch(one) for one in value):
            problems.append(f"{item.name} must be a list of texts, each in one line, not {list(value)!r}")
    time = getattr(part, "time", "")
    if isinstance(time, str) and time and not _TIME.fullmatch(time):
        problems.append(f"time is {time!r}; as Slurm takes it: minutes, hours:minutes:seconds or days-hours")
    return problems
