"""Bootstrap intervals of all numbers of ``scores.json``; what they mean and what not is in docs/statistics.md."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_dro.errors import UserError, first_of
from asr_dro.scoring.corpus_rates import GAP, MEANS, SINGLE, CorpusRates, layout_over_corpora, nested, pairs_with_rate
from asr_dro.scoring.measures import OVER_LANGUAGES, Measure, intervals_of_measure
from asr_dro.scoring.outcomes import METRICS, Outcomes, outcomes_of
from asr_dro.scoring.profile_intervals import Draws, intervals_of_profile, with_profiles
from asr_dro.scoring.resampled_rates import grouped_sums, percentiles, rates_of
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

if TYPE_CHECKING:
    from asr_dro.scoring.profile_rules import ProfileRule
    from asr_dro.scoring.scores import ScoredUtterance

logger = logging.getLogger(__name__)

Interval = list[float]

FEWEST_RESAMPLES = 100
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
    profiles: Mapping[str, ProfileRule] = MappingProxyType({}),
) -> dict[str, Any]:
    """Compute what ``scores.json`` holds under ``intervals``.

    Args:
        utterances: The scored utterances in any order; the result does not depend on it.
        task: ``DataConfig.task``; without language tags (``asr``) there is no accuracy of languages.
        corpus: The corpus of utterances that do not know theirs.
        settings: How; the default are 10,000 resamples at 95 %.
        profiles: Metric profiles of the same utterances in the same order, whose numbers get intervals too.

    Returns:
        What :func:`bootstrap_intervals` returns.
    """
    outcomes = outcomes_of(utterances, corpus)
    return bootstrap_intervals(
        outcomes, tagged=task != "asr", settings=settings or BootstrapSettings(), profiles=profiles
    )


def bootstrap_intervals(
    outcomes: Outcomes,
    *,
    tagged: bool,
    settings: BootstrapSettings,
    profiles: Mapping[str, ProfileRule] = MappingProxyType({}),
) -> dict[str, Any]:
    """Compute intervals of one system's rates.

    Args:
        outcomes: What the system did with each utterance.
        tagged: Whether hypotheses name languages; if not, accuracies have no intervals.
        settings: How.
        profiles: As above. What they are changes no interval of other numbers.

    Returns:
        JSON-ready: ``level resamples seed unit``; for each of ``cer wer lid_accuracy`` pairs ``[low, high]`` of ``mean
        sd worst best range worst15 micro``, ``by_language`` and ``by_corpus``, and, about the worst, ``worst_share``
        (in which share of the resamples a language is the worst) and ``worst_bias`` (mean of the resampled worst minus
        the worst); ``macro_corpus`` with the numbers over means over corpora, ``largest_gap`` and
        ``by_language_and_corpus``; ``groups`` with what the metrics have, where groups are not the languages;
        ``profiles`` with pairs in the places of the profiles' numbers. ``None`` where there is no rate or one unit.
    """
    of_profiles = {name: rule for name, rule in profiles.items() if rule.metric is None}
    values, columns_of = with_profiles(outcomes.counts, of_profiles)
    first = values.shape[1] - outcomes.counts.shape[1]
    strata = make_strata(outcomes, values, settings.unit)
    resampler = Resampler(settings.resamples, settings.seed)
    draws = Draws(resampler, strata, (column for columns in columns_of.values() for column in columns))
    result: dict[str, Any] = {"level": settings.level, "resamples": settings.resamples, "seed": settings.seed}
    result["unit"] = strata.describe(settings.unit)
    for number, metric in enumerate(METRICS):
        columns = [first + 2 * number, first + 2 * number + 1]
        observed = [draws.totals[:, column] for column in columns]
        if not tagged and metric == "lid":
            observed = [np.zeros_like(column) for column in observed]
        sums = draws.of(columns) if observed[1].any() else observed
        result[KEYS[metric]] = _about_metric(
            strata, sums, observed, lowest_is_worst=metric == "lid", level=settings.level
        )
        result[KEYS[metric]]["by_corpus"] = _by_corpus(strata, sums, settings.level)
        if metric != "lid":
            result.setdefault("macro_corpus", {})[metric] = _over_corpora(strata, sums, observed, settings.level)
        if metric != "lid" and any(key[GROUP] != key[LANGUAGE] for key in strata.keys):
            found = _about_metric(strata, sums, observed, lowest_is_worst=False, level=settings.level, place=GROUP)
            result.setdefault("groups", {})[metric] = found
    result["profiles"] = {
        name: intervals_of_profile(rule, draws, columns_of[name], settings.level)
        if rule.metric is None
        else rule.layout(
            {rule.metric: {key: result[KEYS[rule.metric]][key] for key in (*OVER_LANGUAGES, "micro", "by_language")}}
        )
        for name, rule in profiles.items()
    }
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
            first_of(sorted(few)),
        )


def _about_metric(
    strata: Strata,
    sums: Sequence[Floats],
    observed: Sequence[Floats],
    *,
    lowest_is_worst: bool,
    level: float,
    place: int = LANGUAGE,
) -> dict[str, Any]:
    """Return the intervals of one metric; ``sums`` are two of ``(S, B)``, ``observed`` of ``(S, 1)``."""
    names = strata.names(place)
    drawn, at_first = (
        Measure(
            names,
            rates_of(*(grouped_sums(strata, column, names, place) for column in held)),
            strata.freedom(names, place),
            pooled=rates_of(*(column.sum(axis=0) for column in held)),
            lowest_is_worst=lowest_is_worst,
        )
        for held in (sums, observed)
    )
    found = intervals_of_measure(drawn, at_first, level)
    about_worst: dict[str, Any] = {"worst_share": {}, "worst_bias": None}
    if found["mean"] is not None:
        about_worst = _about_the_worst(drawn, at_first)
    by = found.pop("by_language")
    return {**found, **about_worst, "by_group" if place == GROUP else "by_language": by}


def _by_corpus(strata: Strata, sums: Sequence[Floats], level: float) -> dict[str, Interval | None]:
    """Return the interval of each corpus."""
    names = strata.names(CORPUS)
    rates = rates_of(*(grouped_sums(strata, column, names, CORPUS) for column in sums))
    return dict(zip(names, percentiles(rates, level, strata.freedom(names, CORPUS)), strict=True))


def _over_corpora(strata: Strata, sums: Sequence[Floats], observed: Sequence[Floats], level: float) -> dict[str, Any]:
    """Return the intervals of the languages' means over their corpora, and of each corpus of each language."""
    labels = [(key[LANGUAGE], key[CORPUS]) for key in strata.keys]
    known, freedom = pairs_with_rate(labels, observed[1]), strata.freedom_of_strata()
    drawn, at_first = (
        CorpusRates.from_sums(labels, held, freedom, known).measures(pooled=np.full(held[0].shape[1], np.nan))
        for held in (sums, observed)
    )
    found = {name: intervals_of_measure(drawn[name], at_first[name], level) for name in drawn}
    every = sorted(set(labels))
    of_known = dict(zip(known, found[SINGLE]["by_language"].values(), strict=True))
    by_language = found[MEANS]["by_language"]
    found[MEANS]["by_language"] = {name: by_language.get(name) for name, _ in every}
    return layout_over_corpora(found[MEANS], found[GAP], nested(every, map(of_known.get, every)))


def _about_the_worst(drawn: Measure, at_first: Measure) -> dict[str, Any]:
    """Say how sure it is which language is the worst, and how much too high the worst rate is for being the worst."""
    sign = -1.0 if drawn.lowest_is_worst else 1.0
    rates = sign * drawn.rates
    np.copyto(rates, -np.inf, where=np.isnan(rates))
    worst = rates.max(axis=0)
    bias = worst[np.isfinite(worst)].mean() - np.nanmax(sign * at_first.rates)
    return {"worst_share": _shares_of_worst(rates, drawn.names), "worst_bias": float(sign * bias)}


def _shares_of_worst(rates: Floats, languages: Sequence[str]) -> dict[str, float]:
    """Return in which share of the resamples a language has the highest rate, largest first, without small ones."""
    times = np.bincount(rates.argmax(axis=0), minlength=len(languages))
    shares = {name: float(number / rates.shape[1]) for name, number in zip(languages, times, strict=True)}
    return {
        name: share
        for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        if share >= _LEAST_SHARE
    }
