"""Our model and batches inside ESPnet, and what is refused before training, on a set of noise."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, LAST_CHECKPOINT
from asr_dro.training.run import check_inputs, find_unknown_options
from tests.training.runs import build


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


def test_data_that_changed_under_a_training_are_refused(noise_set: Path, tmp_path: Path) -> None:
    copy = tmp_path / "set"
    shutil.copytree(noise_set, copy)
    check_inputs(copy, tmp_path / "exp")
    (tmp_path / "exp" / CHECKPOINTS / LAST_CHECKPOINT).touch()
    check_inputs(copy, tmp_path / "exp")
    with open(copy / "tokens.txt", "a", encoding="utf-8") as file:
        file.write("x\n")
    with pytest.raises(UserError, match="other data"):
        check_inputs(copy, tmp_path / "exp")
    (tmp_path / "exp" / CHECKPOINTS / LAST_CHECKPOINT).unlink()
    check_inputs(copy, tmp_path / "exp")  # nothing was trained on the old data: the new ones will do


def test_missing_stages_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run stages 1 to 3"):
        check_inputs(tmp_path / "nothing", tmp_path / "exp")


@pytest.mark.parametrize(
    ("freeze", "freeze_updates", "message"),
    [
        (["nowhere.*"], 0, "no parameter fits 'nowhere"),
        (["*"], 0, "left to learn"),
        (["ctc.*"], 5, "no parameter of a head"),
    ],
)
def test_freezing_that_makes_no_sense_is_refused(
    noise_set: Path, tmp_path: Path, freeze: list[str], freeze_updates: int, message: str
) -> None:
    from asr_dro.training.freezing import FreezeSchedule

    model, _ = build(noise_set, tmp_path)
    with pytest.raises(UserError, match=re.escape(message)):
        FreezeSchedule(model, freeze, freeze_updates=freeze_updates)


def test_batch_norm_and_batches_of_one_language_give_a_warning(
    noise_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from asr_dro.training.trainer import warn_about_batch_norm

    model, _ = build(noise_set, tmp_path)
    caplog.clear()
    warn_about_batch_norm(model)
    assert not caplog.records, "our own encoder has none"
    model.encoder.norm = torch.nn.BatchNorm1d(8)
    warn_about_batch_norm(model)
    assert "1 BatchNorm layers (encoder.norm, ...)" in caplog.text


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
