from __future__ import annotations

import json
import logging
import random
import statistics
from typing import Any

import numpy as np
import pytest
from scipy import stats

from asr_dro.errors import UserError
from asr_dro.scoring.bootstrap import BootstrapSettings, bootstrap_intervals, intervals_of_scores, warn_about_few_units
from asr_dro.scoring.resampled_rates import (
    expanded_tail,
    freedom_of_mean,
    over_languages,
    percentiles,
    rates_of,
    widened_p,
)
from asr_dro.scoring.resampling import Floats
from asr_dro.scoring.scores import summarise
from tests.scoring.outcomes import Row, inside, outcomes, overdispersed, scored

RNG = random.Random(5)
ROWS = [
    Row(
        f"u{n}",
        f"l{n % 3}",
        RNG.randrange(10 + 5 * (n % 3)),
        RNG.randrange(20, 60),
        recognised=f"l{n % 3 * (n % 4 > 0)}",
    )
    for n in range(90)
]
QUICK = BootstrapSettings(resamples=500)


def test_every_number_of_the_scores_has_an_interval_around_it() -> None:
    utterances = scored(ROWS)
    scores, intervals = summarise(utterances), intervals_of_scores(utterances)
    assert (intervals["level"], intervals["resamples"], intervals["seed"]) == (0.95, 10_000, 0)
    for metric in ("cer", "wer", "lid_accuracy"):
        found = intervals[metric]
        for name in ("mean", "sd", "worst", "best", "range", "worst15", "micro"):
            low, high = found[name]
            assert low < high or (metric, name) == ("lid_accuracy", "best")  # one language is always right
            if name in scores[metric]:
                assert inside(scores[metric][name], found[name]), (metric, name)
        assert list(found["by_language"]) == ["l0", "l1", "l2"]
        for language, interval in found["by_language"].items():
            if metric != "lid_accuracy" or language != "l0":
                assert inside(scores[metric]["by_language"][language], interval)
                assert interval[0] < interval[1]
        assert list(found["by_corpus"]) == ["all"]
        assert found["by_corpus"]["all"] == pytest.approx(found["micro"], rel=0.02)
    assert intervals["lid_accuracy"]["by_language"]["l0"] == [1.0, 1.0]  # always right: nothing varies
    assert "groups" not in intervals
    json.dumps(intervals, allow_nan=False)


def test_width_is_that_of_the_delta_method() -> None:
    values = overdispersed(0.2, 400, np.random.default_rng(0))
    made = outcomes(["a"] * 400, values)
    low, high = bootstrap_intervals(made, tagged=False, settings=BootstrapSettings())["cer"]["by_language"]["a"]
    rate = values[:, 0].sum() / values[:, 1].sum()
    error = np.sqrt(((values[:, 0] - rate * values[:, 1]) ** 2).sum()) / values[:, 1].sum()
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_neither_order_nor_repetition_changes_a_digit() -> None:
    expected = json.dumps(intervals_of_scores(scored(ROWS), settings=QUICK))
    shuffled = RNG.sample(ROWS, len(ROWS))
    assert json.dumps(intervals_of_scores(scored(shuffled), settings=QUICK)) == expected
    other = intervals_of_scores(scored(ROWS), settings=BootstrapSettings(resamples=500, seed=1))
    assert other["cer"] != json.loads(expected)["cer"]
    assert other["cer"]["mean"] == pytest.approx(json.loads(expected)["cer"]["mean"], rel=0.1)


def test_equal_seeds_give_these_digits_everywhere() -> None:
    rows = [Row(f"u{n}", "ab"[n % 2], (7 * n) % 11, 20 + n % 5) for n in range(200)]
    found = intervals_of_scores(scored(rows), settings=BootstrapSettings(resamples=1000, seed=3))["cer"]
    assert found["mean"] == pytest.approx([0.20891230311654965, 0.24609144942372627], rel=1e-12)
    assert found["by_language"]["a"] == pytest.approx([0.19759768025791144, 0.25445979619455694], rel=1e-12)


@pytest.mark.parametrize(
    ("units", "speakers"), [(12, None), (100, None), (100, 10)], ids=["few", "utterances", "speakers"]
)
def test_intervals_of_a_language_cover(units: int, speakers: int | None) -> None:
    """1,000 languages of one true rate are as many simulations."""
    rng, languages = np.random.default_rng(units), 1000
    if speakers is None:
        values, names = overdispersed(0.2, units * languages, rng), None
    else:
        means = np.repeat(rng.beta(6.4, 25.6, speakers * languages), units // speakers)
        lengths = rng.integers(20, 60, len(means))
        values = np.stack([rng.binomial(lengths, means), lengths], axis=1)
        names = [f"s{n}" for n in np.repeat(np.arange(speakers * languages), units // speakers)]
    made = outcomes([f"l{n:04}" for n in range(languages) for _ in range(units)], values, names)
    settings = BootstrapSettings(resamples=1000)
    found = bootstrap_intervals(made, tagged=False, settings=settings)["cer"]["by_language"].values()
    covered = np.mean([inside(0.2, interval) for interval in found])
    assert covered == pytest.approx(0.95, abs=0.03)
    if speakers:  # drawn one by one, utterances of a speaker seem to say more than they do
        single = BootstrapSettings(resamples=1000, unit="utterance")
        found = bootstrap_intervals(made, tagged=False, settings=single)["cer"]["by_language"].values()
        assert np.mean([inside(0.2, interval) for interval in found]) < 0.85


@pytest.mark.parametrize("rates", [[0.1, 0.15, 0.2, 0.4], [0.2] * 12], ids=["spread", "equal"])
def test_intervals_over_languages_cover(rates: list[float]) -> None:
    """Where percentiles of resampled worst rates and spreads never hold the truth (equal languages), these do."""
    rng, names = np.random.default_rng(2), [f"l{n:02}" for n in range(len(rates)) for _ in range(40)]
    mean, sd = statistics.mean(rates), statistics.stdev(rates)
    truths = {"mean": mean, "sd": sd, "worst": max(rates), "micro": mean}
    covered = {name: 0 for name in truths}
    simulations = 200
    for seed in range(simulations):
        made = outcomes(names, np.concatenate([overdispersed(rate, 40, rng) for rate in rates]))
        settings = BootstrapSettings(resamples=300, seed=seed)
        found = bootstrap_intervals(made, tagged=False, settings=settings)["cer"]
        for name, truth in truths.items():
            covered[name] += inside(truth + 1e-12, found[name])
    for name in ("mean", "micro"):
        assert covered[name] / simulations == pytest.approx(0.95, abs=0.045)
    assert covered["sd"] / simulations > 0.85
    assert covered["worst"] / simulations > 0.9


def test_speakers_make_wider_intervals_and_are_named() -> None:
    rows = [row._replace(speaker=f"s{number % 12}", errors=10 * (number % 4)) for number, row in enumerate(ROWS)]
    single = intervals_of_scores(scored(rows), settings=BootstrapSettings(resamples=500, unit="utterance"))
    found = intervals_of_scores(scored(rows), settings=QUICK)
    assert found["unit"]["by_language"] == {f"l{n}": {"unit": "speaker", "n": 4} for n in range(3)}
    assert single["unit"]["by_language"]["l0"] == {"unit": "utterance", "n": 30}
    width, width_single = (np.ptp(made["cer"]["mean"]) for made in (found, single))
    assert width > 1.2 * width_single


def test_few_units_are_named(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row(f"u{n}", "abundant" if n > 8 else "scarce", 1, 10) for n in range(30)]
    units = intervals_of_scores(scored(rows), settings=QUICK)["unit"]
    assert units["few"] == ["scarce"]
    with caplog.at_level(logging.WARNING):
        warn_about_few_units(units, "exp/x/test")
    assert "fewer than 10 utterances in scarce" in caplog.text
    caplog.clear()
    warn_about_few_units({**units, "few": []}, "exp/x/test")
    assert not caplog.records


def test_corpora_and_groups() -> None:
    rows = [
        row._replace(corpus="xy"[n % 2], group="north" if row.language == "l0" else "south")
        for n, row in enumerate(ROWS)
    ]
    utterances = scored(rows)
    scores, found = summarise(utterances), intervals_of_scores(utterances)
    assert list(found["cer"]["by_corpus"]) == ["x", "y"]
    for corpus, interval in found["cer"]["by_corpus"].items():
        members = [row for row in rows if row.corpus == corpus]
        assert inside(sum(row.errors for row in members) / sum(row.length for row in members), interval)
    groups = found["groups"]["cer"]
    assert list(groups["by_group"]) == ["north", "south"]
    assert inside(scores["groups"]["cer"]["mean"], groups["mean"])
    assert groups["by_group"]["north"] == pytest.approx(found["cer"]["by_language"]["l0"], rel=0.05)
    assert set(found["groups"]) == {"cer", "wer"}


def test_hostile_languages() -> None:
    rows = [
        *(Row(f"a{n}", "usual", n % 5, 20) for n in range(20)),
        Row("b", "single", 7, 10),
        *(Row(f"c{n}", "empty", 3, 0) for n in range(5)),
        *(Row(f"d{n}", "same", 2, 10) for n in range(12)),
        Row("e0", "half", 2, 0),
        Row("e1", "half", 3, 10),
    ]
    found = intervals_of_scores(scored(rows))
    json.dumps(found, allow_nan=False)
    by_language = found["cer"]["by_language"]
    assert by_language["single"] is None  # of one utterance nothing can be said
    assert by_language["empty"] is None
    assert by_language["same"] == pytest.approx([0.2, 0.2], abs=1e-15)
    assert by_language["half"][1] <= 1.1  # resamples of the empty utterance alone have no rate
    assert found["cer"]["mean"][0] < found["cer"]["mean"][1]
    assert found["cer"]["worst"][1] >= 0.7
    assert sum(found["cer"]["worst_share"].values()) == pytest.approx(1)
    assert found["lid_accuracy"]["by_language"]["empty"] == [1.0, 1.0]
    alone = intervals_of_scores(scored([rows[20]]), settings=QUICK)["cer"]
    assert (alone["mean"], alone["worst"], alone["micro"], alone["by_corpus"]) == (None, None, None, {"all": None})


@pytest.mark.parametrize("rows", [[], [Row("u1", "a", 3, 0), Row("u2", "a", 0, 0)]], ids=["no utterance", "no text"])
def test_without_anything_to_count(rows: list[Row]) -> None:
    found = intervals_of_scores(scored(rows), task="asr", settings=QUICK)
    for metric in ("cer", "wer", "lid_accuracy"):
        names = dict.fromkeys(row.language for row in rows)
        assert found[metric] == {
            **dict.fromkeys(("mean", "sd", "worst", "best", "range", "worst15", "micro", "worst_bias")),
            "worst_share": {},
            "by_language": names,
            "by_corpus": {"all": None} if rows else {},
        }


def test_the_worst_language_by_name() -> None:
    def found(errors: tuple[int, int]) -> dict[str, Any]:
        rng = random.Random(1)
        rows = [
            Row(f"{name}{n}", name, rng.randrange(2 * most), 20)
            for name, most in zip("ab", errors, strict=True)
            for n in range(100)
        ]
        made: dict[str, Any] = intervals_of_scores(scored(rows))["cer"]
        return made

    clear, tie = found((10, 3)), found((6, 6))
    assert clear["worst_share"] == {"a": 1.0}
    assert abs(clear["worst_bias"]) < 0.0015
    assert set(tie["worst_share"]) == {"a", "b"}
    assert tie["worst_bias"] > 0.003
    assert clear["worst"] == pytest.approx(clear["by_language"]["a"], rel=0.05)


def test_accuracies_are_worst_where_they_are_lowest() -> None:
    rows = [
        Row(f"{name}{n}", name, 0, 1, recognised="b" if n % every == 0 else name)
        for name, every in (("a", 2), ("b", 3), ("c", 7))
        for n in range(60)
    ]
    found = intervals_of_scores(scored(rows))["lid_accuracy"]
    assert found["worst_share"] == {"a": 1.0}
    assert inside(0.5, found["worst"])
    assert found["worst"][1] < 0.7
    assert found["by_language"]["b"] == [1.0, 1.0]


def test_settings_that_are_not_allowed_are_named_together() -> None:
    with pytest.raises(UserError) as error:
        BootstrapSettings(resamples=5, seed=-1, unit="word", level=95)
    for part in ("resamples: 5", "seed: -1", "'word'; allowed: auto, utterance, speaker", "level: 95"):
        assert part in str(error.value)


def test_numbers_over_languages_are_those_of_numpy() -> None:
    rates: Floats = np.random.default_rng(0).random((20, 7))
    found, lowest = over_languages(rates), over_languages(rates, lowest_is_worst=True)
    assert found["mean"] == pytest.approx(rates.mean(axis=0))
    assert found["sd"] == pytest.approx(rates.std(axis=0, ddof=1))
    assert found["worst"].tolist() == rates.max(axis=0).tolist()
    assert lowest["worst"].tolist() == rates.min(axis=0).tolist()
    assert found["worst15"] == pytest.approx(np.sort(rates, axis=0)[5:].mean(axis=0))
    assert lowest["worst15"] == pytest.approx(np.sort(rates, axis=0)[:15].mean(axis=0))
    rates[:3, 0] = np.nan
    gaps = over_languages(rates)
    assert gaps["mean"][0] == pytest.approx(rates[3:, 0].mean())
    assert gaps["sd"][0] == pytest.approx(rates[3:, 0].std(ddof=1))
    assert gaps["worst15"][0] == pytest.approx(np.sort(rates[3:, 0])[2:].mean())
    assert gaps["worst15"][1:].tolist() == found["worst15"][1:].tolist()
    assert "sd" not in over_languages(rates[4:5])


def test_percentiles() -> None:
    values = np.stack([np.arange(101.0), np.where(np.arange(101) % 2, np.nan, 5.0), np.full(101, np.nan)])
    assert percentiles(values, 0.9) == [pytest.approx([5, 95]), [5, 5], None]
    few, none = percentiles(values[[0, 0]], 0.9, [4, 0])
    assert few is not None and few[0] < 5 - 2  # t with 4 degrees of freedom is wider
    assert none is None
    assert freedom_of_mean(np.array([[1.0, 3.0], [2.0, 4.0]]), [4, 4]) == pytest.approx(8)
    assert freedom_of_mean(np.array([[1.0, 3.0], [2.0, 2.0]]), [4, 9]) == pytest.approx(4)
    assert np.isnan(rates_of(np.array([1.0]), np.array([0.0]))).all()


@pytest.mark.parametrize(("freedom", "point"), [(1, 12.706), (4, 2.776), (30, 2.042), (float("inf"), 1.960)])
def test_few_units_are_allowed_for_as_in_the_tables_of_student_s_t(freedom: float, point: float) -> None:
    """``point``: the two-sided 5 % point, as printed in any table of t."""
    assert stats.norm.ppf(expanded_tail(0.025, freedom)) == pytest.approx(-point, rel=1e-3)
    assert widened_p(2 * stats.norm.cdf(-point), freedom) == pytest.approx(0.05, rel=1e-3)
