from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_dro.report.inputs import find_sources, read_inputs
from asr_dro.report.leaderboard import MAX_RUNS, leaderboard
from asr_dro.report.render import make_report
from asr_dro.scoring.files import read_scores
from asr_dro.scoring.stage import score_all
from tests.report.experiment import MINI, Experiment, write_experiment

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scored")
    made = write_experiment(root, MINI[:2], n_utterances=3)
    score_all(made.data, made.exp / "decode_greedy")
    return root


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> Experiment:
    """Return a scored experiment of its own, with no other beside it."""
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)
    return Experiment(tmp_path / "data" / "mini_set", next((tmp_path / "exp").iterdir()))


def own_scores(made: Experiment) -> dict[str, Any]:
    scores = read_scores(made.exp / "decode_greedy" / "test" / "scores.json")
    assert scores is not None
    return scores


def add_run(made: Experiment, tag: str, *, worst: float | None = None, change: Change | None = None) -> Path:
    """Write the scores of another run: this one's with another worst language and whatever else is to differ."""
    scores = copy.deepcopy(own_scores(made))
    if worst is not None:
        scores["cer"]["worst"] = worst
    if change:
        change(scores)
    path = made.exp.parent / tag / "decode_greedy" / "test" / "scores.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(scores), encoding="utf-8")
    return path


def table(made: Experiment) -> dict[str, Any] | None:
    return leaderboard(read_inputs(find_sources(made.data, made.exp, "greedy")))


def test_a_run_alone_has_no_leaderboard(run: Experiment) -> None:
    assert table(run) is None
    html = make_report(run.data, run.exp, "greedy")[0].read_text(encoding="utf-8")
    assert 'id="leaderboard"' not in html
    assert "#leaderboard" not in html


def test_runs_are_ranked_by_the_worst_language_and_this_one_is_marked(run: Experiment) -> None:
    worst = own_scores(run)["cer"]["worst"]
    add_run(run, "better", worst=worst / 2)
    add_run(run, "as good", worst=worst)
    add_run(run, "worse", worst=worst * 2)
    found = table(run)
    assert found is not None
    assert [(row.tag, row.place) for row in found["runs"]] == [
        ("better", 1),
        ("as good", 2),
        (run.exp.name, 2),
        ("worse", 4),
    ]
    assert [row.is_this for row in found["runs"]] == [False, False, True, False]
    assert (found["n_runs"], found["place"], found["has_decodings"]) == (4, 2, False)
    html = make_report(run.data, run.exp, "greedy")[0].read_text(encoding="utf-8")
    assert html.count('class="badge"') == 1
    assert "4 scored runs of the same data" in html


def test_other_decodings_of_the_same_run_stand_beside_it(run: Experiment) -> None:
    beam = run.exp / "decode_beam" / "test" / "scores.json"
    beam.parent.mkdir(parents=True)
    beam.write_text(json.dumps(own_scores(run)), encoding="utf-8")
    found = table(run)
    assert found is not None
    assert sorted((row.decode, row.is_this) for row in found["runs"]) == [("beam", False), ("greedy", True)]
    assert found["has_decodings"]


def _fewer_utterances(scores: dict[str, Any]) -> None:
    scores["counts"]["by_language"]["fin"]["n_utterances"] -= 1


def _another_language(scores: dict[str, Any]) -> None:
    scores["counts"]["by_language"]["spa"] = scores["counts"]["by_language"].pop("fin")


def _other_text(scores: dict[str, Any]) -> None:
    scores["counts"]["by_language"]["fin"]["cer"]["reference_length"] += 1


@pytest.mark.parametrize(
    "change",
    [_fewer_utterances, _another_language, _other_text, lambda scores: scores.update(task="asr")],
)
def test_runs_of_other_data_are_not_compared(run: Experiment, change: Change) -> None:
    add_run(run, "same")
    add_run(run, "other", change=change)
    found = table(run)
    assert found is not None
    assert sorted(row.tag for row in found["runs"]) == sorted(["same", run.exp.name])
    assert found["n_other_data"] == 1


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"counts": null}', '{"counts": {"by_language": {"fin": 3}}}', "\ufffe\x00"],
)
def test_scores_that_cannot_be_read_are_counted_and_left_out(run: Experiment, content: str) -> None:
    add_run(run, "same")
    add_run(run, "damaged").write_text(content, encoding="utf-8")
    found = table(run)
    assert found is not None
    assert (found["n_runs"], found["n_unreadable"]) == (2, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: scores["cer"].update(worst=None),
        lambda scores: scores["cer"].update(worst="much"),
        lambda scores: scores["cer"].update(mean=float("nan")),
        lambda scores: scores.pop("cer"),
        lambda scores: scores.update(lid_accuracy=[]),
        lambda scores: scores["cer"].update(by_language=None),
    ],
)
def test_odd_values_in_another_run_do_no_harm(run: Experiment, change: Change) -> None:
    add_run(run, "same")
    add_run(run, "odd", change=change)
    found = table(run)
    assert found is not None
    assert (found["n_runs"], found["n_unreadable"]) == (2, 1)


def test_of_many_runs_the_best_are_shown_and_this_one(run: Experiment) -> None:
    for number in range(MAX_RUNS + 5):
        add_run(run, f"run_{number}", worst=0.0)
    found = table(run)
    assert found is not None
    assert (len(found["runs"]), found["n_runs"]) == (MAX_RUNS, MAX_RUNS + 6)
    assert found["runs"][-1].is_this
    assert found["place"] == MAX_RUNS + 6


def test_links_lead_to_reports_that_are_there(run: Experiment) -> None:
    tag = 'a"><script>:#?'
    report = add_run(run, tag).parents[2] / "report.html"
    add_run(run, "no_report")
    report.write_text("", encoding="utf-8")
    found = table(run)
    assert found is not None
    links = {row.tag: row.report for row in found["runs"]}
    assert links == {tag: "../a%22%3E%3Cscript%3E%3A%23%3F/report.html", "no_report": "", run.exp.name: ""}
    html = make_report(run.data, run.exp, "greedy")[0].read_text(encoding="utf-8")
    assert tag not in html
    assert re.findall(r'<a href="(\.\.[^"]*)"', html) == [links[tag]]


def test_a_new_run_makes_the_report_stale_and_its_report_too(run: Experiment) -> None:
    assert make_report(run.data, run.exp, "greedy")[1]
    path = add_run(run, "new")
    assert make_report(run.data, run.exp, "greedy")[1]
    assert not make_report(run.data, run.exp, "greedy")[1]
    report = path.parents[2] / "report.html"
    report.write_text("", encoding="utf-8")
    assert make_report(run.data, run.exp, "greedy")[1]
    report.write_text("made again", encoding="utf-8")
    assert not make_report(run.data, run.exp, "greedy")[1], "or two runs' reports would make each other stale for ever"


def test_the_same_experiment_under_another_path_is_not_another_run(
    run: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.exp)
    assert leaderboard(read_inputs(find_sources(run.data, Path(), "greedy"))) is None


def test_given_languages_are_said_and_not_counted_as_recognised(run: Experiment) -> None:
    assert own_scores(run)["lid_accuracy"]["micro"] is not None
    shutil.copytree(run.exp, run.exp.parent / "told")
    for made in (run.exp.parent / "told", run.exp):
        (made / "decode_greedy" / "test" / ".done.json").write_text(
            json.dumps({"config": {"languages": "given"}}), encoding="utf-8"
        )
        score_all(run.data, made / "decode_greedy")
        found = table(run)
        assert found is not None
        told = [(one.tag, one.lid) for one in found["runs"] if one.given]
        assert told == sorted((name, None) for name in ("told", run.exp.name)[: 1 + (made == run.exp)])
    html = make_report(run.data, run.exp, "greedy")[0].read_text(encoding="utf-8")
    assert "greedy decoding, languages given" in html
    assert "Language identified" not in html
    assert "Mean WER" in html
