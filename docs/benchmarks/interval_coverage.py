#!/usr/bin/env python3
"""How often the intervals of scores hold the true value, and how often a difference that is none is called significant.

    python3 docs/benchmarks/interval_coverage.py                         # writes docs/benchmarks/interval_coverage.json
    python3 docs/benchmarks/interval_coverage.py --simulations 200 --out /tmp/coverage.json

Test sets are drawn from a model whose true rates are known: lengths are log-normal, the rate of an utterance is drawn
from a beta distribution around its speaker's, that of a speaker around its language's, errors are binomial. Languages
and their true rates stay, utterances and speakers are new each time, as in the question that the intervals answer.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from asr_dro.errors import run_main  # noqa: E402
from asr_dro.fileio import write_json  # noqa: E402
from asr_dro.scoring.bootstrap import BootstrapSettings, bootstrap_intervals  # noqa: E402
from asr_dro.scoring.comparison import two_sided_p  # noqa: E402
from asr_dro.scoring.corpus_rates import CorpusRates  # noqa: E402
from asr_dro.scoring.measures import intervals_of_measure  # noqa: E402
from asr_dro.scoring.outcomes import Ints, Outcomes  # noqa: E402
from asr_dro.scoring.resampled_rates import over_languages, percentiles, rates_of, rates_of_systems  # noqa: E402
from asr_dro.scoring.resampling import Resampler, make_strata  # noqa: E402
from asr_dro.scoring.seeds_comparison import welch  # noqa: E402
from asr_dro.scoring.summary_intervals import intervals_over_languages  # noqa: E402
from asr_dro.training.environment import describe_environment  # noqa: E402

logger = logging.getLogger("interval_coverage")

Floats = NDArray[np.float64]

RESAMPLES = 1000  # per simulation; 10,000 move the share by less than the simulations' own error
LEVEL = 0.95


@dataclass(frozen=True)
class Design:
    """A test set to draw.

    Attributes:
        rates: True rate of each language.
        utterances: Utterances per speaker.
        speakers: Speakers per language.
        speaker_spread: Standard deviation of speakers' rates, as a share of the language's.
    """

    rates: Sequence[float]
    utterances: int
    speakers: int = 1
    speaker_spread: float = 0.0


def around(mean: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """Draw from beta distributions with these means, and standard deviations of ``spread`` times the mean."""
    if spread == 0:
        return mean
    mean = np.clip(mean, 1e-9, 1 - 1e-9)
    strength = np.maximum((1 - mean) / (spread**2 * mean) - 1, 0.05)
    drawn: Floats = rng.beta(mean * strength, (1 - mean) * strength)
    return drawn


def draw(design: Design, rng: np.random.Generator, systems: int = 1) -> tuple[Outcomes, Ints]:
    """Draw a test set and the errors of systems of the same quality.

    Returns:
        The utterances with the first system's outcomes, and ``(N, systems + 1)``: errors of each system, lengths.
    """
    per_language = design.speakers * design.utterances
    speakers = around(np.repeat(np.array(design.rates), design.speakers), design.speaker_spread, rng)
    rates = around(np.repeat(speakers, design.utterances), 0.8, rng)
    lengths = np.maximum(1, rng.lognormal(3.6, 0.5, len(rates))).astype(np.int64)
    own = [around(rates, 0.3, rng) for _ in range(systems)]
    errors = np.stack([rng.binomial(lengths, rate) for rate in own], axis=1)
    names = [f"l{number:05}" for number in range(len(design.rates))]
    languages = [name for name in names for _ in range(per_language)]
    speaker_names = [f"s{number}" for number in np.repeat(np.arange(len(speakers)), design.utterances)]
    counts = np.zeros((len(rates), 6), dtype=np.int64)
    counts[:, 0], counts[:, 1], counts[:, 5] = errors[:, 0], lengths, 1
    utt_ids = [f"u{number}" for number in range(len(rates))]
    outcomes = Outcomes(utt_ids, languages, ["all"] * len(rates), languages, speaker_names, utt_ids, counts, False)
    return outcomes, np.concatenate([errors, lengths[:, None]], axis=1)


def share_inside(intervals: Sequence[Sequence[float]], truth: float) -> dict[str, float]:
    """Return which share of intervals holds the truth, lies above it or below it, and the error of that share."""
    low, high = np.array(intervals).T
    share = float(((low <= truth) & (truth <= high)).mean())
    error = float(np.sqrt(max(share * (1 - share), 1e-9) / len(low)))
    return {
        "inside": round(share, 4),
        "too_high": round(float((low > truth).mean()), 4),
        "too_low": round(float((high < truth).mean()), 4),
        "standard_error": round(error, 4),
    }


def of_one_language(simulations: int, seed: int) -> list[dict[str, Any]]:
    """Each simulation is a language of its own, so that one call does all of them."""
    cases: list[tuple[int, int, float, str]] = [
        *((n, 1, 0.0, "utterance") for n in (10, 20, 50, 100, 300, 1000)),
        *((10, n, 0.5, "speaker") for n in (3, 5, 10, 20, 50)),
        *((10, n, 0.5, "utterance") for n in (10, 50)),
    ]
    rows = []
    for utterances, speakers, spread, unit in cases:
        number = min(simulations, 2_000_000 // (utterances * speakers))
        design = Design([0.2] * number, utterances, speakers, spread)
        outcomes, _ = draw(design, np.random.default_rng([seed, utterances, speakers]))
        found = bootstrap_intervals(outcomes, tagged=False, settings=BootstrapSettings(RESAMPLES, seed, unit, LEVEL))
        row = {"utterances": utterances * speakers, "speakers": speakers, "speaker_spread": spread, "unit": unit}
        rows.append({**row, **share_inside(list(found["cer"]["by_language"].values()), 0.2)})
    return rows


LANGUAGES: dict[str, Sequence[float]] = {
    "20, one clearly worst": [*np.linspace(0.1, 0.3, 19), 0.45],
    "20, evenly spread": list(np.linspace(0.1, 0.3, 20)),
    "20, all equal": [0.2] * 20,
    "143, log-normal": list(np.clip(np.exp(np.random.default_rng(5).normal(np.log(0.2), 0.5, 143)), 0.02, 0.8)),
    "6": [0.1, 0.12, 0.15, 0.2, 0.22, 0.25],
}


def numbers(rates: Floats) -> dict[str, float]:
    """Return the true numbers over languages."""
    return {name: float(values[0]) for name, values in resampled_numbers(rates[:, None]).items()}


def resampled_numbers(drawn: Floats) -> dict[str, Floats]:
    """Return the numbers over languages of each resample."""
    best, worst = drawn.min(axis=0), drawn.max(axis=0)
    return {**over_languages(drawn), "best": best, "range": worst - best}


def of_numbers_over_languages(simulations: int, seed: int) -> list[dict[str, Any]]:
    """Languages with 100 utterances each: our intervals, and plain percentiles of the resampled numbers."""
    rng = np.random.default_rng([seed, 7])
    rows = []
    for name, rates in LANGUAGES.items():
        truths = numbers(np.array(rates))
        held: dict[tuple[str, str], list[Any]] = {(key, kind): [] for key in truths for kind in ("ours", "percentiles")}
        for simulation in range(simulations if len(rates) < 100 else simulations // 4):
            outcomes, columns = draw(Design(rates, 100), rng)
            strata = make_strata(outcomes, columns, "utterance")
            sums, totals = Resampler(RESAMPLES, simulation).sums(strata), strata.totals()
            drawn, observed = rates_of(sums[:, 0], sums[:, 1]), rates_of(totals[:, 0], totals[:, 1])
            freedom = strata.freedom(strata.names())
            ours = intervals_over_languages(
                drawn, observed, freedom, ends=percentiles(drawn, LEVEL, freedom), lowest_is_worst=False, level=LEVEL
            )
            for key, values in resampled_numbers(drawn).items():
                held[key, "ours"].append(ours[key])
                held[key, "percentiles"].append(percentiles(values[None], LEVEL)[0])
        for (key, kind), intervals in held.items():
            row = {"languages": name, "number": key, "intervals": kind}
            rows.append({**row, **share_inside(intervals, truths[key])})
    return rows


GAPS: dict[str, Sequence[float]] = {
    "20, one clearly largest": [*np.linspace(0.0, 0.06, 19), 0.2],
    "20, evenly spread": list(np.linspace(0.0, 0.1, 20)),
    "20, none": [0.0] * 20,
}


def of_gaps_between_corpora(simulations: int, seed: int) -> list[dict[str, Any]]:
    """Languages with two corpora of 100 utterances each: the largest gap, and plain percentiles of it."""
    rng = np.random.default_rng([seed, 13])
    rows = []
    for name, gaps in GAPS.items():
        rates = [rate for gap in gaps for rate in (0.2 - gap / 2, 0.2 + gap / 2)]
        pairs = [(f"l{number:02}", corpus) for number in range(len(gaps)) for corpus in "ab"]
        ours, plain = [], []
        for simulation in range(simulations):
            outcomes, columns = draw(Design(rates, 100), rng)
            strata = make_strata(outcomes, columns, "utterance")
            drawn, observed = (
                CorpusRates(pairs, rates_of(sums[:, 0], sums[:, 1]), strata.freedom_of_strata()).differences()
                for sums in (Resampler(RESAMPLES, simulation).sums(strata), strata.totals())
            )
            ours.append(intervals_of_measure(drawn, observed, LEVEL)["worst"])
            plain.append(percentiles(drawn.rates.max(axis=0)[None], LEVEL)[0] or [])
        for kind, intervals in (("ours", ours), ("percentiles", plain)):
            rows.append({"languages": name, "intervals": kind, **share_inside(intervals, max(gaps))})
    return rows


def of_differences_over_languages(simulations: int, seed: int) -> list[dict[str, Any]]:
    """B is worse than A where A is good and better where A is bad; 20 evenly spread languages, 100 utterances each."""
    rng = np.random.default_rng([seed, 11])
    rates = np.array(LANGUAGES["20, evenly spread"])
    rows = []
    for name, factors in (("B as A", np.ones(20)), ("B more even", np.linspace(1.2, 0.7, 20))):
        of_a, of_b = (over_languages(true[:, None]) for true in (rates, rates * factors))
        truths = {key: float(of_b[key][0] - of_a[key][0]) for key in of_a}
        held: dict[str, list[Any]] = {key: [] for key in truths}
        for simulation in range(simulations):
            outcomes, columns = draw(Design(list(rates), 100), rng, systems=2)
            columns[:, 0] = rng.poisson(columns[:, 0])
            columns[:, 1] = rng.poisson(columns[:, 1] * np.repeat(factors, 100))
            strata = make_strata(outcomes, columns, "utterance")
            sums = Resampler(RESAMPLES, simulation).sums(strata)
            a, b = rates_of_systems(strata, sums, strata.names(), lowest_is_worst=False)
            for key, intervals in held.items():
                intervals.append(percentiles((b.over[key] - a.over[key])[None], LEVEL)[0])
        rows += [{"systems": name, "number": key, **share_inside(held[key], truths[key])} for key in truths]
    return rows


def of_differences(simulations: int, seed: int) -> list[dict[str, Any]]:
    """Two systems of the same quality: intervals should hold 0, p-values be below 5 % in 5 % of the cases."""
    rows = []
    for utterances, speakers, unit in (
        (5, 1, "utterance"),
        (20, 1, "utterance"),
        (100, 1, "utterance"),
        (10, 10, "speaker"),
    ):
        number = min(simulations, 1_000_000 // (utterances * speakers))
        outcomes, columns = draw(
            Design([0.2] * number, utterances, speakers, 0.5 if speakers > 1 else 0.0),
            np.random.default_rng([seed, 3, utterances]),
            systems=2,
        )
        strata = make_strata(outcomes, columns, unit)
        sums = Resampler(RESAMPLES, seed).sums(strata)
        differences = rates_of(sums[:, 1], sums[:, 2]) - rates_of(sums[:, 0], sums[:, 2])
        freedom = strata.freedom(strata.names())
        bounds = [interval for interval in percentiles(differences, LEVEL, freedom) if interval]
        differing = [int((values[:, 0] != values[:, 1]).sum()) for values in strata.values]
        p_values = np.array([two_sided_p(*case) for case in zip(differences, differing, freedom, strict=True)])
        row = {"utterances": utterances * speakers, "unit": unit, **share_inside(bounds, 0.0)}
        rows.append({**row, "p_below_5_percent": round(float((p_values < 0.05).mean()), 4)})
    return rows


def of_seeds(simulations: int, seed: int) -> list[dict[str, Any]]:
    """Three seeds against three, of equal systems: Welch's t with the bootstrap's variance, and resampled seeds."""
    rng = np.random.default_rng([seed, 5])
    rows = []
    for spread_of_seeds in (0.0, 0.02, 0.1):
        intervals: list[list[float]] = []
        resampled: list[list[float]] = []
        for simulation in range(simulations):
            outcomes, columns = draw(Design([0.15, 0.2, 0.25], 100), rng, systems=6)
            factors = np.maximum(0.0, 1 + spread_of_seeds * rng.standard_normal(6))
            columns[:, :6] = rng.poisson(columns[:, :6] * factors)
            strata = make_strata(outcomes, columns, "utterance")
            sums = Resampler(RESAMPLES, simulation).sums(strata)
            observed, drawn = (
                np.stack(
                    [
                        system.over["mean"]
                        for system in rates_of_systems(strata, held, strata.names(), lowest_is_worst=False)
                    ]
                )
                for held in (strata.totals(), sums)
            )
            variance = float((drawn[3:].mean(0) - drawn[:3].mean(0)).var(ddof=1))
            intervals.append(list(welch(observed[:3, 0], observed[3:, 0], variance, LEVEL)[0]))
            chosen = rng.integers(0, 3, (6, RESAMPLES))
            chosen[3:] += 3
            picked = np.take_along_axis(drawn, chosen, axis=0)
            resampled.append(list(np.quantile(picked[3:].mean(0) - picked[:3].mean(0), [0.025, 0.975])))
        rows.append({"seed_sd": spread_of_seeds, "method": "welch", **share_inside(intervals, 0.0)})
        rows.append({"seed_sd": spread_of_seeds, "method": "seeds resampled", **share_inside(resampled, 0.0)})
    return rows


def main() -> None:
    """Simulate all cases, log a table and write the result."""
    parser = argparse.ArgumentParser(description="Measure the coverage of bootstrap intervals.")
    parser.add_argument("--simulations", type=int, default=1000, help="test sets per case (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "interval_coverage.json", help="where the result goes")
    arguments = parser.parse_args()
    results = {
        name: measure(arguments.simulations, arguments.seed)
        for name, measure in (
            ("one_language", of_one_language),
            ("over_languages", of_numbers_over_languages),
            ("gaps_between_corpora", of_gaps_between_corpora),
            ("differences", of_differences),
            ("differences_over_languages", of_differences_over_languages),
            ("seeds", of_seeds),
        )
    }
    for name, rows in results.items():
        for row in rows:
            logger.info("%-15s %s", name, "  ".join(f"{key} {value}" for key, value in row.items()))
    environment = describe_environment(HERE.parents[1])
    write_json(
        arguments.out,
        {
            "what": f"share of {LEVEL:.0%} intervals that hold the true value",
            "command": "python3 docs/benchmarks/interval_coverage.py",
            **{key: environment[key] for key in ("created", "commit", "host")},
            "resamples": RESAMPLES,
            "simulations": arguments.simulations,
            **results,
        },
    )
    logger.info("wrote %s", arguments.out)


if __name__ == "__main__":
    run_main(main)
