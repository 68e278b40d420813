"""The key ``augmentation``: how training audio is changed on the fly; checked without opening any audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr_dro.config_values import is_number, take_fields
from asr_dro.errors import UserError

SPEEDS = (0.5, 2.0)  # faster or slower is not speech any more
SNRS_DB = (-40.0, 100.0)


@dataclass(frozen=True)
class NoiseConfig:
    """Noise that is added to an utterance.

    Args:
        folder: Folder of audio files of any format, searched with its subfolders.
        snr_db: Lowest and highest ratio of the powers of speech and noise, in decibels; drawn uniformly.
        probability: Share of the utterances that get noise.
    """

    folder: str
    snr_db: tuple[float, float] = (5.0, 20.0)
    probability: float = 0.5


@dataclass(frozen=True)
class AugmentationConfig:
    """What is done to each utterance of training, in this order.

    Args:
        speed: Factors of speed, one drawn for each utterance; 1.0 leaves it as it is. By resampling, so the pitch moves
            along (Ko et al., "Audio augmentation for speech recognition", 2015, with 0.9, 1.0 and 1.1). Empty: no
            change.
        noise: Noise to add; None: none.
    """

    speed: tuple[float, ...] = ()
    noise: NoiseConfig | None = None

    def __bool__(self) -> bool:
        return bool(self.speed) or self.noise is not None


def check_augmentation(conf: Mapping[str, Any]) -> AugmentationConfig:
    """Return the complete options of ``augmentation``.

    Args:
        conf: The value of the key; ``speed`` and ``noise`` may be null, which switches off what another file has set.

    Raises:
        UserError: Unknown options or wrong values; the message names all of them.

    >>> check_augmentation({"speed": [0.9, 1.0, 1.1]}).speed
    (0.9, 1.0, 1.1)
    """
    given = {key: value for key, value in conf.items() if value is not None}
    problems = take_fields(AugmentationConfig, given)[1]
    noise = given.get("noise")
    if "speed" in given:
        problems += _problems_of_speed(given["speed"])
    if noise is not None:
        problems += _problems_of_noise(noise)
    if problems:
        raise UserError("augmentation:\n" + "\n".join(f"  - {problem}" for problem in problems))
    if noise is not None:
        options: dict[str, Any] = {key: tuple(value) if key == "snr_db" else value for key, value in noise.items()}
        noise = NoiseConfig(**options)
    return AugmentationConfig(tuple(given.get("speed", ())), noise)


def _problems_of_speed(speed: object) -> list[str]:
    if _are_numbers(speed, SPEEDS):
        return []
    return [f"speed is {speed!r}; give a list of factors from {SPEEDS[0]} to {SPEEDS[1]}, such as [0.9, 1.0, 1.1]"]


def _problems_of_noise(noise: object) -> list[str]:
    if not isinstance(noise, Mapping):
        return [f"noise is {noise!r}; give folder, snr_db and probability, such as noise.folder=/corpora/musan/noise"]
    problems = take_fields(NoiseConfig, noise, "noise.")[1]
    folder = noise.get("folder")
    if not isinstance(folder, str) or not folder:
        problems.append(f"noise.folder is {folder!r}; give a folder of audio files")
    snr_db = noise.get("snr_db", NoiseConfig.snr_db)
    if not _are_numbers(snr_db, SNRS_DB) or len(snr_db) != 2 or snr_db[0] > snr_db[1]:
        problems.append(f"noise.snr_db is {snr_db!r}; give the lowest and the highest, in decibels, such as [5, 20]")
    probability = noise.get("probability", NoiseConfig.probability)
    if not _are_numbers([probability], (0, 1)):
        problems.append(f"noise.probability is {probability!r}; give a number from 0 to 1")
    return problems


def _are_numbers(values: object, bounds: tuple[float, float]) -> bool:
    """Tell whether this is a list of at least one number within bounds."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        return False
    return all(is_number(value) and bounds[0] <= value <= bounds[1] for value in values)
