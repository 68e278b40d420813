"""Bootstrap intervals of all numbers of ``scores.json``; what they mean and what not is in docs/statistics.md."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_dro.errors import UserError
from asr_dro.scoring.outcomes import METRICS, Outcomes, named, outcomes_of
from asr_dro.scoring.resampled_rates import freedom_of_mean, grouped_sums, percentiles, rates_of
from asr_dro.scoring.resampling import (
    CORPUS,
    FEW_UNITS,
    GROUP,
    LANGUAGE,
    UNITS,
    Floats,
    Resampler,
    Strata,
    make_strata,
)
from asr_dro.scoring.summary_intervals import intervals_over_languages

if TYPE_CHECKING:
    from asr_dro.scoring.scores import ScoredUtterance

logger = logging.getLogger(__name__)

Interval = list[float]

FEWEST_RESAMPLES = 100
SUMMARIES = ("mean", "sd", "worst", "worst15", "micro")
KEYS = {"cer": "cer", "wer": "wer", "lid": "lid_accuracy"}  # metric -> key of scores.json
_LEAST_SHARE = 0.01  # languages that are the worst in fewer resamples are not listed


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """How intervals are made.

    Attributes:
        resamples: Number of resamples, at least 100.
        seed: Seed of the draws; the same input and seed give the same digits.
        unit: What is drawn: ``auto``, ``utterance`` or ``speaker``.
        level: Share of the resamples inside an interval; percentiles cut off equal parts at both ends.

    Raises:
        UserError: If a value is not allowed; all problems at once.
    """

    resamples: int = 10_000
    seed: int = 0
    unit: str = "auto"
    level: float = 0.95

    def __post_init__(self) -> None:
        problems = []
        if self.resamples < FEWEST_RESAMPLES:
            problems.append(f"resamples: {self.resamples}; at least {FEWEST_RESAMPLES} (default 10000)")
        if self.seed < 0:
            problems.append(f"seed: {self.seed}; it must not be negative")
        if self.unit not in UNITS:
            problems.append(f"unit: {self.unit!r}; allowed: {', '.join(UNITS)}")
        if not 0 < self.level < 1:
            problems.append(f"level: {self.level}; it lies between 0 and 1, such as 0.95")
        if problems:
            raise UserError("; ".join(problems))


def intervals_of_scores(
    utterances: Sequence[ScoredUtterance],
    *,
    task: str = "lid+asr",
    corpus: str = "all",
    settings: BootstrapSettings | None = None,
) -> dict[str, Any]:
    """Compute what ``scores.json`` holds under ``intervals``.

    Args:
        utterances: The scored utterances in any order; the result does not depend on it.
        task: ``DataConfig.task``; without language tags (``asr``) there is no accuracy of languages.
        corpus: The corpus of utterances that do not know theirs.
        settings: How; the default are 10,000 resamples at 95 %.

    Returns:
        What :func:`bootstrap_intervals` returns.
    """
    outcomes = outcomes_of(utterances, corpus)
    return bootstrap_intervals(outcomes, tagged=task != "asr", settings=settings or BootstrapSettings())


def bootstrap_intervals(outcomes: Outcomes, *, tagged: bool, settings: BootstrapSettings) -> dict[str, Any]:
    """Compute intervals of one system's rates.

    Args:
        outcomes: What the system did with each utterance.
        tagged: Whether hypotheses name languages; if not, accuracies have no intervals.
        settings: How.

    Returns:
        JSON-ready: ``level resamples seed unit``; for each of ``cer wer lid_accuracy`` pairs ``[low, high]`` of ``mean
        sd worst worst15 micro``, ``by_language`` and ``by_corpus``, and, about the worst, ``worst_share`` (in which
        share of the resamples a language is the worst) and ``worst_bias`` (mean of the resampled worst minus the
        worst); ``groups`` with the same for groups where they are not the languages. ``None`` where there is no rate or
        only one unit.
    """
    strata = make_strata(outcomes, outcomes.counts, settings.unit)
    resampler = Resampler(settings.resamples, settings.seed)
    totals = strata.totals()
    has_groups = any(key[GROUP] != key[LANGUAGE] for key in strata.keys)
    result: dict[str, Any] = {"level": settings.level, "resamples": settings.resamples, "seed": settings.seed}
    result["unit"] = strata.describe(settings.unit)
    for number, metric in enumerate(METRICS):
        columns = slice(2 * number, 2 * number + 2)
        observed = totals[:, columns] if tagged or metric != "lid" else np.zeros_like(totals[:, columns])
        sums = resampler.sums(strata, columns) if observed[:, 1].any() else observed
        lowest_is_worst = metric == "lid"
        found = _intervals(strata, sums, observed, lowest_is_worst=lowest_is_worst, level=settings.level)
        result[KEYS[metric]] = {**found, "by_corpus": _by_name(strata, sums, CORPUS, settings.level)}
        if has_groups and metric != "lid":
            found = _intervals(strata, sums, observed, lowest_is_worst=False, level=settings.level, place=GROUP)
            result.setdefault("groups", {})[metric] = found
    return result


def warn_about_few_units(units: Mapping[str, Any], where: str) -> None:
    """Say which languages have so few sampling units that their intervals are rather too narrow.

    Args:
        units: ``Strata.describe``, also under ``intervals`` in ``scores.json``.
        where: What is scored, for the message.
    """
    if few := units["few"]:
        kinds = sorted({units["by_language"][name]["unit"] for name in few})
        logger.warning(
            "%s: fewer than %d %s in %s: intervals there are rather too narrow (docs/statistics.md)",
            where,
            FEW_UNITS,
            " or ".join(f"{kind}s" for kind in kinds),
            named(few),
        )


def _intervals(
    strata: Strata, sums: Floats, observed: Floats, *, lowest_is_worst: bool, level: float, place: int = LANGUAGE
) -> dict[str, Any]:
    """Return the intervals of one metric; ``sums`` are ``(S, 2, B)``, ``observed`` ``(S, 2, 1)``."""
    by = _by_name(strata, sums, place, level)
    of_names = grouped_sums(strata, observed, strata.names(place), place)
    rated = [name for name, length in zip(strata.names(place), of_names[:, 1, 0], strict=True) if length > 0]
    over: dict[str, Any] = dict.fromkeys(SUMMARIES)
    about_worst: dict[str, Any] = {"worst_share": {}, "worst_bias": None}
    if strata.varying(place).intersection(rated):
        drawn = rates_of(*grouped_sums(strata, sums, rated, place).transpose(1, 0, 2))
        at_first = rates_of(*grouped_sums(strata, observed, rated, place).transpose(1, 0, 2))
        freedom = strata.freedom(rated, place)
        over |= intervals_over_languages(
            drawn,
            at_first,
            freedom,
            ends=[by[name] for name in rated],
            lowest_is_worst=lowest_is_worst,
            level=level,
        )
        micro = rates_of(*sums.sum(axis=0))[None]
        over["micro"] = percentiles(micro, level, [freedom_of_mean(drawn, freedom)])[0]
        about_worst = _about_the_worst(drawn, at_first, rated, lowest_is_worst=lowest_is_worst)
    return {**over, **about_worst, "by_group" if place == GROUP else "by_language": by}


def _by_name(strata: Strata, sums: Floats, place: int, level: float) -> dict[str, Interval | None]:
    """Return the interval of each language, corpus or group."""
    names = strata.names(place)
    rates = rates_of(*grouped_sums(strata, sums, names, place).transpose(1, 0, 2))
    return dict(zip(names, percentiles(rates, level, strata.freedom(names, place)), strict=True))


def _about_the_worst(drawn: Floats, observed: Floats, names: Sequence[str], *, lowest_is_worst: bool) -> dict[str, Any]:
    """Say how sure it is which language is the worst, and how much too high the worst rate is for being the worst."""
    sign = -1.0 if lowest_is_worst else 1.0
    worst = np.where(np.isnan(drawn), -np.inf, sign * drawn).max(axis=0)
    bias = worst[np.isfinite(worst)].mean() - (sign * observed).max()
    return {"worst_share": _shares_of_worst(sign * drawn, names), "worst_bias": float(sign * bias)}


def _shares_of_worst(rates: Floats, languages: Sequence[str]) -> dict[str, float]:
    """Return in which share of the resamples a language has the highest rate, largest first, without small ones."""
    times = np.bincount(np.where(np.isnan(rates), -np.inf, rates).argmax(axis=0), minlength=len(languages))
    shares = {name: float(number / rates.shape[1]) for name, number in zip(languages, times, strict=True)}
    return {
        name: share
        for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        if share >= _LEAST_SHARE
    }
