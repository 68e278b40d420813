from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro import config
from asr_dro.batching import BatchingConfig, EpochBatches
from asr_dro.bin import compose_config
from asr_dro.errors import UserError
from asr_dro.objectives import OBJECTIVES

VALID: dict[str, Any] = {
    "encoder": "separable_conv",
    "optim": "adam",
    "max_epoch": 2,
    "objective": "ctc",
    "batching": {"kind": "mixed", "batches_per_update": 1},
    "seed": 1,
}


@pytest.mark.parametrize("objective", sorted(path.stem for path in (config.REPOSITORY / "conf/objective").glob("*")))
@pytest.mark.parametrize("model", sorted(path.stem for path in (config.REPOSITORY / "conf/model").glob("*")))
def test_every_model_composes_with_every_objective(model: str, objective: str) -> None:
    composed = config.compose_run(model, objective, seed=3, train_args="")
    assert composed["objective"] in OBJECTIVES
    assert composed["seed"] == 3


def test_later_parts_win_at_every_depth() -> None:
    composed = config.compose([VALID, {"optim_conf": {"lr": 1.0, "eps": 2.0}}, {"optim_conf": {"lr": 3.0}}])
    assert composed["optim_conf"] == {"lr": 3.0, "eps": 2.0}


def test_all_mistakes_at_once() -> None:
    wrong = VALID | {
        "max_epoc": 3,
        "max_epoch": "two",
        "select_by": "luck",
        "average_best": 0,
        "batching": {"kind": "purple"},
        "objective": "ctcdro",
    }
    with pytest.raises(UserError) as caught:
        config.compose([wrong])
    for part in ("did you mean max_epoch", "'two'", "luck", "average_best", "purple", "ctcdro"):
        assert part in str(caught.value)


def test_true_is_not_a_number() -> None:
    with pytest.raises(UserError, match="max_epoch must be int"):
        config.compose([VALID, {"max_epoch": True}])


def test_numbers_without_a_dot_are_numbers(tmp_path: Path) -> None:
    """PyYAML, and so ESPnet, reads ``1e-4`` as a string."""
    (tmp_path / "a.yaml").write_text("optim_conf: {lr: 1e-4}\n")
    assert config.load_yaml(tmp_path / "a.yaml") == {"optim_conf": {"lr": 1e-4}}
    assert config.parse_overrides("--optim_conf lr=1e-4") == {"optim_conf": {"lr": 1e-4}}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("--max_epoch 3 --patience=2", {"max_epoch": 3, "patience": 2}),
        ("--optim_conf.lr 0.5 --optim_conf eps=1", {"optim_conf": {"lr": 0.5, "eps": 1}}),
        ("--encoder 'a b'", {"encoder": "a b"}),
        ("--specaug null --freeze [a,b]", {"specaug": None, "freeze": ["a", "b"]}),
        ("--encoder $(touch harm)", None),
        ("max_epoch 3", None),
        ("--max_epoch", None),
        ("--max_epoch --seed 3", None),
        ("--encoder 'unbalanced", None),
    ],
)
def test_train_args(arguments: str, expected: dict[str, Any] | None) -> None:
    if expected is None:
        with pytest.raises(UserError, match="--train-args"):
            config.parse_overrides(arguments)
    else:
        assert config.parse_overrides(arguments) == expected


@given(st.text(max_size=40))
def test_hostile_train_args_give_a_mapping_or_a_message(arguments: str) -> None:
    with contextlib.suppress(UserError):
        assert isinstance(config.parse_overrides(arguments), dict)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", "a: ${nowhere}\n", "\x00"])
def test_unreadable_yaml_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"broken\.yaml"):
        config.load_yaml(path)


def test_a_recipes_own_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "conf" / "model"
    own.mkdir(parents=True)
    (own / "separable_conv.yaml").write_text("max_epoch: 77\n")
    monkeypatch.chdir(tmp_path)
    assert config.load_yaml(config.find_config("model", "separable_conv")) == {"max_epoch": 77}


def test_unknown_choice_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"no model is called 'sepconv'.*separable_conv"):
        config.find_config("model", "sepconv")


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return ``conf/lang/fin.yaml`` of a recipe in the current directory, over a repository that has one too."""
    repository, recipe = tmp_path / "repository", tmp_path / "recipe"
    for folder, text in (
        (repository / "conf/model", "encoder: separable_conv\noptim: adam\noptim_conf: {lr: 1e-3, eps: 0.5}\n"),
        (repository / "conf/objective", "max_epoch: 9\nobjective: ctc\nbatching: {kind: mixed}\n"),
        (repository / "conf/lang", "max_epoch: 8\npatience: 3\n"),
        (recipe / "conf/lang", "max_epoch: 8\noptim_conf: {lr: 2e-3}\nencoder_conf: {dropout_p: 0.3}\n"),
    ):
        folder.mkdir(parents=True)
        (folder / f"{'fin' if folder.name == 'lang' else 'one'}.yaml").write_text(text)
    monkeypatch.chdir(recipe)
    monkeypatch.setattr(config, "REPOSITORY", repository)
    return recipe / "conf/lang/fin.yaml"


def test_a_language_overlays_the_model_and_the_objective_the_language(overlay: Path) -> None:
    composed = config.compose_run("one", "one", seed=1, languages=["fin"])
    assert composed["optim_conf"] == {"lr": 2e-3, "eps": 0.5}, "key by key over the model"
    assert composed["encoder_conf"] == {"dropout_p": 0.3}
    assert composed["max_epoch"] == 9, "the objective's file wins"
    assert "patience" not in composed, "the recipe's file stands in the place of the repository's"
    told = config.compose_run("one", "one", seed=1, languages=["fin"], train_args="--optim_conf lr=4")
    assert told["optim_conf"]["lr"] == 4
    overlay.unlink()
    assert config.compose_run("one", "one", seed=1, languages=["fin"])["patience"] == 3


@pytest.mark.parametrize("languages", [[], ["spa"], ["fin", "spa"]])
def test_only_a_single_language_takes_its_overlay(overlay: Path, languages: list[str]) -> None:
    composed = config.compose_run("one", "one", seed=1, languages=languages)
    assert composed["optim_conf"] == {"lr": 1e-3, "eps": 0.5}
    assert [path.parent.name for path in config.run_config_files("one", "one", languages)] == ["model", "objective"]


def test_a_mistake_in_an_overlay_is_a_mistake(overlay: Path) -> None:
    overlay.write_text("encoder_cnf: {dropout_p: 0.3}\n")
    with pytest.raises(UserError, match="did you mean encoder_conf"):
        config.compose_run("one", "one", seed=1, languages=["fin"])


def test_train_yaml_names_what_it_was_composed_of(overlay: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    config.write_run_config(path, VALID, config.run_config_files("one", "one", ["fin"]))
    second = path.read_text().splitlines()[1]
    assert second == "# From conf/model/one.yaml, conf/lang/fin.yaml, conf/objective/one.yaml and --train-args."
    assert config.load_yaml(path) == VALID


def run_compose_config(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run the entry point as run.sh does."""
    monkeypatch.setattr("sys.argv", ["compose_config", "--model", "one", "--objective", "one", *arguments])
    compose_config.main()


def test_the_entry_point_resolves_the_language_set(overlay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_compose_config(monkeypatch, "--lang-set", "fi", "--out", "fin.yaml")
    assert config.load_yaml(Path("fin.yaml"))["optim_conf"]["lr"] == 2e-3
    run_compose_config(monkeypatch, "--lang-set", "fi,es", "--out", "both.yaml")
    assert config.load_yaml(Path("both.yaml"))["optim_conf"]["lr"] == 1e-3


def test_the_entry_point_tells_the_mistakes_of_all_files_at_once(
    overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data.yaml").write_text("txt: basic\ntokens: {type: words}\n")
    with pytest.raises(UserError) as caught:
        run_compose_config(
            monkeypatch, "--data-conf", "data.yaml", "--lang-set", "fin,xx9", "--train-args", "--epochs 3"
        )
    for part in ("did you mean text", "'xx9'", "epochs is not a key"):
        assert part in str(caught.value)
    assert not list(Path().glob("*train*"))


def test_a_begun_training_keeps_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "exp" / "train.yaml"
    config.write_run_config(path, VALID)
    before = path.stat().st_mtime_ns
    config.write_run_config(path, VALID)
    assert path.stat().st_mtime_ns == before, "the same configuration leaves the file alone"
    config.write_run_config(path, VALID | {"max_epoch": 3})  # nothing is trained yet: it may change
    (path.parent / "checkpoints").mkdir()
    config.write_run_config(path, VALID)  # stopped by a mistake before the first epoch: it may still change
    config.write_run_config(path, VALID | {"max_epoch": 3})
    (path.parent / "checkpoints" / "last.pt").touch()
    with pytest.raises(UserError, match="max_epoch: 3 -> 4"):
        config.write_run_config(path, VALID | {"max_epoch": 4})
    assert config.load_yaml(path) == VALID | {"max_epoch": 3}


def test_every_objective_spends_the_same_audio_per_update() -> None:
    """Otherwise a comparison of objectives would be one of budgets."""
    generator = np.random.default_rng(0)
    durations_s = generator.uniform(1.5, 5.0, size=1200)
    spent = {}
    for path in sorted((config.REPOSITORY / "conf/objective").glob("*.yaml")):
        batching = config.compose_run("separable_conv", path.stem, seed=1)["batching"]
        options = BatchingConfig.from_mapping(batching)
        batches = EpochBatches(durations_s, np.arange(1200) % 6, 6, config=options, seed=1)
        spent[path.stem] = batches.describe()["seconds_per_update"]
    assert spent == pytest.approx(dict.fromkeys(spent, 20.0), rel=0.05)
