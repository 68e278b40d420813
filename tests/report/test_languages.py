from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from asr_dro.data.data_dir import Utterance
from asr_dro.report.confusion import confusion
from asr_dro.report.inputs import Inputs, Sources
from asr_dro.report.languages import (
    MAX_BARS,
    N_WORST_BARS,
    error_chart,
    headline,
    language_rows,
    main_measure,
)
from asr_dro.scoring.hypotheses import Hypothesis
from asr_dro.scoring.scores import score_utterances, summarise


def inputs(
    triples: Iterable[tuple[str, str, str]], splits: tuple[str, ...] = ("test",), task: str = "lid+asr"
) -> Inputs:
    """Make inputs of (language, label that was recognised, text that was recognised for "abcd")."""
    numbered = [(f"u{n:04}", *triple) for n, triple in enumerate(triples)]
    references = [Utterance(utt, "", "abcd", "s", language, language, 1.0) for utt, language, _, _ in numbered]
    hypotheses = {utt: Hypothesis(text, label or None) for utt, _, label, text in numbered}
    scores = summarise(score_utterances(references, hypotheses, task=task), task=task)
    rows = [{"utt_id": utt, "language": language, "hypothesis_language": label} for utt, language, label, _ in numbered]
    sources = Sources(Path("data"), Path("exp"), "greedy", splits)
    return Inputs(sources, dict.fromkeys(splits, scores), rows, train_s={"fin": 60.0})


def test_rows_come_worst_first_with_what_is_known() -> None:
    rows = language_rows(inputs([("fin", "fin", "abcd"), ("spa", "fin", "ab"), ("tur", "tur", "xbcde")]))
    assert [row.code for row in rows] == ["spa", "tur", "fin"]
    spanish, turkish, finnish = rows
    assert (spanish.error, spanish.deletions, spanish.lid, spanish.is_worst) == (0.5, 0.5, 0.0, True)
    assert (turkish.substitutions, turkish.insertions, turkish.dev_error) == (0.25, 0.25, None)
    assert (finnish.train_s, spanish.train_s, finnish.name) == (60.0, None, "Finnish")


def test_without_text_languages_are_compared_by_wrong_tags() -> None:
    given = inputs([("fin", "fin", ""), ("fin", "spa", ""), ("spa", "spa", "")], ("dev", "test"), "lid")
    rows = language_rows(given)
    assert [(row.code, row.error, row.dev_error, row.wer, row.is_worst) for row in rows] == [
        ("fin", 0.5, 0.5, None, True),
        ("spa", 0.0, 0.0, None, False),
    ]
    numbers = headline(given)
    assert (numbers["mean"], numbers["worst"], numbers["worst_code"], numbers["lid"]) == (0.25, 0.5, "fin", 2 / 3)
    assert main_measure(given.main_scores).short == "LID error"
    found = confusion(given)
    assert found is not None
    assert found["n_wrong"] == 1


def test_without_tags_nothing_is_taken_for_anything() -> None:
    given = inputs([("fin", "", "abcx"), ("spa", "", "abcd")], task="asr")
    assert confusion(given) is None
    assert headline(given)["lid"] is None
    assert main_measure(given.main_scores).short == "CER"
    assert [(row.code, row.error, row.lid) for row in language_rows(given)] == [("fin", 0.25, None), ("spa", 0.0, None)]


def test_dev_is_shown_beside_test_only() -> None:
    triples = [("fin", "fin", "abcx")]
    assert language_rows(inputs(triples, ("dev", "test")))[0].dev_error == 0.25
    assert language_rows(inputs(triples, ("dev",)))[0].dev_error is None


@pytest.mark.parametrize(("n_languages", "n_bars"), [(MAX_BARS, MAX_BARS), (MAX_BARS + 1, N_WORST_BARS)])
def test_many_languages_get_an_overview(n_languages: int, n_bars: int) -> None:
    given = inputs([(f"l{n:03}", "", "abcx") for n in range(n_languages)])
    chart = error_chart(given, language_rows(given))
    assert len(chart["bars"]) == n_bars
    assert bool(chart["overview"]) == (n_languages > MAX_BARS)


def test_headline_names_the_worst_language() -> None:
    numbers = headline(inputs([("fin", "fin", "abcd"), ("spa", "", "ab")]))
    assert (numbers["worst_name"], numbers["worst"], numbers["mean"], numbers["lid"]) == ("Spanish", 0.5, 0.25, 0.5)
