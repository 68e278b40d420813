from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.bootstrap import BootstrapSettings, intervals_of_scores
from asr_dro.scoring.files import GIVEN
from asr_dro.scoring.hypotheses import split_language_tag
from asr_dro.scoring.material import Material
from asr_dro.scoring.measures import values_of_measure
from asr_dro.scoring.outcomes import outcomes_of
from asr_dro.scoring.profile_intervals import with_profiles
from asr_dro.scoring.profile_rules import CellSums
from asr_dro.scoring.profiles import PROFILES, rules_of, score_profiles
from asr_dro.scoring.resampling import make_strata
from asr_dro.scoring.scores import score_utterances
from tests.scoring.golden import golden_rows, material_of

QUICK = BootstrapSettings(resamples=400)
WORDS = ["kala", "on", "hyvä", "talo.", "ei ole", "[eng]", "sataa", "人", "K-A"]
# utterance, language, corpus, group, speaker, reference, hypothesis line
Row = tuple[str, str, str, str, str, str, str]


def rows_of(number: int = 240, seed: int = 1) -> list[Row]:
    """Languages of both parts of the benchmark, in two corpora each, a few references that are empty to a scorer."""
    rng, rows = random.Random(seed), []
    for n in range(number):
        language = ("fin", "eng", "dan", "org_jpn")[n % 4]
        corpus = ("googlei18n_asr", "googlei18n_tts", "fleurs")[n // 4 % 3]
        reference = "..." if n % 60 == 7 else " ".join(rng.choices(WORDS, k=rng.randrange(1, 8)))
        heard = " ".join(word for word in reference.split() if rng.random() > 0.2 + 0.1 * (n % 4)) or "x"
        tag = "" if n % 31 == 0 else f"[{rng.choice(['fin', language, language])}] "
        rows.append((f"u{n:04}", language, corpus, "ab"[n % 2], f"s{n % 40}", reference, tag + heard))
    return rows


def material(rows: list[Row], task: str = "lid+asr", languages: str = "recognised") -> Material:
    references = [
        Utterance(utt, "x.flac", text, speaker, language, group, 1.0, corpus)
        for utt, language, corpus, group, speaker, text, _ in rows
    ]
    lines = {row[0]: row[-1] for row in rows}
    hypotheses = {utt: split_language_tag(line) for utt, line in lines.items()}
    return Material(score_utterances(references, hypotheses, task=task), lines, task, "all", languages)


def intervals_of(made: Material, settings: BootstrapSettings = QUICK) -> dict[str, Any]:
    task = made.task if made.has_accuracy else "asr"
    found = intervals_of_scores(made.utterances, task=task, settings=settings, profiles=rules_of(made))
    return found


def numbers(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each leaf of nested mappings with the keys that lead to it."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from numbers(value, (*path, key))
    else:
        yield path, values


def at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("unit", ["utterance", "speaker"])
def test_a_resample_that_draws_each_unit_once_gives_the_scores_exactly(name: str, unit: str) -> None:
    """Sums over strata of speakers and groups, not over the cells that the scores come from."""
    made = material(rows_of())
    rule = rules_of(made, [name])[name]
    outcomes = outcomes_of(made.utterances)
    values, columns = with_profiles(outcomes.counts, {name: rule})
    strata = make_strata(outcomes, values, unit)
    totals = strata.totals()
    cells = CellSums(strata.keys, [totals[:, column] for column in columns[name]], strata.freedom_of_strata())
    found = rule.layout({key: values_of_measure(one) for key, one in rule.measures(cells).items()})
    scores = score_profiles(made, [name])[name]
    for path, value in numbers(found):
        if path[-1] != "largest_gap":
            assert at(scores, path) == value, path
    assert len(list(numbers(found))) >= 6


def test_every_rate_of_a_profile_has_an_interval_around_it() -> None:
    made = material(rows_of())
    scores, found = score_profiles(made), intervals_of(made)["profiles"]
    json.dumps(found, allow_nan=False)
    n_intervals = 0
    for path, interval in numbers(found):
        score = at(scores, path)
        assert (interval is None) == (score is None), path
        if interval is not None:
            assert interval[0] <= score + 1e-12 and score <= interval[1] + 1e-12, path
            n_intervals += interval[0] < interval[1]
    assert n_intervals >= 45
    without = ("reference_length", "substitutions", "deletions", "insertions", "n_utterances", "n_worst15")
    for path, score in numbers(scores):
        if isinstance(score, float) and path[-1] not in without:
            assert at(found, path), path


def test_profiles_that_count_as_we_do_have_our_intervals() -> None:
    texts = ["kala on", "talo", "ei ole hyvä"] * 20
    rows: list[Row] = [
        (
            f"u{n:03}",
            ("fin", "eng")[n % 2],
            "all",
            "g",
            f"s{n}",
            text,
            f"[{('fin', 'eng')[n * n % 5 % 2]}] {text[n % 3 :]}",
        )
        for n, text in enumerate(texts)
    ]
    found = intervals_of(material(rows))
    assert found["profiles"]["wer_basic"] == {
        key: found["wer"][key] for key in ("micro", "mean", "sd", "worst", "best", "range", "worst15", "by_language")
    }
    assert found["profiles"]["ml_superb"]["all"]["lid_accuracy"] == found["lid_accuracy"]["micro"]
    assert found["profiles"]["challenge2025"]["lid_accuracy"] == found["lid_accuracy"]["mean"]
    of_two = found["profiles"]["challenge2025"]
    assert of_two["worst15"] == pytest.approx([2 / 15 * end for end in of_two["cer"]])  # two languages, divided by 15


def test_neither_order_nor_profiles_change_a_digit() -> None:
    rows = rows_of()
    expected = json.dumps(intervals_of(material(rows)))
    random.Random(3).shuffle(rows)
    shuffled = material(rows)
    found = intervals_of(shuffled)
    assert json.dumps(found) == expected
    alone = intervals_of_scores(shuffled.utterances, settings=QUICK)
    assert alone == {**found, "profiles": {}}


def test_one_utterance_says_nothing() -> None:
    found = intervals_of(material(rows_of(1)))["profiles"]
    assert [path for path, interval in numbers(found) if interval is not None] == []
    assert found["challenge2025"]["by_language"].keys() == {"fin"}


@pytest.mark.parametrize("task", ["lid+asr", "asr", "lid"])
def test_nothing_at_all(task: str) -> None:
    found = intervals_of(material([], task))["profiles"]
    assert found.keys() == PROFILES.keys()
    assert [path for path, interval in numbers(found) if interval is not None] == []


def test_tasks_without_text_or_without_tags() -> None:
    rows = rows_of()
    text = intervals_of(material([(*row[:-1], row[-1].split("] ")[-1]) for row in rows], "asr"))["profiles"]
    assert text["ml_superb"]["all"]["cer"] and text["ml_superb2"]["normal"]["sd"] and text["wer_basic"]["worst"]
    assert text["ml_superb"]["all"]["lid_accuracy"] is None
    assert text["challenge2025"] == {**dict.fromkeys(("cer", "lid_accuracy", "worst15", "sd")), "by_language": {}}
    tags = intervals_of(material(rows, "lid"))["profiles"]
    assert tags["ml_superb"]["all"]["lid_accuracy"]
    assert (tags["ml_superb"]["all"]["cer"], tags["ml_superb2"]["micro"], tags["wer_basic"]["mean"]) == (None,) * 3
    given = intervals_of(material(rows, languages=GIVEN))["profiles"]
    assert (given["ml_superb"]["all"]["lid_accuracy"], given["challenge2025"]["lid_accuracy"]) == (None, None)
    assert given["challenge2025"]["cer"]
    assert {pair["lid_accuracy"] for pair in given["challenge2025"]["by_language"].values()} == {None}


def test_the_largest_gap_of_corpora_is_held() -> None:
    """Where no two corpora differ, the largest gap of scores is still above 0, and its interval has to reach 0."""
    rng, held = np.random.default_rng(0), {0.0: 0, 0.3: 0}
    simulations = 40
    for gap in held:
        for _ in range(simulations):
            rows: list[Row] = []
            for language in ("fin", "eng", "spa", "fra"):
                for corpus in "ab":
                    rate = 0.2 + gap * (language == "fin" and corpus == "b")
                    for n in range(30):
                        text = "".join("x" if wrong else "a" for wrong in rng.random(20) < rate)
                        name = f"{language}{corpus}{n}"
                        rows.append((name, language, corpus, language, name, "a" * 20, f"[{language}] {text}"))
            made = material(rows)
            found = intervals_of_scores(
                made.utterances, settings=BootstrapSettings(200), profiles=rules_of(made, ["ml_superb2"])
            )
            low, high = found["profiles"]["ml_superb2"]["all"]["largest_gap"]
            true = gap * 20 / 21  # the space behind the tag is a character
            held[gap] += low <= true <= high
    assert min(held.values()) >= 0.9 * simulations


def test_golden_utterances_have_intervals() -> None:
    made = material_of(golden_rows())
    found = intervals_of(made)["profiles"]
    assert (
        found["ml_superb2"]["all"]["by_language"].keys()
        == score_profiles(made)["ml_superb2"]["all"]["by_language"].keys()
    )
    low, high = found["challenge2025"]["cer"]
    assert 0 <= low < score_profiles(made)["challenge2025"]["cer"] < high


def test_intervals_of_the_challenge_cover() -> None:
    rng, held, simulations = np.random.default_rng(4), 0, 60
    for _ in range(simulations):
        rows: list[Row] = []
        for language, rate in (("fin", 0.1), ("eng", 0.3)):
            for n, length in enumerate(rng.integers(3, 20, 40)):
                own = rng.beta(4 * rate, 4 - 4 * rate)
                text = "".join("X" if wrong else "A" for wrong in rng.random(length) < own)
                rows.append(
                    (f"{language}{n}", language, "a", language, f"{language}{n}", "A" * length, f"[{language}] {text}")
                )
        made = material(rows)
        settings = BootstrapSettings(300)
        found = intervals_of_scores(made.utterances, settings=settings, profiles=rules_of(made, ["challenge2025"]))
        low, high = found["profiles"]["challenge2025"]["cer"]
        held += low <= 0.2 <= high
    assert 0.87 <= held / simulations <= 1.0
