"""From resampled sums to rates, to numbers over languages, to percentiles."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_dro.scoring.resampling import LANGUAGE, Floats, Strata

N_WORST = 15  # languages in the mean of the worst, as in the ML-SUPERB 2.0 challenge


def grouped_sums(strata: Strata, sums: Floats, names: Sequence[str], place: int = LANGUAGE) -> Floats:
    """Add up the strata of each language, corpus or group.

    Args:
        strata: S strata.
        sums: ``(S, K, B)``.
        names: Languages, corpora or groups, G of them.
        place: ``LANGUAGE``, ``CORPUS`` or ``GROUP``.

    Returns:
        ``(G, K, B)``.
    """
    index = {name: number for number, name in enumerate(names)}
    grouped = np.zeros((len(names), *sums.shape[1:]))
    for key, held in zip(strata.keys, sums, strict=True):
        if key[place] in index:
            grouped[index[key[place]]] += held
    return grouped


def rates_of(numerators: Floats, denominators: Floats) -> Floats:
    """Divide; ``nan`` where the denominator is 0."""
    rates = np.full(numerators.shape, np.nan)
    np.divide(numerators, denominators, out=rates, where=denominators > 0)
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


def percentiles(values: Floats, level: float) -> list[list[float] | None]:
    """Cut off equal parts of the resamples at both ends.

    Args:
        values: ``(N, B)``; ``nan`` is left out.
        level: Share that stays inside.

    Returns:
        N pairs ``[low, high]``; ``None`` where all values are ``nan``.
    """
    quantile = np.nanquantile if np.isnan(values).any() else np.quantile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds = quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=1) if len(values) else np.zeros((2, 0))
    return [None if np.isnan(low) else [float(low), float(high)] for low, high in bounds.T]
