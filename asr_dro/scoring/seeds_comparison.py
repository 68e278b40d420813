"""Two systems with several seeds each: differences that hold for new seeds and new utterances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from asr_dro.errors import UserError
from asr_dro.scoring.bootstrap import BootstrapSettings
from asr_dro.scoring.comparison import (
    SIGNIFICANCE,
    System,
    check_metric,
    holm,
    name_of_system,
    outcomes_of_system,
    paired_counts,
)
from asr_dro.scoring.resampled_rates import SUMMARIES, rates_of_systems
from asr_dro.scoring.resampling import Floats, Resampler, Strata, make_strata


@dataclass(frozen=True, slots=True)
class SeedsDifference:
    """One number of two groups of seeds.

    Attributes:
        a: Mean over the seeds of A, ``None`` if there is no rate.
        b: Mean over the seeds of B.
        sd_a: Standard deviation over the seeds of A.
        sd_b: Standard deviation over the seeds of B.
        difference: B minus A.
        interval: ``(low, high)`` of the difference, for new seeds and new utterances.
        p: Two-sided p-value of no difference.
        p_holm: ``p`` corrected for the number of languages; ``None`` for numbers over languages.
        is_significant: Whether ``p_holm`` (numbers over languages: ``p``) is below 5 %.
    """

    a: float | None = None
    b: float | None = None
    sd_a: float | None = None
    sd_b: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    is_significant: bool = False


@dataclass(frozen=True, slots=True)
class SeedsComparison:
    """Seeds of system B against seeds of system A.

    Attributes:
        metric: ``cer``, ``wer`` or ``lid``.
        settings: How utterances were resampled.
        n_seeds: Number of seeds of A and of B.
        n_utterances: Utterances that all decoded.
        units: Sampling units and their numbers, as in ``scores.json``.
        over_languages: ``mean sd worst worst15 micro``.
        by_language: One difference per language, sorted by name.
    """

    metric: str
    settings: BootstrapSettings
    n_seeds: tuple[int, int]
    n_utterances: int
    units: dict[str, Any]
    over_languages: dict[str, SeedsDifference]
    by_language: dict[str, SeedsDifference]

    def to_json(self) -> dict[str, Any]:
        """Return everything as values that JSON has."""
        return asdict(self)


def compare_seeds(
    a: Sequence[System],
    b: Sequence[System],
    *,
    metric: str = "cer",
    settings: BootstrapSettings | None = None,
) -> SeedsComparison:
    """Compare two systems, each trained with several seeds.

    The interval has two parts: how much the difference of the means varies over utterances (bootstrap, the same
    resampled utterances for all seeds of both systems), and how much over seeds (Welch's t). Resampling three seeds
    would give intervals that are far too narrow: three values say little about their own spread, and t knows that.

    Args:
        a: The seeds of system A, as in :func:`~asr_dro.scoring.comparison.compare_systems`; at least two.
        b: The seeds of system B; at least two.
        metric: ``cer``, ``wer`` or ``lid``.
        settings: How utterances are resampled; the default are 10,000 resamples at 95 %.

    Returns:
        Differences B - A of every language and of the numbers over languages.

    Raises:
        UserError: If there are too few seeds, or they did not decode the same utterances with the same references.
    """
    settings = settings or BootstrapSettings()
    check_metric(metric)
    if min(len(a), len(b)) < 2:
        raise UserError(
            f"{len(a)} and {len(b)} seeds: the spread over seeds needs two of each system at least; "
            "single trainings are compared with compare_systems"
        )
    systems = [outcomes_of_system(system) for system in (*a, *b)]
    names = [name_of_system(system, f"A seed {n}") for n, system in enumerate(a, start=1)]
    names += [name_of_system(system, f"B seed {n}") for n, system in enumerate(b, start=1)]
    strata = make_strata(systems[0], paired_counts(systems, metric, names), settings.unit)
    sums = Resampler(settings.resamples, settings.seed).sums(strata)
    over, by_language = _differences(strata, sums, len(a), lowest_is_worst=metric == "lid", level=settings.level)
    return SeedsComparison(
        metric=metric,
        settings=settings,
        n_seeds=(len(a), len(b)),
        n_utterances=len(systems[0].utt_ids),
        units=strata.describe(settings.unit),
        over_languages=over,
        by_language=by_language,
    )


def _differences(
    strata: Strata, sums: Floats, n_a: int, *, lowest_is_worst: bool, level: float
) -> tuple[dict[str, SeedsDifference], dict[str, SeedsDifference]]:
    """Compare the first ``n_a`` systems with the others: numbers over languages, languages."""
    over = dict.fromkeys(SUMMARIES, SeedsDifference())
    by_language = dict.fromkeys(strata.names(), SeedsDifference())
    rated, varying = strata.with_total(-1), strata.varying()
    if not rated:
        return over, by_language
    observed = rates_of_systems(strata, strata.totals(), rated, lowest_is_worst=lowest_is_worst)
    drawn = rates_of_systems(strata, sums, rated, lowest_is_worst=lowest_is_worst)
    for name in observed[0].over:
        at_first, resampled = (np.stack([system.over[name] for system in systems]) for systems in (observed, drawn))
        over[name] = _difference(at_first, resampled if varying.intersection(rated) else None, n_a, level)
    for place, name in enumerate(rated):
        at_first, resampled = (
            np.stack([system.by_language[place] for system in systems]) for systems in (observed, drawn)
        )
        by_language[name] = _difference(at_first, resampled if name in varying else None, n_a, level)
    corrected = holm({name: found.p for name, found in by_language.items() if found.p is not None})
    for name, p in corrected.items():
        by_language[name] = replace(by_language[name], p_holm=p, is_significant=p < SIGNIFICANCE)
    return over, by_language


def _difference(observed: Floats, drawn: Floats | None, n_a: int, level: float) -> SeedsDifference:
    """Compare one number; ``observed`` is ``(seeds, 1)``, ``drawn`` ``(seeds, B)`` or ``None`` where nothing varies."""
    a, b = observed[:n_a, 0], observed[n_a:, 0]
    interval, p = None, None
    if drawn is not None:
        of_utterances = float(np.nanvar(drawn[n_a:].mean(axis=0) - drawn[:n_a].mean(axis=0), ddof=1))
        interval, p = welch(a, b, of_utterances, level)
    return SeedsDifference(
        a=float(a.mean()),
        b=float(b.mean()),
        sd_a=float(a.std(ddof=1)),
        sd_b=float(b.std(ddof=1)),
        difference=float(b.mean() - a.mean()),
        interval=interval,
        p=p,
        is_significant=p is not None and p < SIGNIFICANCE,
    )


def welch(a: Floats, b: Floats, variance: float, level: float) -> tuple[tuple[float, float], float | None]:
    """Return interval and p-value of ``mean(b) - mean(a)``, with a known variance added (Welch 1947).

    Args:
        a: Values of the first group, at least two.
        b: Values of the second group, at least two.
        variance: Further variance of the difference, taken as known.
        level: Of the interval.

    Returns:
        ``(low, high)`` and the two-sided p-value, ``None`` if the groups differ and nothing varies.
    """
    from scipy import special  # takes time to import, which few calls of collect need

    parts = [group.var(ddof=1) / len(group) for group in (a, b)]
    total = sum(parts) + variance
    difference = float(b.mean() - a.mean())
    if total == 0:
        return (difference, difference), 1.0 if difference == 0 else None
    uncertain = sum(part**2 / (len(group) - 1) for part, group in zip(parts, (a, b), strict=True))
    freedom = float(total**2 / uncertain) if uncertain else math.inf
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(total)
    p = 2 * float(special.stdtr(freedom, -abs(difference) / math.sqrt(total)))
    return (difference - half, difference + half), p
