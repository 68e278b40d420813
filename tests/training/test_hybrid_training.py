"""Hybrid models: the mixed loss, what every objective sees of it, and which weights go with which heads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from asr_dro.config import compose_run, write_run_config
from asr_dro.data.config import DataConfig, TokenConfig, check_tokens
from asr_dro.data.packed_columns import read_integers
from asr_dro.decoding.model_loading import load_model
from asr_dro.errors import UserError
from asr_dro.experiment import EPOCHS, TRAIN_CONFIG
from asr_dro.fileio import read_json_lines
from asr_dro.training.dataset import SpeechDataset
from asr_dro.training.infeasible import infeasible_utterances
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.run import espnet_arguments, train
from asr_dro.training.utterances import UtteranceTable
from tests.training.runs import TINY, assert_same_training, build, stop_after, train_together

HEADS: dict[str, Any] = {
    "decoder": "transformer",
    "decoder_conf": {"attention_heads": 2, "linear_units": 8, "num_blocks": 1},
}
SMALL = f"{TINY} --decoder_conf linear_units=8 --decoder_conf num_blocks=1"
NO_DROPOUT = "--encoder_conf dropout_p=0 --decoder_conf dropout_rate=0 --decoder_conf positional_dropout_rate=0"


def hybrid(noise_set: Path, folder: Path, ctc_weight: float = 0.3, lsm_weight: float = 0.0, **changes: Any) -> Any:
    """Return a model in eval mode and its batches."""
    heads = {**HEADS, "model_conf": {"ctc_weight": ctc_weight, "lsm_weight": lsm_weight}}
    return build(noise_set, folder, **heads, **changes)


def write_run(folder: Path, objective: str = "ctc_dro", more: str = "") -> Path:
    config = compose_run("separable_conv_hybrid", objective, seed=1, train_args=f"{SMALL} {more}")
    write_run_config(folder / TRAIN_CONFIG, config)
    return folder


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 0.8])
def test_the_loss_is_the_mixture_of_both_heads(ctc_weight: float, noise_set: Path, tmp_path: Path) -> None:
    model, batches = hybrid(noise_set, tmp_path, ctc_weight)
    assert (model.ctc is None) == (ctc_weight == 0)
    for batch in batches:
        losses, infeasible = model.utterance_losses(dict(batch))
        assert not infeasible.any() and losses.shape == (len(batch["text"]),)
        frames, sizes = model.encode(batch["speech"], batch["speech_lengths"])
        for row, length in enumerate(batch["text_lengths"].tolist()):
            labels, own = batch["text"][row, :length], frames[row : row + 1, : sizes[row]]
            expected = 0.0
            if ctc_weight:
                log_probs = model.ctc.ctc_lo(own).log_softmax(dim=-1).transpose(0, 1)
                counts = sizes[row : row + 1], torch.tensor([length])
                expected += ctc_weight * functional.ctc_loss(log_probs, labels[None], *counts, reduction="sum").item()
            end = torch.tensor([len(model.token_list) - 1])
            inputs = torch.cat([end, labels])[None]
            scores, _ = model.decoder(own, sizes[row : row + 1], inputs, torch.tensor([length + 1]))
            cross_entropy = functional.cross_entropy(scores[0], torch.cat([labels, end]), reduction="sum")
            expected += (1 - ctc_weight) * cross_entropy.item()
            assert losses[row].item() == pytest.approx(expected, rel=1e-4)


def test_the_objective_gets_the_mixed_losses_and_both_heads_learn(noise_set: Path, tmp_path: Path) -> None:
    model, batches = hybrid(noise_set, tmp_path, lsm_weight=0.1)
    batch = batches[0]
    loss, stats, _ = model(**batch)
    torch.testing.assert_close(stats["losses"], model.utterance_losses(dict(batch))[0])
    assert loss.item() == pytest.approx(stats["losses"].mean().item(), rel=1e-5)
    model.train()
    torch.autograd.backward(model(**batch)[0])
    heads = {name: one.grad for name, one in model.named_parameters() if name.startswith(("ctc.", "decoder."))}
    without = [name for name, gradient in heads.items() if gradient is None or not gradient.abs().sum() > 0]
    assert without == [name for name in without if "linear_k.bias" in name], "softmax does not see a key's bias"
    assert {name.partition(".")[0] for name in heads} == {"ctc", "decoder"}


def test_smoothing_raises_the_loss_in_training_alone(noise_set: Path, tmp_path: Path) -> None:
    still: dict[str, Any] = {"encoder_conf": {"channels": 8, "blocks": 1, "dropout_p": 0.0}, "specaug": None}
    heads = {**HEADS, "decoder_conf": {**HEADS["decoder_conf"], "dropout_rate": 0.0, "positional_dropout_rate": 0.0}}
    plain, batches = build(noise_set, tmp_path, **heads, **still)
    smooth, _ = build(noise_set, tmp_path, **heads, **still, model_conf={"lsm_weight": 0.4})
    one, other = (model.utterance_losses(dict(batches[0]))[0] for model in (plain, smooth))
    assert torch.equal(one, other)
    one, other = (model.train().utterance_losses(dict(batches[0]))[0] for model in (plain, smooth))
    assert not torch.allclose(one, other, rtol=1e-3)


def test_dev_and_greedy_search_use_ctc_where_there_is_one(noise_set: Path, tmp_path: Path) -> None:
    both, batches = hybrid(noise_set, tmp_path)
    alone, _ = hybrid(noise_set, tmp_path, ctc_weight=0.0)
    for batch in batches[:2]:
        speech, lengths = batch["speech"], batch["speech_lengths"]
        written = both.evaluate(dict(batch))[2]
        assert written == both.greedy(speech, lengths)
        assert all(both.blank_id not in labels for labels in written)
        logits, frames = both.ctc_logits(speech, lengths)
        best = logits[0, : frames[0]].argmax(dim=-1).unique_consecutive().tolist()
        assert written[0] == [label for label in best if label != both.blank_id]
        with torch.no_grad():
            expected = alone.decoder.greedy(*alone.encode(speech, lengths))
        assert alone.evaluate(dict(batch))[2] == alone.greedy(speech, lengths) == expected
        assert all(alone.token_list[labels[0]] in ("[fin]", "[kat]") for labels in expected)


def test_what_does_not_fit_ctc_is_left_out_of_both(noise_set: Path, tmp_path: Path) -> None:
    coarse: dict[str, Any] = {"encoder_conf": {"channels": 8, "blocks": 1, "stack": 8}}
    model, batches = hybrid(noise_set, tmp_path, **coarse)
    plain, _ = build(noise_set, tmp_path, **coarse)
    alone, _ = hybrid(noise_set, tmp_path, ctc_weight=0.0, **coarse)
    dataset = SpeechDataset.read(noise_set / "train", UtteranceTable.read(noise_set, "train"))
    found, expected = infeasible_utterances(model, dataset), infeasible_utterances(plain, dataset)
    assert found is not None and expected is not None
    assert 0 < found.sum() < len(found) and found.tolist() == expected.tolist()
    without_ctc = infeasible_utterances(alone, dataset)
    assert without_ctc is not None and not without_ctc.any(), "a decoder writes as many labels as it likes"
    lost = 0
    for batch in batches:
        loss, stats, _ = model(**batch)
        used = stats["losses"][~stats["infeasible"]]
        lost += int(stats["infeasible"].sum())
        assert loss.item() == pytest.approx(used.mean().item() if len(used) else 0.0, rel=1e-5)
    assert lost == found.sum()


@pytest.mark.parametrize("objective", ["ctc_dro", "group_dro"])
def test_a_trained_hybrid_comes_back_from_its_folder(objective: str, noise_set: Path, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "exp", objective, "--max_epoch 1 --average_best 1")
    weights = torch.load(train(noise_set, folder, ngpu=0), weights_only=True)
    record = read_json_lines(folder / EPOCHS)[-1]
    assert record["dev"]["cer"]["mean"] is not None and record["dev"]["loss"] > 0
    model = load_model(folder, torch.device("cpu"))
    assert isinstance(model, GroupRobustASRModel) and model.ctc_weight == 0.3 and model.decoder.label_smoothing == 0.1
    state = model.state_dict()
    assert state.keys() == weights.keys() and any(name.startswith("decoder.decoders.0.src_attn") for name in state)
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_a_resumed_training_and_one_of_two_processes_are_the_same(noise_set: Path, tmp_path: Path) -> None:
    for name in ("straight", "resumed"):
        write_run(tmp_path / name, more="--save_every_updates 1 --max_epoch 2")
    write_run(tmp_path / "together", more=f"--max_epoch 2 {NO_DROPOUT}")
    write_run(tmp_path / "single", more=f"--max_epoch 2 {NO_DROPOUT}")
    train(noise_set, tmp_path / "straight", ngpu=0)
    stop_after(noise_set, tmp_path / "resumed", 1)
    train(noise_set, tmp_path / "resumed", ngpu=0)
    assert_same_training(tmp_path / "straight", tmp_path / "resumed", tolerance=0.0)
    train(noise_set, tmp_path / "single", ngpu=0)
    train_together(noise_set, tmp_path / "together", 2)
    assert_same_training(tmp_path / "single", tmp_path / "together", tolerance=1e-3)


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("separable_conv", "", {"ctc_weight": 1.0, "lsm_weight": 0.0}),
        ("separable_conv", "--decoder transformer", {"ctc_weight": 0.3, "lsm_weight": 0.0}),
        ("separable_conv_hybrid", "--model_conf ctc_weight=0.5", {"ctc_weight": 0.5, "lsm_weight": 0.1}),
        ("separable_conv_hybrid", "--model_conf.ctc_weight 0", {"ctc_weight": 0.0, "lsm_weight": 0.1}),
    ],
)
def test_weights_of_the_heads(
    model: str, options: str, expected: dict[str, float], noise_set: Path, tmp_path: Path
) -> None:
    config = compose_run(model, "ctc", seed=1, train_args=options)
    arguments = espnet_arguments(config, noise_set, tmp_path, ngpu=0)
    assert {key: arguments.model_conf[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("separable_conv", "--model_conf ctc_weight=0.5", "ctc_weight is 0.5, but there is no decoder"),
        ("separable_conv", "--model_conf lsm_weight=0.1", "lsm_weight smooths a decoder's labels, and there is no"),
        ("separable_conv_hybrid", "--model_conf ctc_weight=1", "ctc_weight is 1, which leaves nothing for decoder tr"),
        ("separable_conv_hybrid", "--model_conf ctc_weight=1.5", "ctc_weight must be a number from 0 to 1, not 1.5"),
        ("separable_conv_hybrid", "--model_conf ctc_weight=true", "ctc_weight must be a number from 0 to 1, not True"),
        ("separable_conv_hybrid", "--model_conf lsm_weight=1", "lsm_weight is 1, which leaves nothing of the labels"),
        ("separable_conv_hybrid", "--model_conf lsm=1", "lsm is not a key; allowed: ctc_weight, lsm_weight"),
        ("whisper", "--model_conf ctc_weight=0.3", "decoder whisper has no CTC beside it"),
        ("whisper", "--model_conf lsm_weight=0.1", "has decoder_conf.loss.label_smoothing in place of lsm_weight"),
    ],
)
def test_weights_that_go_with_no_head_are_refused(model: str, options: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        compose_run(model, "ctc", seed=1, train_args=options)


def test_labels_of_a_hybrid_are_those_of_ctc(noise_set: Path) -> None:
    char, whisper = DataConfig(), DataConfig(tokens=TokenConfig(type="whisper"))
    check_tokens(char, decoder="transformer")
    with pytest.raises(UserError, match=r"is for a model with decoder whisper, not for decoder transformer"):
        check_tokens(whisper, decoder="transformer")
    counts = read_integers(noise_set / "train" / "token_ids")[1].counts
    assert counts.min() > 0
