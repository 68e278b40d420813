"""Several trainings that differ in nothing but the seed: mean and standard deviation of their scores."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from asr_dro.errors import UserError
from asr_dro.scoring.outcomes import named

POOLED_METRICS = ("cer", "wer", "lid_accuracy")
POOLED_SUMMARIES = ("mean", "sd", "worst", "worst15", "best", "range", "micro")


@dataclass(frozen=True, slots=True)
class Pooled:
    """One number over seeds.

    Attributes:
        mean: Mean over the seeds that have the number; ``None`` if none has.
        sd: Standard deviation over seeds (n - 1); ``None`` for fewer than two.
        values: The number of each seed, in the order given.
    """

    mean: float | None
    sd: float | None
    values: tuple[float | None, ...]

    @property
    def n(self) -> int:
        """How many seeds have the number."""
        return sum(value is not None for value in self.values)


@dataclass(frozen=True, slots=True)
class PooledMetric:
    """One metric over seeds.

    Attributes:
        over_languages: ``mean sd worst worst15 best range micro``; ``worst`` pools each seed's own worst language.
        by_language: Each language.
        worst_languages: The worst language of each seed.
    """

    over_languages: dict[str, Pooled]
    by_language: dict[str, Pooled]
    worst_languages: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class PooledScores:
    """Scores over seeds.

    Attributes:
        n_seeds: How many.
        metrics: By key of ``scores.json``: ``cer wer lid_accuracy``.
    """

    n_seeds: int
    metrics: dict[str, PooledMetric]

    def to_json(self) -> dict[str, Any]:
        """Return everything as values that JSON has."""
        return asdict(self)


def pool_seeds(scores: Sequence[Mapping[str, Any]]) -> PooledScores:
    """Take the mean and the standard deviation over seeds of everything that compares languages.

    Args:
        scores: What ``scores.json`` holds, one per seed, of the same test set.

    Returns:
        Pooled numbers; one that older scores lack is ``None``.

    Raises:
        UserError: If there are no scores, or they are not of the same utterances as far as their counts tell.
    """
    if not scores:
        raise UserError("no scores to pool; at least one seed must be scored (stage 6)")
    if problems := list(_differing_sets(scores)):
        raise UserError(f"scores of different test sets cannot be pooled: {'; '.join(problems)}")
    metrics = {}
    for key in POOLED_METRICS:
        of_metric = [seed.get(key) or {} for seed in scores]
        languages = sorted(set().union(*(seed.get("by_language") or {} for seed in of_metric)))
        metrics[key] = PooledMetric(
            {name: pool([seed.get(name) for seed in of_metric]) for name in POOLED_SUMMARIES},
            {name: pool([(seed.get("by_language") or {}).get(name) for seed in of_metric]) for name in languages},
            tuple(seed.get("worst_language") for seed in of_metric),
        )
    return PooledScores(len(scores), metrics)


def pool(values: Sequence[float | None]) -> Pooled:
    """Pool one number; seeds without it take no part."""
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    return Pooled(mean, statistics.stdev(known) if len(known) > 1 else None, tuple(values))


def _differing_sets(scores: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say in what the test sets differ, as far as the counts tell."""
    sizes = [_sizes(seed) for seed in scores]
    for number, other in enumerate(sizes[1:], start=2):
        if differing := [name for name in sizes[0].keys() | other if sizes[0].get(name) != other.get(name)]:
            yield f"seed {number} has other utterances than seed 1 in {named(differing)}"


def _sizes(scores: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the number of utterances and of reference characters of each language."""
    counts = (scores.get("counts") or {}).get("by_language") or {}
    return {
        name: (held.get("n_utterances"), (held.get("cer") or {}).get("reference_length"))
        for name, held in counts.items()
    }
