"""The data set against ESPnet's, files that cannot be read, and draws whatever the number of loader processes."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr_dro.batching import Batch
from asr_dro.data.audio_reading import UnreadableUtterances
from asr_dro.data.data_dir import read_two_columns, write_two_columns
from asr_dro.errors import UserError
from asr_dro.experiment import EPOCHS
from asr_dro.training.augmentation import AugmentationConfig, NoiseConfig
from asr_dro.training.augmenter import Augmenter
from asr_dro.training.batches import BatchFactory, DrawSampler, count_occurrences
from asr_dro.training.dataset import (
    LABEL_PADDING,
    UNREADABLE,
    Draw,
    Example,
    SpeechDataset,
    collate_examples,
    stand_in,
)
from asr_dro.training.run import train
from asr_dro.training.utterances import UtteranceTable
from tests.training.runs import assert_same_training, build, stop_after, write_run

NO_BOARD = "--use_tensorboard false --average_best 1"


def read(noise_set: Path, augmenter: Augmenter | None = None, split: str = "train") -> SpeechDataset:
    return SpeechDataset.read(noise_set / split, UtteranceTable.read(noise_set, split), augmenter)


def copy_with(noise_set: Path, target: Path, wav: dict[str, str], split: str = "train") -> Path:
    """Copy a set without its audio, some utterances having other files."""
    shutil.copytree(noise_set, target)
    scp = target / split / "wav.scp"
    write_two_columns(scp, {**read_two_columns(scp), **wav})
    return target


def test_examples_are_those_of_espnet_bit_for_bit(noise_set: Path) -> None:
    from espnet2.train.dataset import ESPnetDataset

    folder = noise_set / "train"
    files = [("wav.scp", "speech", "sound"), ("token_ids", "text", "text_int"), ("group_ids", "group", "text_int")]
    reference = ESPnetDataset([(str(folder / file), name, kind) for file, name, kind in files])
    ours = read(noise_set)
    assert len(ours) == 12
    for position, utt_id in enumerate(read_two_columns(folder / "wav.scp")):
        example = ours[Draw(position, 1, 0)]
        expected_id, expected = reference[utt_id]
        assert (example.utt_id, example.failure) == (expected_id, "")
        assert example.arrays.keys() == expected.keys()
        for name, value in expected.items():
            assert example.arrays[name].dtype == value.dtype
            assert np.array_equal(example.arrays[name], value), name


def test_files_of_different_utterances_are_refused(noise_set: Path, tmp_path: Path) -> None:
    for name in ("wav.scp", "token_ids", "group_ids"):
        copy = tmp_path / name
        shutil.copytree(noise_set, copy)
        lines = (copy / "train" / name).read_text().splitlines(keepends=True)
        (copy / "train" / name).write_text("".join([*lines[1:], lines[0]]))
        with pytest.raises(UserError, match=f"{name}.* different utterances"):
            read(copy)


def test_a_file_that_cannot_be_read_leaves_faint_noise_and_a_reason(noise_set: Path, tmp_path: Path) -> None:
    copy = copy_with(noise_set, tmp_path / "set", {"fin-spk0-train": "/gone/a.mp3"})
    dataset = read(copy)
    example = dataset[Draw(0, 1, 0)]
    assert (example.utt_id, example.failure) == ("fin-spk0-train", "/gone/a.mp3: no such file")
    assert len(example.arrays["speech"]) == round(dataset.table.durations_s[0] * 16_000)
    assert 0 < np.abs(example.arrays["speech"]).max() < 0.01
    assert np.array_equal(example.arrays["text"], read(noise_set)[Draw(0, 1, 0)].arrays["text"])
    assert len(stand_in(3)) == 1_280, "long enough for any front end"


def test_unreadable_utterances_do_not_change_what_the_others_teach(noise_set: Path, tmp_path: Path) -> None:
    """The gradient of a batch with one of them equals that of the batch without it."""
    gradients = []
    for name, gone in (("set", {"kat-spk1-train": "/gone/a.flac"}), ("whole", {})):
        copy = copy_with(noise_set, tmp_path / name, gone)
        model, batches = build(copy, tmp_path / "exp", encoder_conf={"channels": 8, "blocks": 1, "dropout_p": 0.0})
        row = read(copy).table.utt_ids  # which batch holds it
        batch = next(batch for batch in batches if "kat-spk1-train" in names(copy, batch, list(row)))
        if not gone:
            place = names(copy, batch, list(row)).index("kat-spk1-train")
            batch["unreadable"][place] = True  # the real audio instead of the noise, left out as well
        assert int(batch["unreadable"].sum()) == 1
        model.train()(**batch)[0].backward()
        gradients.append({key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        assert torch.isfinite(gradient).all()
        torch.testing.assert_close(gradient, gradients[1][key], atol=1e-6, rtol=1e-4, msg=key)


def names(data_set: Path, batch: dict[str, Any], utt_ids: list[str]) -> list[str]:
    """Return the utterances of a batch, recognised by their lengths and labels."""
    dataset = read(data_set)
    examples = [dataset[Draw(position, 1, 0)].arrays for position in range(len(utt_ids))]
    keys = {(len(e["speech"]), tuple(e["text"].tolist())): utt_id for e, utt_id in zip(examples, utt_ids, strict=True)}
    rows = zip(batch["speech_lengths"].tolist(), batch["text"].tolist(), batch["text_lengths"].tolist(), strict=True)
    return [keys[samples, tuple(labels[:length])] for samples, labels, length in rows]


def test_a_training_with_damaged_files_goes_on_and_says_so(
    noise_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    short = tmp_path / "other.flac"  # of another length than declared
    soundfile.write(short, np.zeros(320_000), 16_000)
    (tmp_path / "damaged.mp3").write_bytes(b"ID3" + bytes(1_000))
    copy = copy_with(noise_set, tmp_path / "set", {"fin-spk0-train": str(short), "kat-spk5-train": "/gone/a.mp3"})
    dev = copy / "dev" / "wav.scp"
    write_two_columns(dev, {**read_two_columns(dev), "fin-spk2-dev": str(tmp_path / "damaged.mp3")})
    experiment = write_run(tmp_path / "exp", "ctc", f"--num_workers 2 --save_every_updates 1 {NO_BOARD}")
    stop_after(copy, experiment, 5)
    train(copy, experiment, ngpu=0)
    records = [json.loads(line) for line in (experiment / EPOCHS).read_text().splitlines()]
    assert [record["unreadable_utterances"] for record in records] == [2, 2, 2], "across the resume too"
    assert [record["infeasible_utterances"] for record in records] == [0, 0, 0]
    assert [record["dev"]["infeasible_utterances"] for record in records] == [1, 1, 1]
    assert all(np.isfinite(record["train"]["loss"]) for record in records)
    log = (experiment / "train.log").read_text()
    assert log.count("train: fin-spk0-train cannot be read, left out of the loss") == 2, "once in each process"
    assert "20.00 s long, not" in log
    assert "train: kat-spk5-train cannot be read, left out of the loss: /gone/a.mp3: no such file" in log
    assert "dev: fin-spk2-dev cannot be read" in log
    assert "2 utterances left out (audio cannot be read)" in log
    assert all(0 <= record["data_wait_share"] <= 1 for record in records)
    assert f"waits for data {100 * records[-1]['data_wait_share']:5.1f} %" in log


def test_too_many_damaged_files_end_a_training(noise_set: Path, tmp_path: Path) -> None:
    gone = {utt_id: "/gone/a.flac" for utt_id in list(read_two_columns(noise_set / "train" / "wav.scp"))[:7]}
    copy = copy_with(noise_set, tmp_path / "some", gone)
    with pytest.raises(UserError, match=r"7 utterances could not be read, and more than 6 .*/gone/a\.flac: no such"):
        train(copy, write_run(tmp_path / "exp", more=NO_BOARD), ngpu=0)
    copy = copy_with(noise_set, tmp_path / "all", dict.fromkeys(read_two_columns(copy / "train" / "wav.scp"), "/gone"))
    with pytest.raises(UserError, match="there is no audio"):
        train(copy, write_run(tmp_path / "other", more=NO_BOARD), ngpu=0)


@pytest.mark.parametrize(("utterances", "bearable"), [(12, 6), (20, 10), (500, 10), (1_000, 10), (5_000, 50)])
def test_what_a_run_bears(utterances: int, bearable: int, caplog: pytest.LogCaptureFixture) -> None:
    unreadable = UnreadableUtterances("train", consequence="left out")
    with caplog.at_level(logging.WARNING):
        for epoch in (1, 2):
            unreadable.begin(utterances, epoch=epoch)
            for number in range(bearable):
                unreadable.add({f"u{number}": "gone"})
    assert len(caplog.records) == bearable, "each is named once"
    unreadable.begin(utterances, epoch=2)  # the rest of the epoch
    with pytest.raises(UserError, match=f"train: {bearable + 1} utterances could not be read"):
        unreadable.add({"one more": "gone"})


def test_occurrences_against_a_plain_count() -> None:
    generator = np.random.default_rng(0)
    for size in (0, 1, 50):
        values, seen, expected = generator.integers(0, 12, size), Counter[int](), []
        for value in values.tolist():
            expected.append(seen[value])
            seen[value] += 1
        assert count_occurrences(values).tolist() == expected


def test_draws_of_processes_and_of_a_resume_are_those_of_the_whole_epoch() -> None:
    generator = np.random.default_rng(0)
    batches = [Batch(generator.integers(0, 9, size), 1.0, -1) for size in (5, 1, 3, 4)]
    whole = list(DrawSampler(batches, 7))
    assert [len(draws) for draws in whole] == [5, 1, 3, 4]
    assert len({(draw.position, draw.occurrence) for draws in whole for draw in draws}) == 13
    assert {draw.epoch for draws in whole for draw in draws} == {7}
    assert list(DrawSampler(batches, 7, start=2)) == whole[2:]
    ranks = [list(DrawSampler(batches, 7, rank=rank, world=2)) for rank in range(2)]
    for number, draws in enumerate(whole):
        first, second = ranks[0][number], ranks[1][number]
        assert first == draws[::2]
        assert second == (draws[1::2] or draws[:1])  # one utterance stands in for an empty slice
    assert list(DrawSampler([], 7)) == []


@pytest.fixture
def noise_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "noise"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(9_000), 16_000)
    return folder


def test_the_number_of_loader_processes_changes_no_sample(noise_set: Path, noise_folder: Path) -> None:
    config = AugmentationConfig((0.9, 1.0, 1.1), NoiseConfig(str(noise_folder)))
    dataset = read(noise_set, Augmenter.build(config, seed=1))
    batches = [Batch(np.array(indices), 1.0, -1) for indices in ([0, 4, 7], [1, 2], [0, 0, 5])]
    loaded: dict[int, Any] = {}
    for workers in (0, 2):
        factory = BatchFactory(dataset, lambda epoch: batches, split="train", sliced=True, num_workers=workers)
        loaded[workers] = [batch for epoch in (1, 2) for _, batch in factory.build_iter(epoch)]
    for alone, together in zip(loaded[0], loaded[2], strict=True):
        for key in ("speech", "speech_lengths", "text", "group"):
            assert torch.equal(alone[key], together[key])
    assert not torch.equal(loaded[0][0]["speech_lengths"], loaded[0][3]["speech_lengths"]), "epochs differ"
    assert loaded[0][2]["speech_lengths"].tolist()[0] > 0


def test_augmented_and_stopped_it_goes_on_bit_for_bit(noise_set: Path, noise_folder: Path, tmp_path: Path) -> None:
    more = (
        f"--save_every_updates 1 {NO_BOARD} --augmentation speed=[0.9,1.0,1.1] "
        f"--augmentation.noise.folder={noise_folder} --augmentation.noise.probability=0.8"
    )
    whole, parts = write_run(tmp_path / "whole", "ctc_dro", more), write_run(tmp_path / "parts", "ctc_dro", more)
    plain = write_run(tmp_path / "plain", "ctc_dro", f"{NO_BOARD} --max_epoch 1")
    train(noise_set, whole, ngpu=0)
    stop_after(noise_set, parts, 5)
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)
    train(noise_set, plain, ngpu=0)
    losses = [json.loads((run / EPOCHS).read_text().splitlines()[0])["train"]["loss"] for run in (whole, plain)]
    assert losses[0] != losses[1], "augmentation has an effect"


def test_noise_that_cannot_be_used_is_refused_before_training(noise_set: Path, tmp_path: Path) -> None:
    experiment = write_run(tmp_path / "exp", more=f"{NO_BOARD} --augmentation.noise.folder={tmp_path / 'empty'}")
    with pytest.raises(UserError, match="is no folder"):
        train(noise_set, experiment, ngpu=0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "bad.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"1 of 1 files of noise cannot be read:\n  .*bad\.wav"):
        train(noise_set, experiment, ngpu=0)
    assert not (experiment / "train.log").exists()


def test_batches_are_padded_as_by_espnet() -> None:
    from espnet2.train.collate_fn import CommonCollateFn

    generator = np.random.default_rng(0)
    examples = [
        Example(
            f"u{number}",
            {
                "speech": generator.standard_normal(50 * number, dtype=np.float32),
                "text": generator.integers(1, 9, labels),
                "group": np.array([number], dtype=np.int64),
            },
            "cannot be read" if number == 2 else "",
        )
        for number, labels in ((3, 2), (1, 5), (2, 0))
    ]
    reference = CommonCollateFn(float_pad_value=0.0, int_pad_value=LABEL_PADDING)
    utt_ids, expected = reference([(example.utt_id, example.arrays) for example in examples])
    found_ids, found, failures = collate_examples(examples)
    assert (found_ids, failures) == (utt_ids, {"u2": "cannot be read"})
    assert found.pop(UNREADABLE).tolist() == [False, False, True]
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
