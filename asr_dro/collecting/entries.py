"""Rows of the table: a decoded split of an experiment with its scores, or an experiment that has none yet."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.collecting.reading import UnreadableError, finite, mapping, one_line, read_json_object
from asr_dro.collecting.runs import Run
from asr_dro.collecting.state import CORRUPT, DECODED, DECODING, FAILED, SCORED
from asr_dro.experiment import DECODE_PREFIX, HYPOTHESES, SCORES
from asr_dro.experiment import DECODED as DECODED_MARK
from asr_dro.scoring.files import GIVEN

logger = logging.getLogger(__name__)

# Name of a metric -> where scores.json has it, and where its interval lies below "intervals".
METRICS = {
    "mean_cer": ("cer", "mean"),
    "sd_cer": ("cer", "sd"),
    "worst_cer": ("cer", "worst"),
    "worst15_cer": ("cer", "worst15"),
    "mean_wer": ("wer", "mean"),
    "lid_accuracy": ("lid_accuracy", "micro"),
}
REQUIRED_METRICS = frozenset(METRICS) - {"worst15_cer"}  # of these, a damaged number costs the whole file its trust
HIGHER_IS_BETTER = frozenset({"lid_accuracy"})


@dataclass(frozen=True, slots=True)
class Value:
    """A number of a row: a fraction; ``low`` and ``high`` bound its interval, ``sd`` is over ``n`` seeds."""

    value: float
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One row.

    Attributes:
        run: The experiment; of several seeds, the first.
        decode: Name of the decoding, empty if nothing is decoded.
        split: Name of the split.
        state: One of ``STATES``.
        note: What more there is to say, in one line.
        values: The metrics that it has.
        worst_language: Code of the worst language; of several seeds, each with its number of times.
        n_languages: Number of languages that were scored.
        n_utterances: Number of utterances that were scored.
        settings: Hyper-parameters in which it differs from others of the same model and objective, by dotted name.
        seeds: The seeds behind it.
    """

    run: Run
    decode: str
    split: str
    state: str
    note: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    worst_language: str = ""
    n_languages: int = 0
    n_utterances: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int | None, ...] = ()

    def number(self, metric: str) -> float | None:
        """Return a metric's number, if there is one."""
        value = self.values.get(metric)
        return None if value is None else value.value


def read_entries(run: Run, splits: Iterable[str], decode: str | None = None) -> list[Entry]:
    """Read the scores of an experiment.

    Args:
        run: The experiment.
        splits: Splits that are wanted.
        decode: The only decoding that is wanted; all by default.

    Returns:
        One row for each split and decoding; for a split that no decoding has, one that tells how far the run came.
    """
    names = [decode] if decode is not None else _decodings(run.place.folder)
    entries = []
    for split in splits:
        found = [entry for name in names if (entry := _read_entry(run, name, split)) is not None]
        entries += found or [Entry(run, "", split, run.state, run.detail, seeds=(run.seed,))]
    return entries


def _decodings(folder: Path) -> list[str]:
    try:
        names = [path.name for path in folder.iterdir() if path.name.startswith(DECODE_PREFIX)]
    except OSError as error:
        logger.warning("%s cannot be read: %s", folder, one_line(error))
        return []
    return sorted(name.removeprefix(DECODE_PREFIX) for name in names)


def _read_entry(run: Run, decode: str, split: str) -> Entry | None:
    """Read a split of a decoding; ``None`` if it was not decoded."""
    folder = run.place.folder / f"{DECODE_PREFIX}{decode}" / split
    base: dict[str, Any] = {"run": run, "decode": decode, "split": split, "seeds": (run.seed,)}
    try:
        scores = read_json_object(folder / SCORES)
        if scores:
            return Entry(state=SCORED, note=_note(run, scores), **base, **_summary(scores))
        if (folder / SCORES).exists():
            raise UnreadableError(f"{SCORES} is empty")
    except UnreadableError as error:
        logger.warning("%s: %s; skipped. Score it again (stage 6)", folder, error)
        return Entry(state=CORRUPT, note=str(error), **base)
    if not (folder / DECODED_MARK).exists() and not (folder / HYPOTHESES).exists():
        return None
    if run.state in {FAILED, DECODING}:
        return Entry(state=run.state, note=run.detail, **base)
    return Entry(state=DECODED, note="not scored", **base)


def _note(run: Run, scores: Mapping[str, Any]) -> str:
    """Say of a scored row what is wrong with its experiment since, and whether its languages were recognised at all."""
    notes = [f"failed since, {run.detail}"] if run.state == FAILED else []
    notes += ["languages given, not recognised"] if scores.get("languages") == GIVEN else []
    return "; ".join(notes)


def _summary(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Pick out of ``scores.json`` what the table shows.

    Raises:
        UnreadableError: If it lacks what each score file has, or numbers are none.
    """
    if not {"cer", "wer", "lid_accuracy"} <= scores.keys():
        raise UnreadableError(f"{SCORES} lacks error rates")
    intervals = mapping(scores.get("intervals"))
    values = {}
    for name, (rate, key) in METRICS.items():
        raw = mapping(scores[rate]).get(key)
        if raw is None:
            continue
        number = finite(raw)
        if number is None or number < 0:
            if name not in REQUIRED_METRICS:
                continue
            raise UnreadableError(f"{SCORES}: {rate}.{key} is {one_line(repr(raw))}, not a rate")
        low, high = _bounds(mapping(intervals.get(rate)).get(key))
        values[name] = Value(number, low, high)
    if not values:
        raise UnreadableError(f"{SCORES} has no rate at all")
    n_utterances = finite(scores.get("n_utterances"))
    return {
        "values": values,
        "worst_language": one_line(mapping(scores["cer"]).get("worst_language")),
        "n_languages": len(_languages(scores)),
        "n_utterances": int(n_utterances or 0),
    }


def _languages(scores: Mapping[str, Any]) -> Collection[str]:
    return mapping(mapping(scores["cer"]).get("by_language")) or mapping(
        mapping(scores["lid_accuracy"]).get("by_language")
    )


def _bounds(interval: object) -> tuple[float | None, float | None]:
    """Return the ends of an interval; nothing if it is none."""
    if not isinstance(interval, list | tuple) or len(interval) != 2:
        return None, None
    low, high = map(finite, interval)
    return (low, high) if low is not None and high is not None and low <= high else (None, None)
