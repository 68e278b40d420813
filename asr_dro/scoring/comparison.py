"""Two systems on the same utterances: differences with paired intervals, p-values, Holm's correction over languages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_dro.errors import UserError, first_of
from asr_dro.scoring.bootstrap import BootstrapSettings
from asr_dro.scoring.outcomes import METRICS, Ints, Outcomes, outcomes_of, read_outcomes
from asr_dro.scoring.resampled_rates import SUMMARIES, freedom_of_mean, percentiles, rates_of_systems, widened_p
from asr_dro.scoring.resampling import LANGUAGE, Floats, Resampler, Strata, make_strata

if TYPE_CHECKING:
    from asr_dro.scoring.scores import ScoredUtterance

SIGNIFICANCE = 0.05

System = Path | Sequence["ScoredUtterance"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One number of two systems.

    Attributes:
        a: The number of system A: a fraction, ``None`` if there is none.
        b: The number of system B.
        difference: B minus A; below zero, B makes fewer errors (or, for ``lid``, is less often right).
        interval: ``(low, high)`` of the difference; ``None`` if nothing can be said, as of a single utterance.
        p: Two-sided bootstrap p-value of no difference.
        p_holm: ``p`` corrected for the number of languages; ``None`` for numbers over languages.
        is_significant: Whether ``p_holm`` (numbers over languages: ``p``) is below 5 %.
    """

    a: float | None
    b: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_holm: float | None = None
    is_significant: bool = False


@dataclass(frozen=True, slots=True)
class SystemsComparison:
    """System B against system A.

    Attributes:
        metric: ``cer``, ``wer`` or ``lid``.
        settings: How intervals were made.
        n_utterances: Utterances that both systems decoded.
        units: Sampling units and their numbers, as in ``scores.json``.
        over_languages: ``mean sd worst worst15 micro``; ``worst`` compares the worst language of each, whichever it is.
        by_language: One difference per language, sorted by name.
        worst_language_a: A's worst language, ``None`` if there is no rate.
        worst_language_b: B's worst language.
    """

    metric: str
    settings: BootstrapSettings
    n_utterances: int
    units: dict[str, Any]
    over_languages: dict[str, Difference]
    by_language: dict[str, Difference]
    worst_language_a: str | None
    worst_language_b: str | None

    def to_json(self) -> dict[str, Any]:
        """Return everything as values that JSON has."""
        return asdict(self)


def compare_systems(
    a: System,
    b: System,
    *,
    metric: str = "cer",
    resamples: int = 10_000,
    seed: int = 0,
    unit: str = "auto",
    level: float = 0.95,
) -> SystemsComparison:
    """Compare two systems on the same utterances; each resample holds the same utterances for both.

    Args:
        a: ``utterances.tsv`` of a scored split, its folder, or scored utterances.
        b: The same of the other system.
        metric: ``cer``, ``wer`` or ``lid``.
        resamples: Number of resamples.
        seed: Seed of the draws.
        unit: ``auto``, ``utterance`` or ``speaker``.
        level: Share of the resamples inside an interval.

    Returns:
        Differences B - A of every language and of the numbers over languages.

    Raises:
        UserError: If the systems did not decode the same utterances with the same references, or a setting is wrong.
    """
    settings = BootstrapSettings(resamples=resamples, seed=seed, unit=unit, level=level)
    check_metric(metric)
    outcomes_a, outcomes_b = outcomes_of_system(a), outcomes_of_system(b)
    columns = paired_counts([outcomes_a, outcomes_b], metric, [name_of_system(a, "A"), name_of_system(b, "B")])
    strata = make_strata(outcomes_a, columns, unit)
    return SystemsComparison(
        metric=metric,
        settings=settings,
        n_utterances=len(outcomes_a.utt_ids),
        units=strata.describe(unit),
        **_differences(strata, Resampler(resamples, seed).sums(strata), metric=metric, level=level),
    )


def check_metric(metric: str) -> None:
    """Refuse a metric that is none.

    Raises:
        UserError: Naming the allowed ones.
    """
    if metric not in METRICS:
        raise UserError(f"metric {metric!r}; allowed: {', '.join(METRICS)}")


def outcomes_of_system(system: System) -> Outcomes:
    """Read or take the outcomes of one system."""
    return read_outcomes(system) if isinstance(system, Path) else outcomes_of(system)


def name_of_system(system: System, name: str) -> str:
    """Return what messages call a system: its path, or the given name where it has none."""
    return str(system) if isinstance(system, Path) else f"system {name}"


def paired_counts(systems: Sequence[Outcomes], metric: str, names: Sequence[str]) -> Ints:
    """Bring the counts of systems into the order of the first one's utterances.

    Args:
        systems: Outcomes on the same utterances, in any order.
        metric: One of ``METRICS``.
        names: How messages call the systems.

    Returns:
        ``(N, systems + 1)``: the numerator of each system, and the common denominator.

    Raises:
        UserError: If utterances, references or languages differ, there are none, or ``lid`` is asked for without tags.
    """
    first, problems = systems[0], []
    if not first.utt_ids:
        problems.append(f"{names[0]}: no utterances")
    if metric == "lid":
        problems += [
            f"{name}: no hypothesis names a language"
            for system, name in zip(systems, names, strict=True)
            if not system.is_tagged and system.utt_ids
        ]
    for system, name in zip(systems[1:], names[1:], strict=True):
        problems += _mismatches(first, system, (names[0], name))
    if problems:
        raise UserError("; ".join(problems))
    columns = []
    for system in systems:
        place = {utt: number for number, utt in enumerate(system.utt_ids)}
        columns.append(system.of_metric(metric)[[place[utt] for utt in first.utt_ids], 0])
    return np.stack([*columns, first.of_metric(metric)[:, 1]], axis=1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for their number, step by step from the smallest (Holm 1979).

    Args:
        p_values: By name.

    Returns:
        Corrected p-values: with those below 5 % called significant, the chance of any false one is at most 5 %.
    """
    corrected, highest = {}, 0.0
    for step, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[name]))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}


def two_sided_p(differences: Floats, n_differing: int, freedom: float = math.inf) -> float:
    """Return the p-value of no difference that belongs to the percentile interval.

    Args:
        differences: The resampled differences, ``(B,)``; ``nan`` is left out.
        n_differing: Sampling units in which the systems differ at all. Five that all speak for B could do so by chance
            once in 16 times, both signs counted; no resampling makes that less, so p is not below ``2 ** (1 - n)``.
        freedom: Degrees of freedom, as in :func:`~asr_dro.scoring.resampled_rates.percentiles`.

    Returns:
        Above 0, at most 1.
    """
    known = differences[~np.isnan(differences)]
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (len(known) + 1))
    return min(1.0, max(widened_p(p, freedom), 2.0 ** (1 - n_differing)))


def _differences(strata: Strata, sums: Floats, *, metric: str, level: float) -> dict[str, Any]:
    """Compare two systems; ``sums`` are ``(S, 3, B)``: numerators of A and B, denominator."""
    rated, lowest_is_worst = strata.with_total(-1), metric == "lid"
    by_language = {name: Difference(None, None, None, None, None) for name in strata.names()}
    over = {name: Difference(None, None, None, None, None) for name in SUMMARIES}
    worst: list[str | None] = [None, None]
    if rated:
        a, b = rates_of_systems(strata, strata.totals(), rated, lowest_is_worst=lowest_is_worst)
        drawn_a, drawn_b = rates_of_systems(strata, sums, rated, lowest_is_worst=lowest_is_worst)
        drawn, freedom, n_differing = (
            drawn_b.by_language - drawn_a.by_language,
            strata.freedom(rated),
            _differing(strata),
        )
        for place, name in enumerate(rated):
            pair = a.by_language[place, 0], b.by_language[place, 0]
            by_language[name] = _difference(pair, drawn[place], n_differing[name], freedom[place], level)
        of_mean, n_all = freedom_of_mean(drawn, freedom) if any(freedom) else 0.0, sum(n_differing.values())
        for name in a.over:
            pair = a.over[name][0], b.over[name][0]
            over[name] = _difference(pair, drawn_b.over[name] - drawn_a.over[name], n_all, of_mean, level)
        find_worst = np.argmin if lowest_is_worst else np.argmax
        worst = [rated[int(find_worst(system.by_language))] for system in (a, b)]
    return {
        "over_languages": over,
        "by_language": _with_holm(by_language),
        "worst_language_a": worst[0],
        "worst_language_b": worst[1],
    }


def _difference(
    pair: tuple[float, float], resampled: Floats, n_differing: int, freedom: float, level: float
) -> Difference:
    """Put one comparison together; without a degree of freedom nothing can be said of chance."""
    a, b = float(pair[0]), float(pair[1])
    bounds = percentiles(resampled[None], level, [freedom])[0]
    if bounds is None:
        return Difference(a, b, b - a, None, None)
    p = two_sided_p(resampled, n_differing, freedom)
    return Difference(a, b, b - a, (bounds[0], bounds[1]), p, is_significant=p < SIGNIFICANCE)


def _with_holm(by_language: Mapping[str, Difference]) -> dict[str, Difference]:
    """Correct the p-values of languages for their number; those without one are not counted."""
    corrected = holm({name: found.p for name, found in by_language.items() if found.p is not None})
    return {
        name: replace(found, p_holm=corrected[name], is_significant=corrected[name] < SIGNIFICANCE)
        if name in corrected
        else found
        for name, found in by_language.items()
    }


def _differing(strata: Strata) -> dict[str, int]:
    """Count the units of each language in which two systems do not make the same number of errors."""
    counts = dict.fromkeys(strata.names(), 0)
    for key, values in zip(strata.keys, strata.values, strict=True):
        counts[key[LANGUAGE]] += int((values[:, 0] != values[:, 1]).sum())
    return counts


def _mismatches(a: Outcomes, b: Outcomes, names: tuple[str, str]) -> list[str]:
    """Say in what two systems' utterances differ."""
    of_a = dict(zip(a.utt_ids, zip(a.references, a.languages, a.speakers, strict=True), strict=True))
    of_b = dict(zip(b.utt_ids, zip(b.references, b.languages, b.speakers, strict=True), strict=True))
    problems = [
        f"{len(missing)} utterances are in {there} and not in {here}: {first_of(sorted(missing))}"
        for missing, here, there in (
            (of_a.keys() - of_b.keys(), names[1], names[0]),
            (of_b.keys() - of_a.keys(), names[0], names[1]),
        )
        if missing
    ]
    for place, what in enumerate(("references", "languages", "speakers")):
        if differing := [utt for utt in of_a.keys() & of_b.keys() if of_a[utt][place] != of_b[utt][place]]:
            some = first_of(sorted(differing))
            problems.append(f"{len(differing)} utterances have other {what} in {names[0]} than in {names[1]}: {some}")
    return problems
