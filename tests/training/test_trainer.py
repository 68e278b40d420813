"""Trainings on a set of noise: what they leave behind, killed and resumed, on several processes, partly frozen."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, EPOCHS, GROUP_UPDATES, LAST_CHECKPOINT, MODEL
from asr_dro.objectives.group_names import encode_names
from asr_dro.training.run import train
from tests.training.runs import assert_same_training, stop_after, train_together, write_run


def test_a_training_leaves_its_contract_behind(noise_set: Path, tmp_path: Path) -> None:
    model = train(noise_set, write_run(tmp_path / "exp"), ngpu=0)
    assert model == tmp_path / "exp" / CHECKPOINTS / MODEL
    records = [json.loads(line) for line in (tmp_path / "exp" / EPOCHS).read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    last = records[-1]
    assert set(last["dev"]["cer"]["by_language"]) == {"fin", "kat"}
    assert set(last["train"]["loss_by_group"]) == {"fin", "kat"}
    assert last["train"]["loss"] < records[0]["train"]["loss"]
    weights = sorted(path.name for path in (tmp_path / "exp" / CHECKPOINTS).glob("epoch*.pt"))
    assert len(weights) == 2, "average_best 2 keeps two epochs"
    environment = json.loads((tmp_path / "exp" / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]


@pytest.mark.parametrize(("objective", "updates"), [("ctc", 1), ("group_dro", 5), ("ctc_dro", 5), ("ctc_dro", 6)])
def test_stopped_at_any_update_it_goes_on_bit_for_bit(
    noise_set: Path, tmp_path: Path, objective: str, updates: int
) -> None:
    """Weights, moments, group weights and losses equal those of the undisturbed run, inside epochs and between them."""
    more = "--save_every_updates 1 --freeze_updates 2 --use_tensorboard false"
    whole, parts = write_run(tmp_path / "whole", objective, more), write_run(tmp_path / "parts", objective, more)
    train(noise_set, whole, ngpu=0)
    stop_after(noise_set, parts, updates)
    assert not (parts / CHECKPOINTS / MODEL).exists()
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)
    if objective != "ctc":
        assert (whole / GROUP_UPDATES).read_text() == (parts / GROUP_UPDATES).read_text() != ""


@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_train_like_one(noise_set: Path, tmp_path: Path, world: int) -> None:
    """Gloo on the CPU; batches of 1 to 4 utterances, so with 4 processes slices are empty again and again."""
    more = "--encoder_conf dropout_p=0 --max_epoch 2 --freeze_updates 2 --average_best 1"
    alone, together = write_run(tmp_path / "1", "ctc_dro", more), write_run(tmp_path / "n", "ctc_dro", more)
    train(noise_set, alone, ngpu=0)
    train_together(noise_set, together, world)
    assert_same_training(alone, together, tolerance=1e-5)


def test_frozen_parts_stay_bit_equal_and_the_head_learns_first(noise_set: Path, tmp_path: Path) -> None:
    from asr_dro.training import epoch

    experiment = write_run(tmp_path / "exp", more="--freeze_updates 4 --freeze [encoder.input.*]")
    original, seen = epoch.update, []

    def update(state: Any, grad_clip: float) -> None:
        original(state, grad_clip)
        weights = {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}
        seen.append((weights, state.model.encoder.training, state.model.training))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch, "update", update)
        train(noise_set, experiment, ngpu=0)
    for number, ((before, _, _), (after, encoder_trains, model_trains)) in enumerate(itertools.pairwise(seen), start=2):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert not any(name.startswith("encoder.input.") for name in changed)
        assert any(name.startswith("ctc.") for name in changed)
        assert any(name.startswith("encoder.") for name in changed) == (number > 4)
        assert encoder_trains == (number > 4), "dropout rests in what does not learn"
        assert model_trains


def test_a_checkpoint_of_other_groups_is_refused_with_the_difference(noise_set: Path, tmp_path: Path) -> None:
    experiment = write_run(tmp_path / "exp", "ctc_dro", "--save_every_updates 1 --use_tensorboard false")
    stop_after(noise_set, experiment, 1)
    last = experiment / CHECKPOINTS / LAST_CHECKPOINT
    state = torch.load(last, weights_only=True)
    state["model"]["objective.encoded_names"] = encode_names(("fin", "tur"))
    torch.save(state, last)
    with pytest.raises(UserError, match="tur"):
        train(noise_set, experiment, ngpu=0)


def test_a_checkpoint_inside_an_epoch_needs_as_many_processes(noise_set: Path, tmp_path: Path) -> None:
    experiment = write_run(tmp_path / "exp", more="--save_every_updates 1 --use_tensorboard false")
    stop_after(noise_set, experiment, 1)
    last = experiment / CHECKPOINTS / LAST_CHECKPOINT
    state = torch.load(last, weights_only=True)
    state["of_processes"] *= 2
    torch.save(state, last)
    with pytest.raises(UserError, match="by 2 processes and cannot be continued by 1"):
        train(noise_set, experiment, ngpu=0)


def test_tensorboard_has_the_scalars_of_an_epoch(noise_set: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    experiment = write_run(tmp_path / "exp", "ctc_dro", "--max_epoch 1 --average_best 1")
    train(noise_set, experiment, ngpu=0)
    events = EventAccumulator(str(experiment / "tensorboard"))
    events.Reload()
    record = json.loads((experiment / EPOCHS).read_text().splitlines()[0])
    assert events.Scalars("dev/cer_mean")[0].value == pytest.approx(record["dev"]["cer"]["mean"])
    assert sum(events.Scalars(f"q/{language}")[0].value for language in ("fin", "kat")) == pytest.approx(1.0)
