"""Intervals of means over corpora, of their gap, and of each corpus of a language."""

from __future__ import annotations

import random

import pytest

from asr_dro.scoring.bootstrap import intervals_of_scores
from asr_dro.scoring.scores import summarise
from tests.scoring.outcomes import Row, inside, scored

RNG = random.Random(5)
ROWS = [Row(f"u{n}", f"l{n % 3}", RNG.randrange(10 + 5 * (n % 3)), RNG.randrange(20, 60)) for n in range(90)]


def test_means_over_corpora_their_gaps_and_each_corpus() -> None:
    rows = [row._replace(corpus="xyz"[n % (2 + (row.language == "l0"))]) for n, row in enumerate(ROWS)]
    utterances = scored(rows)
    scores, intervals = summarise(utterances), intervals_of_scores(utterances)
    for metric in ("cer", "wer"):
        values, found = scores["macro_corpus"][metric], intervals["macro_corpus"][metric]
        assert set(values) - set(found) == {"worst_language", "best_language", "n_worst15", "largest_gap_language"}
        for name in ("mean", "sd", "worst", "best", "range", "worst15", "largest_gap"):
            assert inside(values[name], found[name]), name
            assert found[name][0] < found[name][1]
        for language, by_corpus in values["by_language_and_corpus"].items():
            assert inside(values["by_language"][language], found["by_language"][language])
            assert list(by_corpus) == list(found["by_language_and_corpus"][language])
            for corpus, value in by_corpus.items():
                low, high = found["by_language_and_corpus"][language][corpus]
                assert low < value < high
    widths = [high - low for low, high in intervals["macro_corpus"]["cer"]["by_language_and_corpus"]["l1"].values()]
    low, high = intervals["macro_corpus"]["cer"]["by_language"]["l1"]
    assert high - low == pytest.approx(sum(width**2 for width in widths) ** 0.5 / 2, rel=0.1), "of independent halves"


def test_means_over_single_corpora_are_the_languages() -> None:
    found = intervals_of_scores(scored(ROWS))
    macro = found["macro_corpus"]["cer"]
    for name in ("mean", "sd", "worst", "best", "range", "worst15", "by_language"):
        assert macro[name] == found["cer"][name], name
    assert macro["largest_gap"] is None
    assert macro["by_language_and_corpus"]["l0"] == {"all": found["cer"]["by_language"]["l0"]}


def test_corpora_without_references() -> None:
    rows = [Row(f"a{n}", "fin", n % 5, 20, corpus="xy"[n % 2]) for n in range(40)]
    rows += [Row(f"b{n}", "fin", 1, 0, corpus="empty") for n in range(3)]
    rows += [Row(f"c{n}", "kat", 1, 0, corpus="empty") for n in range(3)]
    scores, found = summarise(scored(rows))["macro_corpus"]["cer"], intervals_of_scores(scored(rows))
    macro = found["macro_corpus"]["cer"]
    assert macro["by_language_and_corpus"]["fin"]["empty"] is None
    assert macro["by_language_and_corpus"]["kat"] == {"empty": None}
    assert macro["by_language"]["kat"] is None
    assert inside(scores["by_language"]["fin"], macro["by_language"]["fin"])
    assert inside(scores["largest_gap"], macro["largest_gap"])
