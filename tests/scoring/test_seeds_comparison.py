from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from asr_dro.errors import UserError
from asr_dro.scoring.bootstrap import BootstrapSettings
from asr_dro.scoring.comparison import compare_systems
from asr_dro.scoring.files import write_utterances
from asr_dro.scoring.scores import ScoredUtterance
from asr_dro.scoring.seeds_comparison import compare_seeds, welch
from tests.scoring.outcomes import Row, overdispersed, scored

QUICK = BootstrapSettings(resamples=1000)


def system(rng: np.random.Generator, factor: float, languages: int = 3, number: int = 40) -> list[Row]:
    """Draw a training's errors on a test set that is always the same."""
    values = overdispersed(0.2, languages * number, np.random.default_rng(0))
    errors = rng.poisson(values[:, 0] * factor)
    return [Row(f"u{n}", f"l{n % languages}", int(errors[n]), int(values[n, 1])) for n in range(len(values))]


def seeds(rng: np.random.Generator, factors: list[float]) -> list[list[ScoredUtterance]]:
    return [scored(system(rng, factor)) for factor in factors]


def test_welch_as_in_scipy() -> None:
    a, b = np.array([0.20, 0.22, 0.21]), np.array([0.25, 0.23, 0.29, 0.27])
    expected = stats.ttest_ind(b, a, equal_var=False)
    (low, high), p = welch(a, b, 0.0, 0.95)
    assert p == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    (wider, _), larger = welch(a, b, 0.001, 0.95)
    assert wider < low and larger is not None and p is not None and larger > p
    constant = np.array([0.2, 0.2])
    assert welch(constant, constant, 0.0, 0.95) == ((0.0, 0.0), 1.0)
    assert welch(constant, constant + 0.25, 0.0, 0.95)[1] is None
    (low, high), _ = welch(constant, constant, 0.01, 0.95)  # only utterances vary: the normal distribution
    assert (low, high) == pytest.approx((-0.196, 0.196), abs=1e-4)


def test_seeds_without_spread_are_compared_as_single_systems() -> None:
    rng = np.random.default_rng(2)
    a, b = scored(system(rng, 1.0)), scored(system(rng, 1.2))
    of_seeds = compare_seeds([a, a], [b, b], settings=QUICK)
    single = compare_systems(a, b, resamples=1000)
    for name in ("mean", "worst", "micro"):
        one, other = of_seeds.over_languages[name], single.over_languages[name]
        assert one.difference == pytest.approx(other.difference)
        assert one.sd_a == one.sd_b == 0.0
        assert one.interval is not None and other.interval is not None
        assert np.ptp(one.interval) == pytest.approx(np.ptp(other.interval), rel=0.15)


def test_spread_over_seeds_widens_the_interval() -> None:
    rng = np.random.default_rng(3)
    narrow = compare_seeds(seeds(rng, [1.0] * 3), seeds(rng, [1.5] * 3), settings=QUICK)
    wide = compare_seeds(seeds(rng, [0.6, 1.0, 1.4]), seeds(rng, [1.1, 1.5, 1.9]), settings=QUICK)
    one, other = narrow.over_languages["mean"], wide.over_languages["mean"]
    assert one.interval is not None and other.interval is not None
    assert np.ptp(other.interval) > 3 * np.ptp(one.interval)
    assert one.is_significant and not other.is_significant
    assert narrow.n_seeds == (3, 3)
    assert narrow.by_language["l0"].p_holm is not None
    assert narrow.by_language["l0"].p_holm >= (narrow.by_language["l0"].p or 0)
    json.dumps(narrow.to_json(), allow_nan=False)


def test_intervals_of_seeds_cover() -> None:
    """Equal systems, three seeds each, new seeds and new utterances each time."""
    rng, covered, simulations = np.random.default_rng(4), 0, 150
    for _ in range(simulations):
        values = overdispersed(0.2, 100, rng)
        groups = []
        for _ in range(6):
            errors = rng.poisson(values[:, 0] * max(0.0, rng.normal(1, 0.1)))
            groups.append(scored([Row(f"u{n}", "a", int(errors[n]), int(values[n, 1])) for n in range(100)]))
        interval = (
            compare_seeds(groups[:3], groups[3:], settings=BootstrapSettings(resamples=200)).by_language["a"].interval
        )
        covered += interval is not None and interval[0] <= 0 <= interval[1]
    assert covered / simulations == pytest.approx(0.95, abs=0.05)


def test_hostile_seeds(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [*system(rng, 1.0), Row("x", "single", 1, 10), Row("y", "empty", 1, 0)]
    path = tmp_path / "utterances.tsv"
    write_utterances(path, scored(rows))
    found = compare_seeds([path, tmp_path], [path, scored(rows)], settings=QUICK)
    assert found.over_languages["mean"].interval == (0.0, 0.0)
    assert found.by_language["single"].interval is None
    assert found.by_language["empty"].a is None
    with pytest.raises(UserError, match="1 and 2 seeds: the spread over seeds needs two"):
        compare_seeds([path], [path, path])
    with pytest.raises(UserError, match=r"1 utterances are in .*utterances\.tsv and not in system B seed 2: x"):
        compare_seeds([path, path], [path, scored([row for row in rows if row.utt != "x"])])
    empty = scored([Row("y", "empty", 1, 0)])
    assert compare_seeds([empty] * 2, [empty] * 2, settings=QUICK).over_languages["mean"].a is None
