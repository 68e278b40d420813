"""Trainings that are asked to stop by a signal, at every kind of moment; and the end of one that was not asked."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from asr_dro.batching import Batch
from asr_dro.data.audio_reading import UnreadableUtterances
from asr_dro.errors import EXIT_TRY_AGAIN
from asr_dro.experiment import CHECKPOINTS, EPOCHS, GROUP_UPDATES, LAST_CHECKPOINT, LOCK, MODEL
from asr_dro.training import checkpoints, evaluation, trainer
from asr_dro.training.batches import LoadedBatches, start_worker
from asr_dro.training.interruption import Interruption, TrainingInterrupted
from asr_dro.training.processes import rank_and_world
from asr_dro.training.run import train
from asr_dro.training.trainer import TrainingRun
from tests.shell_sandbox import ROOT
from tests.training.runs import assert_same_training, train_together, write_run

UTTERANCES: Any = [(["utterance"], {}, {})] * 3  # as a loader gives them
MORE = "--save_every_updates 0 --use_tensorboard false"


@pytest.mark.parametrize(("updates", "number"), [(1, signal.SIGTERM), (2, signal.SIGUSR1), (3, signal.SIGUSR1)])
def test_a_signal_in_the_middle_of_an_epoch_costs_nothing(
    noise_set: Path, tmp_path: Path, updates: int, number: signal.Signals
) -> None:
    """No checkpoint was due: the signal's own is what the training goes on from, bit for bit."""
    whole, parts = write_run(tmp_path / "whole", "ctc_dro", MORE), write_run(tmp_path / "parts", "ctc_dro", MORE)
    train(noise_set, whole, ngpu=0)
    original = TrainingRun._after_update

    def after_update(run: TrainingRun) -> bool:
        if run.state.updates == updates:
            os.kill(os.getpid(), number)
        return original(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "_after_update", after_update)
        with pytest.raises(TrainingInterrupted, match=f"{number.name} after epoch .* \\({updates} updates\\)"):
            train(noise_set, parts, ngpu=0)
    assert torch.load(parts / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["updates"] == updates
    train(noise_set, parts, ngpu=0)
    assert_same_training(whole, parts, tolerance=0.0)
    assert (whole / GROUP_UPDATES).read_text() == (parts / GROUP_UPDATES).read_text() != ""


def test_a_signal_while_dev_is_measured_does_not_train_the_epoch_again(noise_set: Path, tmp_path: Path) -> None:
    whole, parts = write_run(tmp_path / "whole", "ctc_dro", MORE), write_run(tmp_path / "parts", "ctc_dro", MORE)
    train(noise_set, whole, ngpu=0)
    original = evaluation.evaluate

    def evaluate(model: Any, batches: Any, **others: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return original(model, batches, **others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "evaluate", evaluate)
        with pytest.raises(TrainingInterrupted, match="after epoch 0, batch"):
            train(noise_set, parts, ngpu=0)
    updates = torch.load(parts / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["updates"]
    steps: list[int] = []
    original_after = TrainingRun._after_update

    def after_update(run: TrainingRun) -> bool:
        steps.append(run.state.updates)
        return original_after(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "_after_update", after_update)
        train(noise_set, parts, ngpu=0)
    assert steps[0] == updates + 1, "the first update after the signal is the next epoch's"
    assert_same_training(whole, parts, tolerance=0.0)


def test_a_signal_to_one_of_several_processes_stops_all_at_one_update(noise_set: Path, tmp_path: Path) -> None:
    more = f"{MORE} --encoder_conf dropout_p=0 --max_epoch 2"
    whole, parts = write_run(tmp_path / "whole", "ctc_dro", more), write_run(tmp_path / "parts", "ctc_dro", more)
    train_together(noise_set, whole, 2)
    original, original_train, original_save = TrainingRun._after_update, train, checkpoints.save

    def after_update(run: TrainingRun) -> bool:
        if run.state.updates == 3 and run.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(run)

    def save(*arguments: Any) -> None:
        time.sleep(0.5)
        original_save(*arguments)

    def interrupted(*arguments: Any, **others: Any) -> None:
        with pytest.raises(TrainingInterrupted):
            original_train(*arguments, **others)
        # The first that leaves makes srun and torchrun end the others: all must be written by then.
        assert torch.load(parts / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["updates"] == 3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "_after_update", after_update)
        patch.setattr(checkpoints, "save", save)
        patch.setattr("tests.training.runs.train", interrupted)
        train_together(noise_set, parts, 2)
    assert torch.load(parts / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["updates"] == 3
    train_together(noise_set, parts, 2)
    assert_same_training(whole, parts, tolerance=0.0)


def test_a_signal_to_one_of_several_processes_while_dev_is_measured_stops_all(noise_set: Path, tmp_path: Path) -> None:
    """The one leaves its share of dev at once, the other after its own; then dev is measured again, from the start."""
    more = f"{MORE} --max_epoch 2 --dev_seconds_per_batch 1.5"
    whole, parts = write_run(tmp_path / "whole", "ctc_dro", more), write_run(tmp_path / "parts", "ctc_dro", more)
    train_together(noise_set, whole, 2)
    original, original_train, batches = evaluation._add_batch, train, tmp_path / "batches"

    def add_batch(*arguments: Any) -> None:
        original(*arguments)
        rank, world = rank_and_world()
        assert world == 2
        with open(batches, "a") as file:
            file.write(f"{rank}\n")
        if rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def interrupted(*arguments: Any, **others: Any) -> None:
        with pytest.raises(TrainingInterrupted, match="after epoch 0, batch"):
            original_train(*arguments, **others)
        assert torch.load(parts / CHECKPOINTS / LAST_CHECKPOINT, weights_only=True)["batches"] > 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_add_batch", add_batch)
        patch.setattr("tests.training.runs.train", interrupted)
        train_together(noise_set, parts, 2)
    ranks = batches.read_text().split()
    assert ranks.count("1") == 1 < ranks.count("0")
    assert not (parts / EPOCHS).read_text(), "no epoch is logged whose dev was not measured"
    train_together(noise_set, parts, 2)
    assert_same_training(whole, parts, tolerance=0.0)
    assert (whole / GROUP_UPDATES).read_text() == (parts / GROUP_UPDATES).read_text() != ""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a file is there, or the process has ended."""
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_group_of_processes_survives_its_signal_until_the_checkpoint_is_written(
    noise_set: Path, tmp_path: Path
) -> None:
    """As Slurm does it: the signal reaches the training and the processes that read its audio; kill -9 comes later."""
    more = f"{MORE} --max_epoch 4000 --num_workers 2"
    experiment = write_run(tmp_path / "exp", "ctc_dro", more)
    failure = experiment / "failure.json"
    command = [sys.executable, "-O", "-m", "asr_dro.bin.train", "--data", str(noise_set), "--exp", str(experiment)]
    environment = {**os.environ, "ASR_DRO_FAILURE": str(failure), "ASR_DRO_STAGE": "4", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_for(experiment / CHECKPOINTS / LAST_CHECKPOINT, process)
        assert (experiment / LOCK).exists()
        os.killpg(process.pid, signal.SIGTERM)
        _, messages = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == EXIT_TRY_AGAIN, messages
    assert "stopped on request: SIGTERM after epoch" in messages
    assert "Traceback" not in messages
    assert not (experiment / LOCK).exists()
    assert not (experiment / CHECKPOINTS / MODEL).exists()
    record = json.loads(failure.read_text())
    assert (record["stage"], record["status"]) == ("4", EXIT_TRY_AGAIN)
    assert "SIGTERM" in record["error"]


def prepare_slowly(worker: int) -> None:
    time.sleep(0.6)
    start_worker(worker)


def signal_children(number: signal.Signals) -> None:
    """Send a signal to all child processes, by another process than their parent."""
    pids = [str(child.pid) for child in multiprocessing.active_children()]
    assert pids
    subprocess.run(["kill", f"-{number.name[3:]}", *pids], check=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_reader_outlives_signals_to_the_group_from_its_first_moment(number: signal.Signals) -> None:
    loader = DataLoader(UTTERANCES, None, num_workers=1, worker_init_fn=prepare_slowly)
    plan = [Batch(np.array([0]), 1.0, 0)] * 3
    batches = LoadedBatches(loader, plan, UnreadableUtterances("train", consequence="none"))
    at_first = threading.Timer(0.2, signal_children, [number])
    at_first.start()
    found = iter(batches)
    assert next(found)[0] == ["utterance"]
    signal_children(number)
    assert len(list(found)) == 2
    at_first.join()


def test_a_reader_ends_when_its_parent_asks() -> None:
    """A training with an error, or one whose reader was killed for want of memory, once waited for others for ever."""
    found = iter(DataLoader(UTTERANCES, None, num_workers=1, worker_init_fn=start_worker))
    next(found)
    (reader,) = multiprocessing.active_children()
    reader.terminate()
    reader.join(timeout=10)
    status = reader.exitcode
    reader.kill()  # or else, not having ended, it is waited for here too
    assert status == 0


def test_outside_of_a_training_the_signals_are_as_before() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    interruption = Interruption()
    with interruption.listening():
        os.kill(os.getpid(), signal.SIGUSR1)
        with interruption.listening():  # within, nothing is forgotten
            assert interruption.requested()
        assert interruption.requested()
    assert signal.getsignal(signal.SIGUSR1) is before
    with interruption.listening():
        assert not interruption.requested()
