"""What many runs will cost, from one that was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr_dro.config import load_yaml
from asr_dro.data.lengths import read_together
from asr_dro.disk import size_of
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, ENVIRONMENT, EPOCHS, INPUTS, TRAIN_CONFIG
from asr_dro.fileio import read_json_lines

_PROBED = 200  # audio files that are looked at


@dataclass(frozen=True)
class Measured:
    """A run that is over, or has at least one epoch.

    Attributes:
        experiment: Its folder.
        device: ``cuda`` or ``cpu``.
        processes: How many trained together.
        audio_s_per_s: Seconds of audio that they train on in a second, median of the epochs; dev is not counted.
        audio_h: Hours of training audio in an epoch.
        epochs: Epochs that it was to have.
        checkpoints_bytes: What its checkpoints take.
        audio_bytes_per_s: What a second of its audio takes on disk; None if the audio is gone.
    """

    experiment: Path
    device: str
    processes: int
    audio_s_per_s: float
    audio_h: float
    epochs: int
    checkpoints_bytes: int
    audio_bytes_per_s: float | None


def measure(experiment: Path) -> Measured:
    """Read what a run has measured of itself.

    Raises:
        UserError: If the folder holds no run with an epoch.
    """
    try:
        epochs = read_json_lines(experiment / EPOCHS)
        environment, config = load_yaml(experiment / ENVIRONMENT), load_yaml(experiment / TRAIN_CONFIG)
        speeds = [float(epoch["audio_s_per_s"]) for epoch in epochs]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{experiment} holds no run with an epoch ({error}); train one for an epoch or two") from error
    if not speeds or not environment.get("audio_s"):
        raise UserError(
            f"{experiment} has no epoch yet, or was trained by an older version; train it for an epoch or two"
        )
    return Measured(
        experiment=experiment,
        device=str(environment.get("device", "cpu")),
        processes=int(environment.get("processes", 1)),
        audio_s_per_s=statistics.median(speeds),
        audio_h=sum(environment["audio_s"].values()) / 3600,
        epochs=int(config["max_epoch"]),
        checkpoints_bytes=size_of(experiment / CHECKPOINTS, "*.pt"),
        audio_bytes_per_s=_audio_bytes_per_s(experiment),
    )


def _audio_bytes_per_s(experiment: Path) -> float | None:
    """Look at some audio files of the training set."""
    try:
        train = Path(load_yaml(experiment / CHECKPOINTS / INPUTS)["data_set"]) / "train"
        utterances = list(read_together(train, "wav.scp", "utt2dur"))
    except (UserError, OSError, KeyError):
        return None
    probed = utterances[:: 1 + len(utterances) // _PROBED]
    found = [(Path(path).stat().st_size, float(seconds)) for _, path, seconds in probed if Path(path).is_file()]
    seconds = sum(duration for _, duration in found)
    return sum(size for size, _ in found) / seconds if seconds else None


def describe_cost(measured: Measured, *, audio_h: float, epochs: int, runs: int) -> str:
    """Write what so many runs cost.

    Args:
        measured: The run that was measured.
        audio_h: Hours of training audio of each run.
        epochs: Epochs of each run.
        runs: How many there are.
    """
    return "".join(line + "\n" for line in _lines(measured, audio_h, epochs, runs))


def _lines(measured: Measured, audio_h: float, epochs: int, runs: int) -> Iterator[str]:
    unit = "GPU hours" if measured.device == "cuda" else "CPU hours"
    each_h = audio_h * epochs / measured.audio_s_per_s * measured.processes
    checkpoints_tb = runs * measured.checkpoints_bytes / 1e12
    yield (
        f"measured: {measured.experiment}, {measured.processes} process(es) on {measured.device}, "
        f"{measured.audio_s_per_s:.0f} s of audio a second"
    )
    yield f"planned:  {runs} runs of {epochs} epochs of {audio_h:,.1f} h of audio"
    yield f"training: {each_h:,.1f} {unit} a run, {runs * each_h:,.0f} in all (dev and decoding come on top)"
    yield f"disk:     {checkpoints_tb:.3f} TB of checkpoints ({measured.checkpoints_bytes / 1e9:.2f} GB a run)"
    if measured.audio_bytes_per_s is not None:
        audio_tb = audio_h * 3600 * measured.audio_bytes_per_s / 1e12
        rate = measured.audio_bytes_per_s / 1e3
        yield f"          {audio_tb:.3f} TB of training audio, once ({rate:.1f} kB a second)"
