"""From resampled sums to rates, to numbers over languages, to percentiles."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asr_dro.scoring.resampling import LANGUAGE, Floats, Strata

N_WORST = 15  # languages in the mean of the worst, as in the ML-SUPERB 2.0 challenge
SUMMARIES = ("mean", "sd", "worst", "worst15", "micro")  # what is compared of two systems


def grouped_sums(strata: Strata, sums: Floats, names: Sequence[str], place: int = LANGUAGE) -> Floats:
    """Add up the strata of each language, corpus or group.

    Args:
        strata: S strata.
        sums: ``(S, ...)``.
        names: Languages, corpora or groups, G of them.
        place: ``LANGUAGE``, ``CORPUS`` or ``GROUP``.

    Returns:
        ``(G, ...)``.
    """
    return sums_by([key[place] for key in strata.keys], sums, names)


def sums_by(labels: Sequence[Hashable], sums: Floats, names: Sequence[Hashable]) -> Floats:
    """Add up what bears the same label.

    Args:
        labels: One for each of S sums.
        sums: ``(S, ...)``.
        names: G labels; what bears another one is left out.

    Returns:
        ``(G, ...)``.
    """
    index = {name: number for number, name in enumerate(names)}
    found = np.zeros((len(names), *sums.shape[1:]))
    for label, held in zip(labels, sums, strict=True):
        if label in index:
            found[index[label]] += held
    return found


def rates_of(numerators: Floats, denominators: Floats) -> Floats:
    """Divide; ``nan`` where the denominator is 0."""
    has_rate = denominators > 0
    if has_rate.all():
        found: Floats = numerators / denominators
        return found
    rates = np.full(numerators.shape, np.nan)
    np.divide(numerators, denominators, out=rates, where=has_rate)
    return rates


def over_languages(rates: Floats, *, lowest_is_worst: bool = False) -> dict[str, Floats]:
    """Compute the numbers over languages, each language counting once.

    Args:
        rates: ``(G, B)``, G at least 1. Where a resample has no rate for a language (``nan``), it takes no part there.
        lowest_is_worst: Whether the worst language is that of the lowest rate, as for accuracies.

    Returns:
        ``mean sd worst worst15``, ``(B,)`` each; ``sd`` (n - 1) is missing for a single language.
    """
    sign = 1.0 if lowest_is_worst else -1.0
    number = min(N_WORST, len(rates))
    worst_first = np.partition(np.ascontiguousarray(sign * rates.T), number - 1, axis=1)[:, :number]  # nan comes last
    has_gaps = bool(np.isnan(rates).any())
    mean, std = (np.nanmean, np.nanstd) if has_gaps else (np.mean, np.std)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample without any rate is nan, and left out later
        found = {
            "mean": mean(rates, axis=0),
            "worst": sign * (np.nanmin if has_gaps else np.min)(worst_first, axis=1),
            "worst15": sign * mean(worst_first, axis=1),
        }
        if len(rates) > 1:
            found["sd"] = std(rates, axis=0, ddof=1)
    return found


@dataclass(frozen=True)
class SystemRates:
    """Rates of one of several systems on the same utterances.

    Attributes:
        by_language: ``(G, B)``.
        over: ``mean sd worst worst15 micro``, ``(B,)`` each; ``sd`` is missing for a single language.
    """

    by_language: Floats
    over: dict[str, Floats]


def rates_of_systems(
    strata: Strata, sums: Floats, languages: Sequence[str], *, lowest_is_worst: bool
) -> list[SystemRates]:
    """Compute the rates of M systems that share a denominator.

    Args:
        strata: S strata.
        sums: ``(S, M + 1, B)``: the numerators, the denominator.
        languages: Those that have a rate, at least one.
        lowest_is_worst: As in :func:`over_languages`.

    Returns:
        One entry per system.
    """
    by_language, total = grouped_sums(strata, sums, languages), sums.sum(axis=0)
    systems = []
    for system in range(sums.shape[1] - 1):
        rates = rates_of(by_language[:, system], by_language[:, -1])
        over = over_languages(rates, lowest_is_worst=lowest_is_worst)
        systems.append(SystemRates(rates, {**over, "micro": rates_of(total[system], total[-1])}))
    return systems


def percentiles(values: Floats, level: float, freedom: Sequence[float] | None = None) -> list[list[float] | None]:
    """Cut off equal parts of the resamples at both ends.

    Of few units the spread itself is uncertain, which Student's t allows for and percentiles do not. Expanded
    percentiles (Hesterberg 2015, "What teachers should know about the bootstrap") cut off as much less as t is wider
    than the normal distribution: 0.3 % in place of 2.5 % at each end for 5 units, 2.4 % for 100.

    Args:
        values: ``(N, B)``; ``nan`` is left out.
        level: Share that stays inside.
        freedom: Degrees of freedom of each row, units minus strata; ``None`` or infinity for plain percentiles.

    Returns:
        N pairs ``[low, high]``; ``None`` where all values are ``nan`` or there is no degree of freedom.
    """
    bounds: list[list[float] | None] = []
    for row, degrees in zip(values, [math.inf] * len(values) if freedom is None else freedom, strict=True):
        known = row[~np.isnan(row)]
        if not known.size or degrees < 1:
            bounds.append(None)
            continue
        tail = expanded_tail((1 - level) / 2, degrees)
        bounds.append([float(bound) for bound in np.quantile(known, [tail, 1 - tail])])
    return bounds


def expanded_tail(tail: float, freedom: float) -> float:
    """Return the share of a normal distribution beyond the point that cuts off ``tail`` of Student's t.

    Args:
        tail: Share beyond one end.
        freedom: Degrees of freedom, at least 1.
    """
    from scipy import special  # 0.3 s to import: only where something is resampled

    return float(special.ndtr(special.stdtrit(freedom, tail)))


def widened_p(p: float, freedom: float) -> float:
    """Return the two-sided p-value under Student's t of what has the p-value ``p`` under the normal distribution."""
    from scipy import special

    return float(2 * special.stdtr(freedom, special.ndtri(p / 2)))


def variances(rates: Floats) -> Floats:
    """Return the variance of each row over the resamples that have a rate; 0 where none has."""
    found: Floats
    if np.isnan(rates).any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = np.nan_to_num(np.nanvar(rates, axis=1))
    else:
        found = rates.var(axis=1)
    return found


def freedom_of_mean(rates: Floats, freedom: Sequence[float]) -> float:
    """Return the degrees of freedom of a mean over languages (Satterthwaite 1946).

    Args:
        rates: Resampled rates, ``(G, B)``.
        freedom: Degrees of freedom of each language.
    """
    return freedom_of_sum(variances(rates), freedom)


def freedom_of_sum(variances: Iterable[float], freedom: Iterable[float]) -> float:
    """Return the degrees of freedom of a sum of independent numbers (Satterthwaite 1946).

    Args:
        variances: Of each number.
        freedom: Degrees of freedom of each; of less than one that varies all the same, one.
    """
    known = [(v, max(f, 1.0)) for v, f in zip(variances, freedom, strict=True) if v > 0]
    uncertain = sum(v**2 / f for v, f in known)
    return float(sum(v for v, _ in known) ** 2 / uncertain) if uncertain > 0 else math.inf
