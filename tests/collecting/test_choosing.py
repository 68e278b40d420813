"""Settings that tell runs apart, seeds pooled, hyper-parameters chosen on dev."""

from __future__ import annotations

import logging
import statistics
from pathlib import Path
from typing import Any

import pytest

from asr_dro.collecting.choosing import best_on_dev, pool_seeds, sort_entries
from asr_dro.collecting.entries import Entry, read_entries
from asr_dro.collecting.find import find_experiments
from asr_dro.collecting.runs import read_run
from asr_dro.collecting.settings import add_settings, differences, short_settings
from asr_dro.errors import UserError
from tests.collecting.experiments import write_run, write_scored


def collected(*roots: Path, splits: tuple[str, ...] = ("test",)) -> list[Entry]:
    runs = [read_run(place) for place in find_experiments(roots)]
    return add_settings([entry for run in runs for entry in read_entries(run, splits)])


def setting(step: float, **more: Any) -> dict[str, Any]:
    return {"objective_conf": {"step_size": step, "smoothing": 0.5}, **more}


def rates(worst: float, other: float = 0.1) -> dict[str, float]:
    return {"fin": other, "hin": worst}


def test_only_what_differs_is_a_setting() -> None:
    configs: list[dict[str, Any]] = [
        {"a": {"lr": 1e-3, "b": 1}, "c": [1]},
        {"a": {"lr": 1e-4, "b": 1.0}, "c": [1]},
        {"a": {"b": 1}, "d": None},
    ]
    assert differences(configs) == [
        {"a.lr": "0.001", "c": "[1]", "d": "-"},
        {"a.lr": "0.0001", "c": "[1]", "d": "-"},
        {"a.lr": "-", "c": "-", "d": "null"},
    ]
    assert differences([configs[0]]) == [{}]


def test_what_changes_no_score_is_no_setting() -> None:
    assert differences([{"seed": 1, "num_workers": 2}, {"seed": 2, "num_workers": 4}]) == [{}, {}]
    assert differences([{"x": {"seed": 1}}, {"x": {"seed": 2}}]) == [{"x.seed": "1"}, {"x.seed": "2"}]


def test_a_mapping_that_holds_itself_ends() -> None:
    endless: dict[str, Any] = {"a": 1}
    endless["b"] = endless
    assert differences([endless, {"a": 2}])[0]["a"] == "1"


def test_settings_are_written_as_short_as_they_are_distinct() -> None:
    settings = {"encoder_conf.dropout": "0.1", "decoder_conf.dropout": "0.2", "optim_conf.lr": "1", "max_epoch": "3"}
    assert short_settings(settings) == "encoder_conf.dropout=0.1 decoder_conf.dropout=0.2 lr=1 max_epoch=3"


def test_settings_are_those_of_a_model_an_objective_and_a_set(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config=setting(1e-3), objective="ctc_dro")
    write_run(tmp_path / "b", config=setting(1e-4), objective="ctc_dro", trained=False)
    write_run(tmp_path / "c", config={"max_epoch": 7}, objective="ctc")
    write_run(tmp_path / "d", config=setting(1e-5), objective="ctc_dro", lang_set="mini_other")
    found = {entry.run.tag: entry.settings for entry in collected(tmp_path)}
    name = "objective_conf.step_size"
    assert found == {"a": {name: "0.001"}, "b": {name: "0.0001"}, "c": {}, "d": {}}


def test_pooled_seeds_are_mean_and_standard_deviation(tmp_path: Path) -> None:
    worst = {1: 0.3, 2: 0.36, 3: 0.42}
    for seed, rate in worst.items():
        write_scored(tmp_path / f"x_s{seed}", rates(rate), seed=seed)
    write_run(tmp_path / "x_s4", seed=4, trained=False)
    scored, unfinished = pool_seeds(collected(tmp_path))
    value = scored.values["worst_cer"]
    assert value.value == pytest.approx(0.36)
    assert value.n == 3
    assert value.sd == pytest.approx(statistics.stdev(worst.values()))
    assert value.low is None
    assert (scored.seeds, unfinished.state) == ((1, 2, 3), "interrupted")


def test_hours_of_a_pool_are_those_of_one_run(tmp_path: Path) -> None:
    for seed, processes in ((1, 2), (2, 4)):
        made = {"processes": processes, "commit": f"{seed}" * 40}
        write_scored(tmp_path / f"x_s{seed}", rates(0.3), seed=seed, environment=made)
    (entry,) = pool_seeds(collected(tmp_path))
    assert (entry.run.cpu_h, entry.run.gpu_h, entry.run.commit) == (1.5, None, f"{'1' * 12} {'2' * 12}")


def test_different_settings_sets_decodings_and_test_sets_are_not_pooled(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", rates(0.3), seed=1, config=setting(1e-3))
    write_scored(tmp_path / "b", rates(0.4), seed=2, config=setting(1e-4))
    write_scored(tmp_path / "c", rates(0.4), seed=3, config=setting(1e-4), lang_set="mini_other")
    write_scored(tmp_path / "d", rates(0.4), seed=4, config=setting(1e-4), decode="beam")
    write_scored(tmp_path / "e", {**rates(0.4), "kat": 0.2}, seed=5, config=setting(1e-4))
    assert [entry.seeds for entry in pool_seeds(collected(tmp_path))] == [(1,), (2,), (3,), (4,), (5,)]


def test_one_seed_keeps_its_interval(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", rates(0.3))
    (entry,) = pool_seeds(collected(tmp_path))
    assert entry.values["worst_cer"].low == 0.25
    assert entry.values["worst_cer"].sd is None


def test_the_same_seed_twice_is_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scored(tmp_path / "here" / "x_s1", rates(0.3), seed=1)
    write_scored(tmp_path / "there" / "x_s1", rates(0.5), seed=1)
    write_scored(tmp_path / "here" / "x_s2", rates(0.4), seed=2)
    with caplog.at_level(logging.WARNING):
        (entry,) = pool_seeds(collected(tmp_path / "here", tmp_path / "there"))
    assert entry.number("worst_cer") == pytest.approx(0.35)
    assert "seed 1 is there twice" in caplog.text


def test_the_worst_languages_of_seeds_are_counted(tmp_path: Path) -> None:
    for seed, scores in enumerate(({"fin": 0.4, "hin": 0.3}, {"fin": 0.3, "hin": 0.4}, {"fin": 0.3, "hin": 0.4})):
        write_scored(tmp_path / str(seed), scores, seed=seed)
    (entry,) = pool_seeds(collected(tmp_path))
    assert entry.worst_language == "hin×2 fin×1"


def test_chosen_on_dev_and_not_on_test(tmp_path: Path) -> None:
    """The setting that is best on test is the worst on dev."""
    write_scored(tmp_path / "a", rates(0.2), dev=rates(0.5), config=setting(1e-3))
    write_scored(tmp_path / "b", rates(0.3), dev=rates(0.4), config=setting(1e-4))
    write_scored(tmp_path / "c", rates(0.9), config=setting(1e-5))
    (entry,) = best_on_dev(collected(tmp_path, splits=("test", "dev")), "worst_cer")
    assert (entry.run.tag, entry.split, entry.number("worst_cer")) == ("b", "test", 0.3)
    assert entry.note == "picked on dev: worst CER, 2 runs, 1 without dev scores left out"


def test_the_measure_decides(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", rates(0.2), dev=rates(0.5, other=0.0), config=setting(1e-3))
    write_scored(tmp_path / "b", rates(0.3), dev=rates(0.4, other=0.3), config=setting(1e-4))
    entries = collected(tmp_path, splits=("test", "dev"))
    assert [entry.run.tag for entry in best_on_dev(entries, "worst_cer")] == ["b"]
    assert [entry.run.tag for entry in best_on_dev(entries, "mean_cer")] == ["a"]


def test_of_accuracies_the_highest(tmp_path: Path) -> None:
    for tag, accuracy in (("a", 0.5), ("b", 0.9)):
        write_scored(tmp_path / tag, rates(0.2), dev=rates(0.2), config=setting(accuracy))
        path = tmp_path / tag / "decode_greedy" / "dev" / "scores.json"
        path.write_text(path.read_text().replace("0.75", str(accuracy)))
    (entry,) = best_on_dev(collected(tmp_path, splits=("test", "dev")), "lid_accuracy")
    assert entry.run.tag == "b"


def test_a_setting_is_judged_by_the_mean_of_its_seeds(tmp_path: Path) -> None:
    for tag, step, seed, dev in (("a1", 1, 1, 0.1), ("a2", 1, 2, 0.7), ("b1", 2, 1, 0.3), ("b2", 2, 2, 0.3)):
        write_scored(tmp_path / tag, rates(0.2), dev=rates(dev), config=setting(step), seed=seed)
    chosen = best_on_dev(collected(tmp_path, splits=("test", "dev")), "worst_cer")
    assert [entry.run.tag for entry in chosen] == ["b1", "b2"]
    assert chosen[0].note == "picked on dev: worst CER, 4 runs of 2 settings"
    (pooled,) = pool_seeds(chosen)
    assert (pooled.seeds, pooled.note) == ((1, 2), chosen[0].note)


def test_without_dev_nothing_is_chosen(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", rates(0.2), config=setting(1e-3))
    write_scored(tmp_path / "b", rates(0.3), config=setting(1e-4))
    write_run(tmp_path / "c", config=setting(1e-5))
    chosen = best_on_dev(collected(tmp_path, splits=("test", "dev")), "worst_cer")
    assert [entry.note for entry in chosen] == ["not picked: no worst CER on dev"] * 2 + [""]
    with pytest.raises(UserError, match="cannot report dev"):
        best_on_dev(collected(tmp_path, splits=("dev",)), "worst_cer")


def test_models_objectives_and_sets_do_not_compete(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", rates(0.2), dev=rates(0.2), objective="ctc")
    write_scored(tmp_path / "b", rates(0.3), dev=rates(0.3), objective="ctc_dro")
    write_scored(tmp_path / "c", rates(0.3), dev=rates(0.3), lang_set="mini_other")
    chosen = best_on_dev(collected(tmp_path, splits=("test", "dev")), "worst_cer")
    assert sorted(entry.run.tag for entry in chosen) == ["a", "b", "c"]


def test_the_best_first_and_what_is_not_scored_last(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", rates(0.5, other=0.0))
    write_scored(tmp_path / "b", rates(0.3, other=0.29))
    write_run(tmp_path / "0")
    entries = collected(tmp_path)
    assert [entry.run.tag for entry in sort_entries(entries, "worst_cer")] == ["b", "a", "0"]
    assert [entry.run.tag for entry in sort_entries(entries, "mean_cer")] == ["a", "b", "0"]
