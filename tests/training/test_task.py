"""Our model, batches and trainer inside ESPnet, on a set of noise."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from asr_dro.config import compose_run, write_run_config
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, EPOCHS, GROUP_UPDATES, LAST_CHECKPOINT, MODEL, TRAIN_CONFIG
from asr_dro.training.run import check_inputs, espnet_arguments, find_unknown_options, train

TINY = (
    "--max_epoch 3 --encoder_conf channels=8 --encoder_conf blocks=1 --average_best 2 --num_workers 0 "
    "--batching.seconds_per_update 3"
)


def write_run(experiment: Path, objective: str = "ctc", more: str = "") -> Path:
    config = compose_run("separable_conv", objective, seed=1, train_args=f"{TINY} {more}")
    write_run_config(experiment / TRAIN_CONFIG, config)
    return experiment


def build(noise_set: Path, experiment: Path, **changes: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Return a model in eval mode and the batches of its first epoch."""
    from espnet2.train.distributed_utils import DistributedOption

    from asr_dro.task import GroupRobustASRTask
    from asr_dro.training.batches import BatchFactory

    config = compose_run("separable_conv", "ctc", seed=1, train_args=TINY) | changes
    arguments = espnet_arguments(config, noise_set, experiment, ngpu=0)
    torch.manual_seed(0)
    model = GroupRobustASRTask.build_model(arguments)
    factory = GroupRobustASRTask.build_iter_factory(arguments, DistributedOption(), "train")
    assert isinstance(factory, BatchFactory)
    return model.eval(), [batch for _, batch in factory.build_iter(1)]


def test_losses_per_utterance_are_those_of_pytorch(noise_set: Path, tmp_path: Path) -> None:
    model, batches = build(noise_set, tmp_path)
    batch = batches[0]
    losses, infeasible = model.utterance_losses(batch)
    assert not infeasible.any()
    for row in range(len(losses)):
        speech = batch["speech"][row : row + 1, : batch["speech_lengths"][row]]
        labels = batch["text"][row, : batch["text_lengths"][row]]
        logits, lengths = model.ctc_logits(speech, torch.tensor([speech.size(1)]))
        expected = functional.ctc_loss(logits[0].log_softmax(-1), labels, lengths[0], torch.tensor(len(labels)))
        assert losses[row].item() == pytest.approx(expected.item() * len(labels), rel=1e-4)


def test_greedy_decoding_of_a_batch_equals_one_by_one(noise_set: Path, tmp_path: Path) -> None:
    model, batches = build(noise_set, tmp_path)
    for batch in batches:
        together = model.greedy(batch["speech"], batch["speech_lengths"])
        alone = [
            model.greedy(speech[None, :length], length[None])[0]
            for speech, length in zip(batch["speech"], batch["speech_lengths"], strict=True)
        ]
        assert together == alone
        assert any(together), "an untrained model must emit something for the comparison to mean anything"


def test_utterances_too_short_for_their_labels_are_marked(noise_set: Path, tmp_path: Path) -> None:
    model, batches = build(noise_set, tmp_path)
    batch = dict(batches[0])
    batch["speech_lengths"] = batch["speech_lengths"].clone()
    batch["speech_lengths"][-1] = 2_000  # 0.125 s: 4 frames of 30 ms
    losses, infeasible = model.utterance_losses(batch)
    assert infeasible.tolist() == [False] * (len(losses) - 1) + [True]
    loss, _, weight = model.train()(**batch)
    assert torch.isfinite(loss)
    assert weight.item() == len(losses) - 1


def test_every_utterance_once_and_groups_travel_with_them(noise_set: Path, tmp_path: Path) -> None:
    _, batches = build(noise_set, tmp_path)
    groups = torch.cat([batch["group"][:, 0] for batch in batches])
    assert sorted(groups.tolist()) == [0] * 6 + [1] * 6


def test_unknown_classes_and_options_are_found_together() -> None:
    from asr_dro.task import choices

    classes = {name: table.classes for name, table in choices().items()}
    config = {"encoder": "separable_conv", "encoder_conf": {"width": 3}, "frontend": "nothing", "normalize": None}
    problems = "\n".join(find_unknown_options(config, classes))
    assert "no option 'width'; it has: blocks, channels" in problems
    assert "frontend: 'nothing' is unknown; allowed: default" in problems


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


def assert_same_training(first: Path, second: Path, *, tolerance: float) -> None:
    expected = torch.load(first / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)
    found = torch.load(second / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)
    assert expected["updates"] == found["updates"]
    for key, value in expected["model"].items():
        torch.testing.assert_close(found["model"][key], value, atol=tolerance, rtol=tolerance, msg=key)
    for one, other in zip(expected["history"], found["history"], strict=True):
        assert one["train"]["loss_by_group"] == pytest.approx(
            other["train"]["loss_by_group"], rel=max(tolerance, 1e-12)
        )
        assert one["dev"]["loss"] == pytest.approx(other["dev"]["loss"], rel=max(tolerance, 1e-12))


def stop_after(noise_set: Path, experiment: Path, updates: int) -> None:
    """Train, and die once the checkpoint after so many updates is written."""
    from asr_dro.training.trainer import TrainingRun

    original = TrainingRun._save

    def save(run: TrainingRun) -> None:
        original(run)
        if run.state.updates == updates:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "_save", save)
        with pytest.raises(KeyboardInterrupt):
            train(noise_set, experiment, ngpu=0)


@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_train_like_one(noise_set: Path, tmp_path: Path, world: int) -> None:
    """Gloo on the CPU; batches of 1 to 4 utterances, so with 4 processes slices are empty again and again."""
    more = "--encoder_conf dropout_p=0 --max_epoch 2 --freeze_updates 2 --average_best 1"
    alone, together = write_run(tmp_path / "1", "ctc_dro", more), write_run(tmp_path / "n", "ctc_dro", more)
    train(noise_set, alone, ngpu=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")  # ESPnet is imported already: a spawned process would do it anew
    processes = [
        context.Process(target=train_as, args=(rank, world, port, noise_set, together)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * world
    assert_same_training(alone, together, tolerance=1e-5)


def train_as(rank: int, world: int, port: int, noise_set: Path, experiment: Path) -> None:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
    os.environ.update({name: str(value) for name, value in places.items()})
    torch.set_num_threads(1)
    train(noise_set, experiment, ngpu=0)


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


def test_a_gradient_that_is_not_finite_changes_nothing(noise_set: Path, tmp_path: Path) -> None:
    from asr_dro.training.epoch import update
    from asr_dro.training.state import TrainingState

    model, batches = build(noise_set, tmp_path)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    state = TrainingState(model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1), None)
    model.train()(**batches[0])[0].backward()
    update(state, 1.0)
    before = [parameter.clone() for parameter in model.parameters()]
    moments = optimizer.state_dict()["state"][0]["exp_avg"].clone()
    rate = optimizer.param_groups[0]["lr"]
    model(**batches[0])[0].backward()
    next(model.parameters()).grad[0] = float("nan")
    update(state, 1.0)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert torch.equal(optimizer.state_dict()["state"][0]["exp_avg"], moments)
    assert optimizer.param_groups[0]["lr"] == rate
    assert (state.updates, state.skipped_updates) == (1, 1)


def test_data_that_changed_under_a_training_are_refused(noise_set: Path, tmp_path: Path) -> None:
    copy = tmp_path / "set"
    shutil.copytree(noise_set, copy)
    check_inputs(copy, tmp_path / "exp")
    check_inputs(copy, tmp_path / "exp")
    with open(copy / "tokens.txt", "a", encoding="utf-8") as file:
        file.write("x\n")
    with pytest.raises(UserError, match="other data"):
        check_inputs(copy, tmp_path / "exp")


def test_missing_stages_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run stages 1 to 3"):
        check_inputs(tmp_path / "nothing", tmp_path / "exp")
