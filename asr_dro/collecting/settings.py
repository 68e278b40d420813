"""Which hyper-parameters tell apart the runs of one model, objective and prepared set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from asr_dro.collecting.entries import Entry
from asr_dro.collecting.reading import one_line
from asr_dro.collecting.runs import Run

ABSENT = "-"  # what a run has of a key that only others have
# Keys that change neither weights nor scores, and the seed, which has a column of its own.
NO_HYPER_PARAMETERS = frozenset(
    {"seed", "num_workers", "save_every_updates", "use_tensorboard", "dev_seconds_per_batch"}
)

_DEEPEST = 20  # a YAML mapping may hold itself

GroupKey = tuple[str, str, str, str, str]


def group_key(run: Run) -> GroupKey:
    """Return what runs share that differ in hyper-parameters and seeds only."""
    return run.corpus, run.lang_set, run.data, run.model, run.objective


def add_settings(entries: Iterable[Entry]) -> list[Entry]:
    """Give each row the hyper-parameters in which its group differs, whether they are scored or not.

    Runs without a readable ``train.yaml`` have none, and make no difference.
    """
    entries = list(entries)
    groups: dict[GroupKey, list[Run]] = {}
    for run in {entry.run.place: entry.run for entry in entries}.values():
        if run.config:
            groups.setdefault(group_key(run), []).append(run)
    settings = {}
    for runs in groups.values():
        for run, differing in zip(runs, differences([run.config for run in runs]), strict=True):
            settings[run.place] = differing
    return [replace(entry, settings=settings.get(entry.run.place, {})) for entry in entries]


def differences(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return for each configuration its values of those keys that are not the same in all.

    Args:
        configs: Nested mappings.

    Returns:
        One mapping per configuration, all with the same dotted keys, sorted.
    """
    flat = [dict(_flatten(config)) for config in configs]
    keys = sorted({key for one in flat for key in one})
    differing = [key for key in keys if len({one.get(key, ABSENT) for one in flat}) > 1]
    return [{key: one.get(key, ABSENT) for key in differing} for one in flat]


def short_settings(settings: Mapping[str, str]) -> str:
    """Write hyper-parameters by the last parts of their names, as many parts as tell them apart."""
    names = {key: key.split(".") for key in settings}
    parts = []
    for key, value in settings.items():
        length = 1
        while length < len(names[key]) and _is_shared(names[key][-length:], key, names):
            length += 1
        parts.append(f"{'.'.join(names[key][-length:])}={value}")
    return " ".join(parts)


def _is_shared(ending: list[str], key: str, names: Mapping[str, list[str]]) -> bool:
    return any(parts[-len(ending) :] == ending for other, parts in names.items() if other != key)


def _flatten(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if name in NO_HYPER_PARAMETERS:
            continue
        if isinstance(item, Mapping) and item and depth < _DEEPEST:
            yield from _flatten(item, f"{name}.", depth + 1)
        else:
            yield one_line(name), _write(item)


def _write(value: object) -> str:
    """Write a value briefly; numbers that are equal are written alike, whole or not."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return one_line(value)
