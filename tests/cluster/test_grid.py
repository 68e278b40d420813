"""Grids: what they expand to, what they are called, and mistakes in them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.cluster.grid import Grid, Run, data_runs, expand, read_grid, shard_data
from asr_dro.cluster.jobs import read_job, read_jobs, write_jobs
from asr_dro.cluster.options import as_arguments, data_labels, run_options
from asr_dro.data.languages import parse_lang_set
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT

SWEEP = """
axes:
  lang_set: [mini6, "fin,kat"]
  objective: [ctc, ctc_dro]
  seed: [1, 2]
sweeps:
  ctc_dro: {objective_conf.step_size: [1e-3, 1e-4]}
  "*": {optim_conf.lr: [0.002]}
options: {train_args: --max_epoch 2}
"""


def grid_of(tmp_path: Path, text: str) -> Path:
    (tmp_path / "grid.yaml").write_text(text)
    return tmp_path / "grid.yaml"


def test_the_options_are_those_that_run_sh_declares() -> None:
    shown = subprocess.run([ROOT / "run.sh", "--help"], capture_output=True, text=True, check=True).stdout
    for option in run_options().values():
        assert f"  {option.flag} " in shown
        assert option.help in shown
    assert len(run_options()) == shown.count("\n  --")
    assert run_options()["lang_set"].default == "mini6"
    assert run_options()["exp_tag"].default == ""


def test_every_combination_is_a_run_with_a_name_of_its_own(tmp_path: Path) -> None:
    runs = expand(read_grid(grid_of(tmp_path, SWEEP)), {"exp_dir": "my exp"})
    assert len(runs) == 2 * 2 * (1 + 2)
    assert runs[0].tag == "separable_conv_ctc_mini6_lr0.002_s1"
    assert runs[-1].tag == "separable_conv_ctc_dro_fin+kat_lr0.002_step_size0.0001_s2"
    swept = [run for run in runs if "step_size0.001" in run.tag and run.options["seed"] == "2"]
    assert swept[0].options["train_args"].startswith("--max_epoch 2 --optim_conf.lr 0.002")
    assert "--objective_conf.step_size 0.001" in swept[0].options["train_args"]
    assert all(run.options["exp_dir"] == "my exp" for run in runs)
    assert [run.tag for run in data_runs(runs)] == ["mini_mini6", "mini_fin+kat"]


def test_stage_1_of_a_set_by_language(tmp_path: Path) -> None:
    options = {"corpus": "mini", "lang_set": "fin,kat", "data_dir": "my data", "duration": "1h", "nj": "3"}
    runs = expand(Grid({"seed": ["1", "2"]}, {}, {**options, "data_conf": "packed"}), {})
    (whole,) = data_runs(runs)
    shards = shard_data(whole, ["fin", "kat"])
    assert [shard.options for shard in shards] == [{**whole.options, "lang_set": code} for code in ("fin", "kat")]
    assert [shard.tag for shard in shards] == ["mini_fin_1h_packed", "mini_kat_1h_packed"]
    assert shards[0].options["nj"] == "3"
    assert [shard.tag for shard in shard_data(Run("mini_mini6", {}), ["fin"])] == ["mini_fin"]
    labels = parse_lang_set("all143")
    assert len({shard.tag for shard in shard_data(Run("all", {"lang_set": "all143"}), labels)}) == len(labels)


def test_a_set_that_chooses_corpora_of_a_language_is_not_cut_up() -> None:
    """A label alone would take all corpora, and draw other clips."""
    whole = Run("common_voice_zh-TW", {"corpus": "common_voice", "lang_set": "fin,zh-TW"})
    assert shard_data(whole, ["cmn", "fin"]) == [whole]


def test_without_hyper_parameters_the_name_is_that_of_run_sh(tmp_path: Path) -> None:
    """The same run by hand and in a grid is the same experiment."""
    grid = read_grid(grid_of(tmp_path, 'axes: {lang_set: ["kat,fin"], duration: [10min], objective: [ctc_dro]}'))
    (run,) = expand(grid, {})
    script = '. "$0/utils/lang_set.sh"; data_label kat,fin 10min default'
    label = subprocess.run(["bash", "-c", script, str(ROOT)], capture_output=True, text=True, check=True).stdout.strip()
    assert run.tag == f"separable_conv_ctc_dro_{label}_s1"


def test_one_job_for_each_language(tmp_path: Path) -> None:
    runs = expand(read_grid(grid_of(tmp_path, "axes: {lang_set: {each_of: all143}}")), {"seed": "3"})
    assert len(runs) == len(data_runs(runs)) == 143
    assert runs[0].tag == "separable_conv_ctc_abk_s3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axis: {seed: [1]}", "axis is not a key; did you mean axes"),
        ("axes: {sed: [1]}", "axes: sed is not an option; did you mean seed"),
        ("axes: {stage: [1]}", "axes: stage is not an option"),
        ("axes: {exp_tag: [a, b]}", "axes: exp_tag is not an option"),
        ("axes: {seed: 1}", "seed must be a list of values, not 1"),
        ("axes: {seed: []}", "seed must be a list of values"),
        ("axes: {seed: [1, 1]}", "seed has a value twice"),
        ("axes: {lang_set: {each_of: nowhere}}", "nowhere"),
        ("axes: {seed: [1]}\noptions: {seed: 2}", "seed is in axes and in options"),
        ("axes: [1]", "axes must hold keys and values"),
        ("sweeps: {ctc: [1]}", "sweeps.ctc must hold keys and lists"),
        ("sweeps: {ctc: {lr: 1}}", "ctc.lr must be a list of values"),
    ],
)
def test_mistakes_in_a_grid_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_grid(grid_of(tmp_path, text))
    assert message in str(caught.value)
    assert "grid.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("axes: {objective: [ctc, ctk]}", {}, "no objective is called 'ctk'"),
        ("axes: {seed: [1]}", {"train_args": "--max_epoch many"}, "max_epoch must be int"),
        ("axes: {seed: [1]}", {"seed": "2"}, "seed: an axis of the grid"),
        ("axes: {seed: [one]}", {}, "seed is 'one', not a whole number"),
        ("axes: {corpus: [mini, manifest]}", {}, "two runs would be called .* they differ in corpus only"),
        ("axes: {train_args: [--max_epoch 1, --max_epoch 2]}", {}, "they differ in train_args only"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_submitted(
    tmp_path: Path, text: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        expand(read_grid(grid_of(tmp_path, text)), options)


ANY_VALUE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\0"), max_size=20)


@given(values=st.lists(ANY_VALUE, min_size=1, max_size=3))
def test_any_value_comes_back_from_the_list_as_it_was(
    values: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("jobs") / "jobs.tsv"
    runs = [Run(f"tag{number}", {"train_args": value, "exp_dir": value}) for number, value in enumerate(values)]
    write_jobs(path, runs)
    assert [list(job.arguments) for job in read_jobs(path)] == [
        [f"--train-args={value}", f"--exp-dir={value}"] for value in values
    ]


def test_a_line_pasted_into_a_shell_executes_nothing(tmp_path: Path) -> None:
    evil = "a'b\"c; touch evil; $(touch evil) `touch evil` * ~ \\ |&<>!"
    write_jobs(tmp_path / "jobs.tsv", [Run("tag", {"train_args": evil})])
    line = (tmp_path / "jobs.tsv").read_text().splitlines()[1].split("\t")[2]
    shown = subprocess.run(
        ["bash", "-c", f"printf %s {line}"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"--train-args={evil}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs.tsv"]


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "a\0b", "a\rb"])
def test_what_a_list_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(UserError, match="line breaks or tabs cannot be passed on: --train-args"):
        as_arguments({"train_args": value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "the first line must be index tag options"),
        (lambda lines: [lines[0], lines[2]], "the index is 1, not 0"),
        (lambda lines: [*lines[:2], "1\tb\t'--open"], "not a line of a list of jobs"),
        (lambda lines: [*lines[:2], "1 b c"], "not a line of a list of jobs"),
    ],
)
def test_a_list_that_somebody_has_cut_is_refused(tmp_path: Path, change: object, message: str) -> None:
    assert callable(change)
    path = tmp_path / "jobs.tsv"
    write_jobs(path, [Run("a", {"seed": "1"}), Run("b", {"seed": "2"})])
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(UserError, match=message):
        read_jobs(path)


def test_a_line_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_jobs(tmp_path / "jobs.tsv", [Run("a", {"seed": "1"})])
    assert read_job(tmp_path / "jobs.tsv", 0).tag == "a"
    for index in (1, -1):
        with pytest.raises(UserError, match=f"has no job {index}; it has 0 to 0"):
            read_job(tmp_path / "jobs.tsv", index)
    with pytest.raises(UserError, match="is not there"):
        read_jobs(tmp_path / "other.tsv")


def test_ten_thousand_jobs_are_listed_in_two_seconds(tmp_path: Path) -> None:
    text = f"axes:\n  lang_set: {{each_of: all143}}\n  seed: {list(range(1, 71))}\n"
    before = time.process_time()
    runs = expand(read_grid(grid_of(tmp_path, text)), {})
    write_jobs(tmp_path / "jobs.tsv", runs)
    write_jobs(tmp_path / "data.tsv", data_runs(runs))
    assert len(read_jobs(tmp_path / "jobs.tsv")) == 10_010
    assert time.process_time() - before < 2.0


def test_labels_of_many_choices_are_those_of_one() -> None:
    choices = [("kat,fin", "all", "default"), ("mini6", "1h", "pieces"), ("fin,kat", "all", "default")]
    labels = data_labels(choices)
    assert labels == {choice: data_labels([choice])[choice] for choice in choices}
    assert labels["mini6", "1h", "pieces"] == "mini6_1h_pieces"
