"""Rows made of rows: seeds pooled, and the hyper-parameters that were best on dev."""

from __future__ import annotations

import logging
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from asr_dro.collecting.entries import HIGHER_IS_BETTER, METRICS, Entry, Value
from asr_dro.collecting.find import Place
from asr_dro.collecting.settings import group_key
from asr_dro.collecting.state import SCORED
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

DEV = "dev"
METRIC_NAMES = {
    "mean_cer": "mean CER",
    "worst_cer": "worst CER",
    "mean_wer": "mean WER",
    "lid_accuracy": "LID accuracy",
}
_Key = TypeVar("_Key")


def sort_entries(entries: Iterable[Entry], metric: str) -> list[Entry]:
    """Order rows: by set and split, scored ones before others, the best first by one metric."""
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0

    def key(entry: Entry) -> tuple[object, ...]:
        number, run = entry.number(metric), entry.run
        rank = math.inf if number is None else sign * number
        group = (run.corpus, run.lang_set, run.data, entry.split)
        return (entry.state != SCORED, *group, rank, run.tag, entry.decode, str(run.place.root))

    return sorted(entries, key=key)


def pool_seeds(entries: Iterable[Entry]) -> list[Entry]:
    """Replace the scored rows that differ in their seed only by one: mean and standard deviation (n - 1) over seeds.

    Hours of computing are means, too: what one run takes. A seed that is there twice, run on two machines for instance,
    counts once: it is no independent run.

    Args:
        entries: Rows with their settings.

    Returns:
        The pooled rows, and those that are not scored as they were.
    """
    entries = list(entries)
    scored = _partition([entry for entry in entries if entry.state == SCORED], _pool_key)
    pooled = [_pool(members) for members in scored.values()]
    return pooled + [entry for entry in entries if entry.state != SCORED]


def _pool_key(entry: Entry) -> tuple[object, ...]:
    settings = tuple(entry.settings.items())
    return (*group_key(entry.run), settings, entry.decode, entry.split, entry.n_languages, entry.n_utterances)


def _pool(members: Sequence[Entry]) -> Entry:
    """Pool the rows of one configuration."""
    by_seed: dict[int | None, Entry] = {}
    for entry in sorted(members, key=lambda entry: (entry.run.seed is None, entry.run.seed or 0, entry.run.place)):
        first = by_seed.setdefault(entry.run.seed, entry)
        if first is not entry:
            folders = f"{entry.run.place.folder} (it is in {first.run.place.folder})"
            logger.warning("seed %s is there twice, left out of the mean: %s", entry.run.seed, folders)
    kept = list(by_seed.values())
    values = {}
    for metric in METRICS:
        if numbers := [number for entry in kept if (number := entry.number(metric)) is not None]:
            sd = statistics.stdev(numbers) if len(numbers) > 1 else None
            only = kept[0].values[metric] if len(kept) == 1 else Value(statistics.fmean(numbers))
            values[metric] = replace(only, sd=sd, n=len(numbers))
    worst = Counter(entry.worst_language for entry in kept if entry.worst_language)
    named = " ".join(f"{name}×{n}" for name, n in worst.most_common()) if len(worst) > 1 else "".join(worst)
    note = "; ".join(dict.fromkeys(entry.note for entry in kept if entry.note))
    runs = [entry.run for entry in kept]
    run = replace(
        runs[0],
        gpu_h=_mean([run.gpu_h for run in runs]),
        cpu_h=_mean([run.cpu_h for run in runs]),
        commit=" ".join(dict.fromkeys(run.commit for run in runs if run.commit)),
        host="; ".join(dict.fromkeys(run.host for run in runs if run.host)),
    )
    return replace(kept[0], run=run, values=values, worst_language=named, note=note, seeds=tuple(by_seed))


def _mean(hours: Sequence[float | None]) -> float | None:
    known = [number for number in hours if number is not None]
    return statistics.fmean(known) if known else None


def best_on_dev(entries: Iterable[Entry], metric: str) -> list[Entry]:
    """Keep of the runs that differ in hyper-parameters (and seeds) only those of the setting that is best on dev.

    A setting's number is the mean over its seeds. What is reported takes no part in the choice.

    Args:
        entries: Rows of dev and of the split that is reported, with their settings.
        metric: What to choose by, one of ``METRIC_NAMES``.

    Returns:
        The chosen rows of the reported split, which say how they were chosen, and those that are not scored. Where no
        run has dev scores nothing is chosen, and the rows say so.

    Raises:
        UserError: If there is nothing but dev.
    """
    entries = list(entries)
    reported = [entry for entry in entries if entry.split != DEV]
    if not reported:
        raise UserError("--best-on-dev chooses on dev, so it cannot report dev; give another --split")
    on_dev = {
        (entry.run.place, entry.decode): number
        for entry in entries
        if entry.split == DEV and entry.state == SCORED and (number := entry.number(metric)) is not None
    }
    scored = [entry for entry in reported if entry.state == SCORED]
    groups = _partition(scored, lambda entry: (*group_key(entry.run), entry.decode, entry.split))
    chosen = [entry for members in groups.values() for entry in _choose(members, on_dev, metric)]
    return chosen + [entry for entry in reported if entry.state != SCORED]


def _choose(members: Sequence[Entry], on_dev: Mapping[tuple[Place, str], float], metric: str) -> list[Entry]:
    """Choose among the scored rows of one group."""
    candidates = [entry for entry in members if (entry.run.place, entry.decode) in on_dev]
    n_left = len(members) - len(candidates)
    if not candidates:
        return [_with_note(entry, f"not picked: no {METRIC_NAMES[metric]} on dev") for entry in members]
    settings = _partition(candidates, lambda entry: tuple(entry.settings.items()))
    means = {
        key: statistics.fmean(on_dev[entry.run.place, entry.decode] for entry in entries)
        for key, entries in settings.items()
    }
    best = (max if metric in HIGHER_IS_BETTER else min)(means, key=means.__getitem__)
    note = f"picked on dev: {METRIC_NAMES[metric]}, {len(candidates)} run{'s' if len(candidates) > 1 else ''}"
    if len(candidates) > len(settings):
        note += f" of {len(settings)} setting{'s' if len(settings) > 1 else ''}"
    if n_left:
        note += f", {n_left} without dev scores left out"
    return [_with_note(entry, note) for entry in settings[best]]


def _with_note(entry: Entry, note: str) -> Entry:
    return replace(entry, note=f"{entry.note}; {note}" if entry.note else note)


def _partition(entries: Iterable[Entry], key: Callable[[Entry], _Key]) -> dict[_Key, list[Entry]]:
    parts: dict[_Key, list[Entry]] = {}
    for entry in entries:
        parts.setdefault(key(entry), []).append(entry)
    return parts
