"""Intervals of the numbers over languages: some of them need more than percentiles of resamples.

The mean is as often too high as too low. The standard deviation, the mean of the worst 15 and the worst are not: noise
spreads languages out, so all three come out too high, and resampling adds the same noise a second time. Percentiles of
resamples then miss the true value far more often than they should; how often is in docs/statistics.md. Therefore:

- **mean**: percentiles;
- **sd**: percentiles of the resampled variances, shifted down by twice their bias: once for the noise in the scores,
  once for that of the resampling. The bias is the mean of the resampled variances minus the variance of the scores;
- **worst15**: percentiles, shifted by twice their bias in the same way, where there are more than 15 languages;
- **worst, best, range**: intersection bounds (``extremes.py``): the true value is inside at least as often as they say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr_dro.scoring.extremes import Extremes
from asr_dro.scoring.resampled_rates import (
    N_WORST,
    freedom_of_sum,
    over_languages,
    percentiles,
    variances,
)
from asr_dro.scoring.resampling import Floats

Interval = list[float]


def intervals_over_languages(
    drawn: Floats,
    observed: Floats,
    freedom: Sequence[float],
    *,
    ends: Sequence[Interval | None],
    spread: Floats | None = None,
    lowest_is_worst: bool,
    level: float,
) -> dict[str, Interval | None]:
    """Return intervals of the numbers over languages.

    Args:
        drawn: Resampled rates, ``(G, B)``.
        observed: The rates, ``(G, 1)``.
        freedom: Degrees of freedom of each language.
        ends: Interval of each language.
        spread: Variance of each language over the resamples, ``(G,)``, where it is known already.
        lowest_is_worst: Whether the worst language is that of the lowest rate, as for accuracies.
        level: Of the intervals.

    Returns:
        ``mean sd worst best range worst15``; ``sd`` is missing for one language.
    """
    resampled = over_languages(drawn, lowest_is_worst=lowest_is_worst)
    at_first = over_languages(observed, lowest_is_worst=lowest_is_worst)
    spread = variances(drawn) if spread is None else spread
    of_mean = freedom_of_sum(spread, freedom)
    found = {"mean": _shifted(resampled["mean"], 0.0, level, of_mean)}
    if "sd" in resampled:
        squares = resampled["sd"] ** 2
        bounds = _shifted(squares, 2 * (np.nanmean(squares) - at_first["sd"][0] ** 2), level, of_mean)
        found["sd"] = [float(np.sqrt(max(0.0, bound))) for bound in bounds]
    bias = np.nanmean(resampled["worst15"]) - at_first["worst15"][0] if len(drawn) > N_WORST else 0.0
    bounds = _shifted(resampled["worst15"], 2 * bias, level, of_mean)
    if lowest_is_worst:  # shares of what is right: the extremes are those of what is wrong
        drawn, observed = 1 - drawn, 1 - observed
        ends = [end and [1 - end[1], 1 - end[0]] for end in ends]
    extremes = Extremes(drawn, observed, freedom, ends=ends, spread=spread, level=level)
    found["worst"], found["best"], found["range"] = extremes.highest(), extremes.lowest(), extremes.distance()
    most = 1.0 if lowest_is_worst else np.inf
    found["worst15"] = bounds
    if lowest_is_worst:
        found |= {name: [1 - bound for bound in reversed(found[name])] for name in ("worst", "best")}
    for name in ("worst15", "worst", "best", "range"):
        found[name] = [float(np.clip(bound, 0.0, most)) for bound in found[name]]
    return dict(found)


def _shifted(values: Floats, shift: float, level: float, freedom: float) -> Interval:
    """Return percentiles, moved down by ``shift``."""
    bounds = percentiles(values[None], level, [freedom])[0]
    assert bounds is not None, "a language with a rate has one in some resample"
    return [float(bounds[0] - shift), float(bounds[1] - shift)]
