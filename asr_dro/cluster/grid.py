"""Grids (``conf/grids/<name>.yaml``): axes of options, and what each combination is called.

A file holds::

    axes:                                 # each combination is a job
      lang_set: [mini6]                   # or {each_of: all143}: one job per language
      objective: [ctc, ctc_dro]
      seed: [1, 2, 3]
    sweeps:                               # hyper-parameters, as --train-args; "*" is for every objective
      ctc_dro: {objective_conf.step_size: [1e-3, 1e-4]}
    options: {model: separable_conv}      # the same for all jobs
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.cluster.options import NOT_OF_A_GRID, as_arguments, data_labels, run_options
from asr_dro.config import compose_run, load_yaml
from asr_dro.data.languages import lang_set_corpora, parse_lang_set
from asr_dro.errors import UserError, unknown_keys

KEYS = ("axes", "sweeps", "options")
EVERY = "*"
DATA_OPTIONS = ("corpus", "lang_set", "duration", "data_conf", "data_dir")
_TAG_FORBIDS = re.compile(r"[^A-Za-z0-9_.+-]+")
_LONGEST_TAG = 200  # bytes; a file name may have 255


@dataclass(frozen=True)
class Grid:
    """A grid, checked.

    Attributes:
        axes: Values of each option that varies.
        sweeps: By objective, or ``*``: values of each hyper-parameter, by its dotted key.
        options: Options of all jobs.
    """

    axes: Mapping[str, Sequence[str]]
    sweeps: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run of run.sh.

    Attributes:
        tag: Name of its experiment, or of its data.
        options: Its options by name.
    """

    tag: str
    options: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """Its arguments."""
        return as_arguments(self.options)


def read_grid(path: Path) -> Grid:
    """Read and check a grid.

    Raises:
        UserError: With every mistake at once.
    """
    content = load_yaml(path)
    problems = [f"{key} is not a key; {hint}" for key, hint in unknown_keys(content, KEYS)]
    parts: dict[str, Mapping[str, Any]] = {}
    for key in KEYS:
        value = content.get(key) or {}
        if not isinstance(value, Mapping):
            problems.append(f"{key} must hold keys and values, not {value!r}")
            value = {}
        parts[key] = value
    allowed = [name for name in run_options() if name not in NOT_OF_A_GRID]
    for key in ("axes", "options"):
        problems += [f"{key}: {name} is not an option; {hint}" for name, hint in unknown_keys(parts[key], allowed)]
    axes = {name: _axis(name, values, problems) for name, values in parts["axes"].items()}
    problems += [
        f"sweeps.{objective} must hold keys and lists, not {keys!r}"
        for objective, keys in parts["sweeps"].items()
        if not isinstance(keys, Mapping)
    ]
    sweeps = {
        str(objective): {str(key): _axis(f"{objective}.{key}", values, problems) for key, values in keys.items()}
        for objective, keys in parts["sweeps"].items()
        if isinstance(keys, Mapping)
    }
    options = {str(name): _text(value) for name, value in parts["options"].items()}
    problems += [f"{name} is in axes and in options" for name in axes if name in options]
    if problems:
        raise UserError(f"{path}:\n  " + "\n  ".join(problems))
    return Grid(axes, sweeps, options)


def _axis(name: str, values: Any, problems: list[str]) -> list[str]:
    """Return the values of an axis as texts."""
    if name == "lang_set" and isinstance(values, Mapping) and list(values) == ["each_of"]:
        try:
            return parse_lang_set(str(values["each_of"]))
        except UserError as error:
            problems.append(str(error))
            return []
    if not isinstance(values, list) or not values or any(isinstance(value, list | dict) for value in values):
        problems.append(f"{name} must be a list of values, not {values!r}")
        return []
    texts = [_text(value) for value in values]
    if len(set(texts)) < len(texts):
        problems.append(f"{name} has a value twice: {', '.join(texts)}")
    return texts


def _text(value: Any) -> str:
    """Write a value as one types it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def expand(grid: Grid, given: Mapping[str, str]) -> list[Run]:
    """List the runs of a grid, in the order of its axes.

    Args:
        grid: The grid.
        given: Options of run.sh from the command line; they hold for all runs, and win over the grid's ``options``.

    Raises:
        UserError: If an option is given and an axis too, two runs would have one name, or a configuration is wrong.
    """
    if both := [name for name in given if name in grid.axes]:
        raise UserError(f"{', '.join(both)}: an axis of the grid; leave it out, or take another grid")
    fixed = {**grid.options, **given}
    defaults = {name: option.default for name, option in run_options().items()}
    found = list(_combinations(grid, fixed))
    labels = data_labels([_choice({**defaults, **options}) for options, _ in found])
    runs = []
    for options, swept in found:
        whole = {**defaults, **options}
        tag = f"{whole['model']}_{whole['objective']}_{labels[_choice(whole)]}{swept}_s{whole['seed']}"
        runs.append(Run(tag, {**options, "exp_tag": tag}))
    _check_tags(runs)
    _check_configurations(runs, defaults)
    return runs


def _choice(options: Mapping[str, str]) -> tuple[str, str, str]:
    return options["lang_set"], options["duration"], options["data_conf"]


def _combinations(grid: Grid, fixed: Mapping[str, str]) -> Iterator[tuple[dict[str, str], str]]:
    """Yield the options of each run, and what its hyper-parameters add to its name."""
    default = run_options()["objective"].default
    for values in itertools.product(*grid.axes.values()):
        options = {**fixed, **dict(zip(grid.axes, values, strict=True))}
        objective = options.get("objective", default)
        swept = {**grid.sweeps.get(EVERY, {}), **grid.sweeps.get(objective, {})}
        for chosen in itertools.product(*swept.values()):
            pairs = list(zip(swept, chosen, strict=True))
            words = [word for key, value in pairs for word in (f"--{key}", shlex.quote(value))]
            train_args = " ".join([*([options["train_args"]] if options.get("train_args") else []), *words])
            more = {"train_args": train_args} if train_args else {}
            yield {**options, **more}, "".join(f"_{key.rpartition('.')[2]}{_for_tag(value)}" for key, value in pairs)


def _for_tag(value: str) -> str:
    return _TAG_FORBIDS.sub("-", value)


def _check_tags(runs: Sequence[Run]) -> None:
    """Refuse runs that would write into one folder, and names that no file can have."""
    seen: dict[str, Run] = {}
    for run in runs:
        other = seen.setdefault(run.tag, run)
        if other is not run:
            differing = [key for key, value in run.options.items() if other.options.get(key) != value]
            raise UserError(
                f"two runs would be called {run.tag}: they differ in {', '.join(differing) or 'nothing'} only"
            )
        if len(run.tag.encode()) > _LONGEST_TAG or "/" in run.tag:
            raise UserError(f"{run.tag} cannot be the name of a folder")


def _check_configurations(runs: Sequence[Run], defaults: Mapping[str, str]) -> None:
    """Compose every configuration once, seeds aside: a typing error shows before thousands of jobs wait for it."""
    problems: dict[str, str] = {}
    for run in runs:
        whole = {**defaults, **run.options}
        if not whole["seed"].isdecimal():
            raise UserError(f"seed is {whole['seed']!r}, not a whole number")
        key = "\t".join(whole[name] for name in ("model", "objective", "train_args"))
        if key not in problems:
            problems[key] = ""
            try:
                compose_run(whole["model"], whole["objective"], seed=int(whole["seed"]), train_args=whole["train_args"])
            except UserError as error:
                problems[key] = f"{run.tag}: {error}"
    if found := [problem for problem in problems.values() if problem]:
        raise UserError("\n".join(found))


def data_runs(runs: Sequence[Run]) -> list[Run]:
    """Return what stages 1 to 3 must prepare for these runs, each set of data once."""
    defaults = {name: option.default for name, option in run_options().items()}
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for run in runs:
        key = tuple(run.options.get(name, defaults[name]) for name in DATA_OPTIONS)
        found.setdefault(key, {name: run.options[name] for name in (*DATA_OPTIONS, "nj") if name in run.options})
    whole = [{**defaults, **options} for options in found.values()]
    labels = data_labels([_choice(options) for options in whole])
    return [
        Run(f"{every['corpus']}_{labels[_choice(every)]}", options)
        for every, options in zip(whole, found.values(), strict=True)
    ]


def shard_data(run: Run, languages: Sequence[str]) -> list[Run]:
    """Return stage 1 of a set in parts that may run at the same time: one run per language.

    Afterwards stage 1 of the set itself has nothing left to convert. Where a part of the corpus holds several languages
    (manifests, datasets of the hub), these runs wait for one another.

    Args:
        run: What :func:`data_runs` returned for the set.
        languages: Labels of its languages.

    Returns:
        Runs with the names that the single languages have as sets, so that two sets share them. The run itself if the
        file of its set chooses among the corpora of a language, for a label alone means all of them.
    """
    if lang_set_corpora(run.options.get("lang_set", run_options()["lang_set"].default)):
        return [run]
    return data_runs([Run("", {**run.options, "lang_set": language}) for language in languages])
