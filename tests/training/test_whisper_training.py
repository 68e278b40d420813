"""Whisper in training: the objectives' losses, what is left out, frozen halves, labels of another model."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.bin import compose_config
from asr_dro.config import compose, compose_run, find_config, load_yaml, write_run_config
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, EPOCHS, GROUP_UPDATES, LAST_CHECKPOINT, TRAIN_CONFIG
from asr_dro.fileio import read_json_lines
from asr_dro.training.dataset import SpeechDataset
from asr_dro.training.infeasible import infeasible_utterances
from asr_dro.training.run import espnet_arguments, train
from asr_dro.training.utterances import UtteranceTable
from tests.encoders.whisper_models import read_whisper, write_whisper
from tests.training.runs import assert_same_training, stop_after, train_together, write_noise_set

QUICK = (
    "--max_epoch 1 --num_workers 0 --use_tensorboard false --optim_conf lr=1e-2 "
    "--batching.seconds_per_update 4 --batching.batches_per_update 1"
)
PUBLISHED: dict[str, Any] = {
    "vocab_size": 51_865,
    "max_source_positions": 100,
    "max_target_positions": 24,
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 50_257),
    "decoder_start_token_id": 50_258,
}


@pytest.fixture(scope="module")
def whisper_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    return write_noise_set(folder, per_language=3, data_config=find_config("data", "whisper"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network with Whisper's vocabulary that takes 24 labels: fewer than some of the set's utterances have."""
    return write_whisper(tmp_path_factory.mktemp("whisper"), **PUBLISHED)


def compose_whisper(checkpoint: Path, more: str = "", *, objective: str = "ctc") -> dict[str, Any]:
    arguments = f"{QUICK} --encoder_conf checkpoint='{checkpoint}' {more}"
    return compose_run("whisper", objective, seed=1, train_args=arguments)


def train_whisper(data_set: Path, experiment: Path, checkpoint: Path, more: str = "", **run: Any) -> dict[str, Any]:
    """Train, and return the weights before the average."""
    write_run_config(experiment / TRAIN_CONFIG, compose_whisper(checkpoint, more, **run))
    train(data_set, experiment, ngpu=0)
    weights: dict[str, Any] = torch.load(experiment / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["model"]
    return weights


def build(data_set: Path, experiment: Path, checkpoint: Path, **run: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Return a model in eval mode and the batches of its first epoch."""
    from espnet2.train.distributed_utils import DistributedOption

    from asr_dro.task import GroupRobustASRTask

    arguments = espnet_arguments(compose_whisper(checkpoint, **run), data_set, experiment, ngpu=0)
    factory = GroupRobustASRTask.build_iter_factory(arguments, DistributedOption(), "train")
    batches: Any = factory.build_iter(1)
    return GroupRobustASRTask.build_model(arguments).eval(), [batch for _, batch in batches]


def test_the_objective_gets_cross_entropies_and_leaves_out_what_does_not_fit(
    whisper_set: Path, tmp_path: Path, checkpoint: Path
) -> None:
    model, batches = build(whisper_set, tmp_path, checkpoint)
    whisper = read_whisper(checkpoint)
    left_out = 0
    for batch in batches:
        losses, infeasible = model.utterance_losses(dict(batch))
        assert torch.equal(infeasible, batch["text_lengths"] > 24)
        left_out += int(infeasible.sum())
        for row, length in enumerate(batch["text_lengths"].tolist()):
            if infeasible[row]:
                assert losses[row] == 0
                continue
            speech = batch["speech"][row : row + 1, : batch["speech_lengths"][row]]
            frames, _ = model.encode(speech, torch.tensor([speech.size(1)]))
            expected = whisper(encoder_outputs=(frames,), labels=batch["text"][row : row + 1, :length]).loss
            assert losses[row].item() == pytest.approx(length * expected.item(), rel=1e-5)
        loss, stats, _ = model.train()(**batch)
        used = stats["losses"][~stats["infeasible"]]
        assert loss.item() == pytest.approx(used.mean().item(), rel=1e-5)
        model.eval()
        assert model.evaluate(batch)[2] == model.greedy(batch["speech"], batch["speech_lengths"])
    assert 0 < left_out < sum(len(batch["text"]) for batch in batches)


def test_what_does_not_fit_is_named_beforehand(whisper_set: Path, tmp_path: Path, checkpoint: Path) -> None:
    model, batches = build(whisper_set, tmp_path, checkpoint)
    dataset = SpeechDataset.read(whisper_set / "train", UtteranceTable.read(whisper_set, "train"))

    def count() -> int:
        found = infeasible_utterances(model, dataset)
        assert found is not None
        return int(found.sum())

    assert count() == sum(int((batch["text_lengths"] > 24).sum()) for batch in batches)
    model.decoder.model.config.max_target_positions = 448
    assert count() == 0
    model.decoder.model.config.max_source_positions = 2
    assert count() == len(dataset)


@pytest.mark.parametrize("frozen", ["encoder", "decoder"])
def test_a_frozen_half_stays_as_it_was(
    frozen: str, whisper_set: Path, tmp_path: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        weights = train_whisper(whisper_set, tmp_path, checkpoint, f'--freeze "[{frozen}.*]"', objective="ctc_dro")
    pretrained = read_whisper(checkpoint).model.state_dict()
    changed = {
        name.partition(".")[0]
        for name, tensor in pretrained.items()
        if not torch.equal(tensor, weights[name.replace("coder.", "coder.model.", 1)])
    }
    assert changed == {"encoder", "decoder"} - {frozen}
    record = read_json_lines(tmp_path / EPOCHS)[-1]
    assert record["infeasible_utterances"] > 0
    assert "more labels or frames than the decoder takes and are left out: kat" in caplog.text
    assert record["dev"]["lid_error"]["mean"] is not None and record["dev"]["cer"]["mean"] is not None
    updates = read_json_lines(tmp_path / GROUP_UPDATES)
    assert set(updates[-1]["q"]) == {"fin", "kat"}
    assert updates[-1]["loss"]["fin"] > 10, "sums of several labels' -log p, each about log 51865"


def test_a_resumed_training_and_one_of_two_processes_are_the_same(
    whisper_set: Path, tmp_path: Path, checkpoint: Path
) -> None:
    again = "--encoder_conf gradient_checkpointing=true --decoder_conf gradient_checkpointing=true"
    config = compose_whisper(checkpoint, f"--save_every_updates 1 {again}", objective="ctc_dro")
    for name in ("straight", "resumed", "together"):
        write_run_config(tmp_path / name / TRAIN_CONFIG, config)
    train(whisper_set, tmp_path / "straight", ngpu=0)
    stop_after(whisper_set, tmp_path / "resumed", 1)
    train(whisper_set, tmp_path / "resumed", ngpu=0)
    assert_same_training(tmp_path / "straight", tmp_path / "resumed", tolerance=0.0)
    train_together(whisper_set, tmp_path / "together", 2)
    assert_same_training(tmp_path / "straight", tmp_path / "together", tolerance=1e-4)


def test_the_decoder_begins_with_the_encoders_checkpoint(checkpoint: Path) -> None:
    config = compose_whisper(checkpoint)
    assert config["decoder_conf"]["checkpoint"] == config["encoder_conf"]["checkpoint"] == str(checkpoint)
    assert config["decoder_conf"]["loss"] == {"reduction": "sum", "label_smoothing": 0.0}
    other = compose_whisper(checkpoint, "--decoder_conf checkpoint=/other")
    assert other["decoder_conf"]["checkpoint"] == "/other"
    assert compose([other]) == other
    assert "decoder_conf" not in compose_run("whisper_ctc", "ctc", seed=1)


def test_labels_and_model_that_do_not_belong_together_are_refused(
    whisper_set: Path, noise_set: Path, tmp_path: Path, checkpoint: Path
) -> None:
    write_run_config(tmp_path / "seq2seq" / TRAIN_CONFIG, compose_whisper(checkpoint))
    with pytest.raises(UserError, match=r"writes tokens of type whisper or whisper_v3, not char: --data-conf whisper"):
        train(noise_set, tmp_path / "seq2seq", ngpu=0)
    config = compose_run("whisper_ctc", "ctc", seed=1, train_args=f"--encoder_conf checkpoint='{checkpoint}'")
    write_run_config(tmp_path / "ctc" / TRAIN_CONFIG, config)
    with pytest.raises(UserError, match=r"tokens\.type whisper is for a model with decoder whisper, not for CTC"):
        train(whisper_set, tmp_path / "ctc", ngpu=0)


@pytest.mark.parametrize(
    ("model", "data", "refused"),
    [("whisper", "whisper", False), ("whisper_ctc", "default", False), ("whisper", "default", True),
     ("separable_conv", "whisper", True)],
)  # fmt: skip
def test_they_are_refused_before_stage_1(model: str, data: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--model", model, "--objective", "ctc_dro", "--data-conf", str(find_config("data", data))]
    monkeypatch.setattr(sys, "argv", ["compose_config", *options])
    if not refused:
        compose_config.main()
        return
    with pytest.raises(UserError, match="--data-conf"):
        compose_config.main()


def test_other_decoders_are_refused(whisper_set: Path, tmp_path: Path, checkpoint: Path) -> None:
    config = compose_whisper(checkpoint, "--decoder rnn --decoder_conf blocks=3")
    write_run_config(tmp_path / TRAIN_CONFIG, config)
    with pytest.raises(UserError, match="decoder: 'rnn' is unknown; allowed: transformer, whisper"):
        train(whisper_set, tmp_path, ngpu=0)
    assert json.loads(json.dumps(load_yaml(tmp_path / TRAIN_CONFIG))) == config


def test_bf16_changes_losses_little(whisper_set: Path, tmp_path: Path, checkpoint: Path) -> None:
    model, batches = build(whisper_set, tmp_path, checkpoint)
    expected = model.utterance_losses(dict(batches[0]))[0]
    model.precision = "bf16"
    found = model.utterance_losses(dict(batches[0]))[0]
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.0)
    assert all(model.greedy(batches[0]["speech"], batches[0]["speech_lengths"]))
