"""Intervals of the numbers over languages: some of them need more than percentiles of resamples.

The mean is as often too high as too low. The standard deviation, the mean of the worst 15 and the worst are not: noise
spreads languages out, so all three come out too high, and resampling adds the same noise a second time. Percentiles of
resamples then miss the true value far more often than they should; how often is in docs/statistics.md. Therefore:

- **mean**: percentiles;
- **sd**: percentiles of the resampled variances, shifted down by twice their bias: once for the noise in the scores,
  once for that of the resampling. The bias is the mean of the resampled variances minus the variance of the scores;
- **worst15**: percentiles, shifted by twice their bias in the same way, where there are more than 15 languages;
- **worst**: the highest of the upper ends of all languages, and the highest of lower ends that hold at once for all
  languages that may be the worst (in the manner of Chernozhukov, Lee and Rosen 2013, "Intersection bounds"). This holds
  the true worst rate at least as often as it says, however many languages are near it; it is wide where many are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr_dro.scoring.resampled_rates import (
    N_WORST,
    expanded_tail,
    freedom_of_mean,
    over_languages,
    percentiles,
    variances,
)
from asr_dro.scoring.resampling import Floats

Interval = list[float]

_MAY_BE_WORST = 0.99  # confidence with which a language is ruled out as the worst


def intervals_over_languages(
    drawn: Floats,
    observed: Floats,
    freedom: Sequence[float],
    *,
    ends: Sequence[Interval | None],
    lowest_is_worst: bool,
    level: float,
) -> dict[str, Interval | None]:
    """Return intervals of the numbers over languages.

    Args:
        drawn: Resampled rates, ``(G, B)``.
        observed: The rates, ``(G, 1)``.
        freedom: Degrees of freedom of each language.
        ends: Interval of each language.
        lowest_is_worst: Whether the worst language is that of the lowest rate, as for accuracies.
        level: Of the intervals.

    Returns:
        ``mean sd worst worst15``; ``sd`` is missing for one language.
    """
    resampled = over_languages(drawn, lowest_is_worst=lowest_is_worst)
    at_first = over_languages(observed, lowest_is_worst=lowest_is_worst)
    of_mean = freedom_of_mean(drawn, freedom)
    found = {"mean": _shifted(resampled["mean"], 0.0, level, of_mean)}
    if "sd" in resampled:
        squares = resampled["sd"] ** 2
        bounds = _shifted(squares, 2 * (np.nanmean(squares) - at_first["sd"][0] ** 2), level, of_mean)
        found["sd"] = [float(np.sqrt(max(0.0, bound))) for bound in bounds]
    bias = np.nanmean(resampled["worst15"]) - at_first["worst15"][0] if len(drawn) > N_WORST else 0.0
    bounds = _shifted(resampled["worst15"], 2 * bias, level, of_mean)
    most = 1.0 if lowest_is_worst else np.inf
    found["worst15"] = [float(np.clip(bound, 0.0, most)) for bound in bounds]
    found["worst"] = worst_interval(drawn, observed, freedom, ends=ends, lowest_is_worst=lowest_is_worst, level=level)
    return dict(found)


def worst_interval(
    drawn: Floats,
    observed: Floats,
    freedom: Sequence[float],
    *,
    ends: Sequence[Interval | None],
    lowest_is_worst: bool,
    level: float,
) -> Interval:
    """Return an interval that holds the true rate of the worst language, whichever it is.

    Args:
        drawn: Resampled rates, ``(G, B)``.
        observed: The rates, ``(G, 1)``.
        freedom: Degrees of freedom of each language.
        ends: Interval of each language.
        lowest_is_worst: As above.
        level: Of the interval.

    Returns:
        ``[low, high]``.
    """
    sign = -1.0 if lowest_is_worst else 1.0  # from here on the worst is the highest
    drawn, rates, errors = sign * drawn, sign * observed[:, 0], np.sqrt(variances(drawn))
    # The truly worst language is one and the same each time: its own outer end holds, and this is not inside it.
    outer = [rate if end is None else max(sign * bound for bound in end) for rate, end in zip(rates, ends, strict=True)]
    upper = max(outer)
    deviations = np.divide(drawn - rates[:, None], errors[:, None], out=np.zeros_like(drawn), where=errors[:, None] > 0)
    if np.isnan(deviations).any():
        deviations = np.nan_to_num(deviations, nan=-np.inf)
    wide = np.quantile(deviations.max(axis=0), _MAY_BE_WORST)
    candidates = rates + wide * errors >= (rates - wide * errors).max()
    of_candidates = freedom_of_mean(drawn[candidates], np.array(freedom)[candidates].tolist())
    tail = expanded_tail((1 - level) / 2, of_candidates)
    factor = np.quantile(deviations[candidates].max(axis=0), 1 - tail)
    lower = float((rates - factor * errors)[candidates].max())
    bounds = sorted((float(sign * lower), float(sign * upper)))
    return [max(0.0, bounds[0]), bounds[1]]


def _shifted(values: Floats, shift: float, level: float, freedom: float) -> Interval:
    """Return percentiles, moved down by ``shift``."""
    bounds = percentiles(values[None], level, [freedom])[0]
    assert bounds is not None, "a language with a rate has one in some resample"
    return [float(bounds[0] - shift), float(bounds[1] - shift)]
