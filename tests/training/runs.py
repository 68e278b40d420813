"""A prepared set of noise and trainings on it, small enough for every test of training."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr_dro.config import compose_run, write_run_config
from asr_dro.data.config import FILE_NAME
from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.data.lengths import make_lengths, make_tokens
from asr_dro.experiment import CHECKPOINTS, LAST_CHECKPOINT, TRAIN_CONFIG
from asr_dro.training.run import espnet_arguments, train

TINY = (
    "--max_epoch 3 --encoder_conf channels=8 --encoder_conf blocks=1 --average_best 2 --num_workers 0 "
    "--batching.seconds_per_update 3"
)


LANGUAGES = ("fin", "kat")
WORDS = {"fin": ["yksi", "kaksi", "kolme"], "kat": ["ერთი", "ორი", "სამი"]}


def write_noise_set(folder: Path, *, per_language: int = 6, data_config: Path | None = None) -> Path:
    """Write train, dev and test of ``per_language`` utterances each (0.5 to 1.2 s of noise), and run stages 2 and 3."""
    generator = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        utterances = []
        for language in LANGUAGES:
            for number in range(per_language):
                utt_id = f"{language}-spk{number}-{split}"
                wav = folder / "audio" / f"{utt_id}.flac"
                wav.parent.mkdir(parents=True, exist_ok=True)
                samples = int(generator.integers(8_000, 20_000))
                soundfile.write(wav, 0.1 * generator.standard_normal(samples), 16_000)
                text = " ".join(generator.choice(WORDS[language], size=2))
                utterances.append(
                    Utterance(utt_id, str(wav), text, f"{language}-spk{number}", language, language, samples / 16_000)
                )
        write_data_dir(folder / "set" / split, utterances)
    if data_config is not None:
        shutil.copyfile(data_config, folder / "set" / FILE_NAME)
    make_tokens(folder / "set")
    make_lengths(folder / "set")
    return folder / "set"


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


def stop_after(noise_set: Path, experiment: Path, updates: int, *, ngpu: int = 0) -> None:
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
            train(noise_set, experiment, ngpu=ngpu)


def train_together(noise_set: Path, experiment: Path, world: int) -> None:
    """Train in so many processes, which exchange gradients through gloo on the CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")  # ESPnet is imported already: a spawned process would do it anew
    processes = [
        context.Process(target=train_as, args=(rank, world, port, noise_set, experiment)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    for process in processes:
        process.kill()  # of several, one that waits for another that died
    assert [process.exitcode for process in processes] == [0] * world


def train_as(rank: int, world: int, port: int, noise_set: Path, experiment: Path) -> None:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
    os.environ.update({name: str(value) for name, value in places.items()})
    torch.set_num_threads(1)
    train(noise_set, experiment, ngpu=0)
