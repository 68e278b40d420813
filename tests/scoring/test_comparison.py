from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest

from asr_dro.errors import UserError
from asr_dro.scoring.comparison import SystemsComparison, compare_systems, holm, two_sided_p
from asr_dro.scoring.files import write_utterances
from asr_dro.scoring.outcomes import read_outcomes
from tests.scoring.outcomes import Row, outcomes_of_rows, overdispersed, scored

RNG = random.Random(3)
A = [Row(f"u{n:03}", f"l{n % 4}", RNG.randrange(12), RNG.randrange(20, 60)) for n in range(120)]
B = [row._replace(errors=max(0, row.errors - RNG.randrange(4 * (row.language == "l1") + 1))) for row in A]


def compared(a: list[Row], b: list[Row], **options: object) -> SystemsComparison:
    return compare_systems(scored(a), scored(b), **{"resamples": 1000, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["cer", "wer", "lid"])
def test_a_system_against_itself_differs_in_nothing(metric: str) -> None:
    rows = [row._replace(recognised="l0" if n % 5 else None) for n, row in enumerate(A)]
    found = compared(rows, RNG.sample(rows, len(rows)), metric=metric)
    for one in (*found.over_languages.values(), *found.by_language.values()):
        assert (one.difference, one.interval, one.p, one.is_significant) == (0.0, (0.0, 0.0), 1.0, False)
        assert one.a == one.b
    assert set(found.over_languages) == {"mean", "sd", "worst", "worst15", "micro"}
    assert found.worst_language_a == found.worst_language_b


def test_numbers_are_those_of_the_counts() -> None:
    found = compared(A, B)
    rates = {
        name: [
            sum(r.errors for r in rows if r.language == name) / sum(r.length for r in rows if r.language == name)
            for rows in (A, B)
        ]
        for name in ("l0", "l1", "l2", "l3")
    }
    for name, (a, b) in rates.items():
        one = found.by_language[name]
        assert (one.a, one.b, one.difference) == pytest.approx((a, b, b - a))
    means = np.array(list(rates.values())).mean(axis=0)
    assert found.over_languages["mean"].difference == pytest.approx(means[1] - means[0])
    highest = [max(rate[system] for rate in rates.values()) for system in (0, 1)]
    assert (found.over_languages["worst"].a, found.over_languages["worst"].b) == pytest.approx(tuple(highest))
    micro = [sum(r.errors for r in rows) / sum(r.length for r in rows) for rows in (A, B)]
    assert (found.over_languages["micro"].a, found.over_languages["micro"].b) == pytest.approx(tuple(micro))
    assert found.n_utterances == 120
    json.dumps(found.to_json(), allow_nan=False)


def test_only_what_differs_is_significant() -> None:
    found = compared(A, B)
    one = found.by_language["l1"]
    assert one.is_significant and one.interval is not None and one.interval[1] < 0
    assert one.p is not None and one.p_holm == pytest.approx(4 * one.p)
    for name in ("l0", "l2", "l3"):
        assert (found.by_language[name].p, found.by_language[name].interval) == (1.0, (0.0, 0.0))
    assert found.over_languages["mean"].is_significant
    assert found.over_languages["mean"].p_holm is None


def test_swapping_the_systems_mirrors_everything() -> None:
    there, back = compared(A, B), compared(B, A)
    for name in there.by_language:
        one, other = there.by_language[name], back.by_language[name]
        assert one.difference == -(other.difference or 0.0)
        assert one.p == other.p
        assert one.interval is not None and other.interval is not None
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=2e-3)


def test_pairing_tells_more_than_two_intervals() -> None:
    """Utterances that are hard for both systems vary much, the difference hardly."""
    rng = np.random.default_rng(0)
    values = overdispersed(0.3, 100, rng)
    a = [Row(f"u{n}", "a", int(errors), int(length)) for n, (errors, length) in enumerate(values)]
    b = [row._replace(errors=row.errors + 1) for row in a]
    one = compared(a, b).by_language["a"]
    assert one.interval is not None
    assert one.interval[1] - one.interval[0] < 0.01
    assert one.p is not None and one.p < 0.01


def test_where_systems_are_equal_one_language_in_twenty_is_below_5_percent() -> None:
    rng = np.random.default_rng(1)
    values = overdispersed(0.2, 500 * 40, rng)
    names = [f"l{n:03}" for n in range(500) for _ in range(40)]
    a, b = (
        [
            Row(f"u{n}", name, int(rng.binomial(length, errors / length)), int(length))
            for n, (name, (errors, length)) in enumerate(zip(names, values, strict=True))
        ]
        for _ in range(2)
    )
    found = compared(a, b).by_language.values()
    share = np.mean([one.p is not None and one.p < 0.05 for one in found])
    assert share == pytest.approx(0.05, abs=0.025)
    assert sum(one.is_significant for one in found) <= 2  # Holm: hardly any of 500
    low, high = np.array([one.interval for one in found]).T
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(0.95, abs=0.025)


def test_holm_by_hand() -> None:
    assert holm({"c": 0.03, "a": 0.01, "b": 0.02}) == pytest.approx({"c": 0.04, "a": 0.03, "b": 0.04})
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, which may not be below the one before
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_p_values_by_hand() -> None:
    differences = np.array([-1.0] * 97 + [1.0] * 2)
    assert two_sided_p(differences, 50) == pytest.approx(2 * 3 / 100)
    assert two_sided_p(-differences, 50) == two_sided_p(differences, 50)
    assert two_sided_p(np.append(differences, [np.nan] * 100), 50) == two_sided_p(differences, 50)
    assert two_sided_p(np.full(9999, -1.0), 50) == pytest.approx(2e-4)
    assert two_sided_p(np.full(9999, -1.0), 50, freedom=4) > 0.01  # five units: t
    assert two_sided_p(np.full(9999, -1.0), 4) == 2**-3  # four units that all agree: one chance in eight
    assert two_sided_p(np.zeros(99), 0) == 1.0


def test_the_smallest_p_of_few_units_is_that_of_the_sign_test() -> None:
    signs = list(itertools.product((-1, 1), repeat=4))
    exact = sum(abs(sum(sign)) == 4 for sign in signs) / len(signs)
    a = [Row(f"u{n}", "a", 5, 10) for n in range(4)]
    one = compared(a, [row._replace(errors=1) for row in a]).by_language["a"]
    assert one.p == exact == 0.125
    assert not one.is_significant


def test_hostile_languages() -> None:
    a = [*A, Row("x", "single", 1, 10), Row("y0", "empty", 2, 0), Row("y1", "empty", 0, 0)]
    b = [*B, Row("x", "single", 5, 10), Row("y0", "empty", 0, 0), Row("y1", "empty", 0, 0)]
    found = compared(a, b)
    single, empty = found.by_language["single"], found.by_language["empty"]
    assert single.difference == pytest.approx(0.4)
    assert (single.interval, single.p, single.p_holm) == (None, None, None)
    assert (empty.a, empty.b, empty.difference, empty.interval) == (None, None, None, None)
    assert found.by_language["l1"].p_holm == pytest.approx(4 * (found.by_language["l1"].p or 0))  # 4 were tested, not 6
    assert found.worst_language_b == "single"
    nothing = compared([Row("y0", "empty", 2, 0)], [Row("y0", "empty", 0, 0)])
    assert nothing.over_languages["mean"].difference is None
    assert nothing.worst_language_a is None
    alone = compared([Row("x", "single", 1, 10)], [Row("x", "single", 5, 10)])
    assert alone.over_languages["mean"].difference == pytest.approx(0.4)
    assert alone.over_languages["mean"].interval is None
    json.dumps(nothing.to_json(), allow_nan=False)


def test_lowest_accuracy_is_the_worst() -> None:
    a = [
        Row(f"{name}{n}", name, 0, 1, recognised="z" if n % every == 0 else name)
        for name, every in (("a", 2), ("b", 4))
        for n in range(40)
    ]
    b = [row._replace(recognised="z" if row.language == "b" else row.language) for row in a]
    found = compared(a, b, metric="lid")
    assert (found.worst_language_a, found.worst_language_b) == ("a", "b")
    worst = found.over_languages["worst"]
    assert (worst.a, worst.b) == (0.5, 0.0)


def test_speakers_are_drawn_where_they_are_known() -> None:
    a = [row._replace(speaker=f"s{n % 24}") for n, row in enumerate(A)]
    b = [row._replace(speaker=a[n].speaker) for n, row in enumerate(B)]
    found = compared(a, b)
    assert found.units["by_language"]["l1"] == {"unit": "speaker", "n": 6}
    assert compared(a, b, unit="utterance").units["by_language"]["l1"] == {"unit": "utterance", "n": 30}


def test_other_utterances_references_and_languages_are_named_together() -> None:
    b = [row._replace(language="l9") if row.utt == "u005" else row for row in B if row.utt not in ("u001", "u002")]
    other = scored([*b, Row("u900", "l0", 1, 2)])
    object.__setattr__(other[5], "reference", "something else")
    with pytest.raises(UserError) as error:
        compare_systems(scored(A), other)
    for part in (
        "2 utterances are in system A and not in system B: u001, u002",
        "1 utterances are in system B and not in system A: u900",
        f"1 utterances have other references in system A than in system B: {other[5].source.utt_id}",
        "1 utterances have other languages in system A than in system B: u005",
    ):
        assert part in str(error.value)


def test_wrong_settings() -> None:
    with pytest.raises(UserError, match="metric 'per'; allowed: cer, wer, lid"):
        compared(A, B, metric="per")
    with pytest.raises(UserError, match="resamples: 3"):
        compared(A, B, resamples=3)
    with pytest.raises(UserError, match="no utterances"):
        compared([], [])
    untagged = scored(A)
    for utterance in untagged:
        object.__setattr__(utterance, "hypothesis", type(utterance.hypothesis)("", None))
    with pytest.raises(UserError, match="system B: no hypothesis names a language"):
        compare_systems(scored(A), untagged, metric="lid")


def test_files_of_stage_6_give_the_same(tmp_path: Path) -> None:
    for name, rows in (("a", A), ("b", RNG.sample(B, len(B)))):
        (tmp_path / name).mkdir()
        write_utterances(tmp_path / name / "utterances.tsv", scored(rows))
    for metric in ("cer", "lid"):
        expected = compared(A, B, metric=metric)
        found = compare_systems(tmp_path / "a", tmp_path / "b" / "utterances.tsv", metric=metric, resamples=1000)
        assert found == expected
    read = read_outcomes(tmp_path / "a")
    made = outcomes_of_rows(A)
    assert np.array_equal(read.counts, made.counts)
    assert (read.languages, read.groups, read.speakers) == (made.languages, made.groups, made.speakers)


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"utterances\.tsv: no such file; score this split first"):
        compare_systems(tmp_path, tmp_path)
    path = tmp_path / "utterances.tsv"
    write_utterances(path, scored([*A, A[7], A[9]]))
    with pytest.raises(UserError, match="2 utterances are there more than once: u007, u009"):
        read_outcomes(path)
    write_utterances(path, scored(A))
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([lines[0], lines[1].replace("\t0\t", "\tmany\t", 1), *lines[2:]]), encoding="utf-8")
    with pytest.raises(UserError, match="counts of errors must be whole numbers"):
        read_outcomes(path)
    path.write_text("utt_id\tlanguage\nu1\tfin\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column group, speaker"):
        read_outcomes(path)
