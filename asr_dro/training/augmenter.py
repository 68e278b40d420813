"""Augmentation of an utterance: speed, then noise.

What happens to an utterance follows from (seed, epoch, utterance id), and its how-manieth time in the epoch where
batching repeats it; so it is the same for any number of loader processes and training processes, after a resume, and
for objectives that batch differently.

Legend: ``T`` samples.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from asr_dro.data.audio import ClipError
from asr_dro.training.augmentation import AugmentationConfig, NoiseConfig
from asr_dro.training.noise import Samples, find_noise, read_excerpt

logger = logging.getLogger(__name__)


class Augmenter:
    """Changes utterances of training.

    Args:
        config: What is done.
        seed: Seed of the run.
        noise_files: Files of noise, in an order that does not change.
    """

    def __init__(self, config: AugmentationConfig, *, seed: int, noise_files: Sequence[str] = ()) -> None:
        self.config, self.seed, self.noise_files = config, seed, tuple(noise_files)
        self._failed: set[str] = set()

    @classmethod
    def build(cls, config: AugmentationConfig, *, seed: int) -> Augmenter | None:
        """Return the augmenter of a run, None if there is nothing to do.

        Raises:
            UserError: If the folder of noise is missing or empty.
        """
        if not config:
            return None
        return cls(config, seed=seed, noise_files=find_noise(Path(config.noise.folder)) if config.noise else ())

    def __call__(self, samples: Samples, utt_id: str, *, epoch: int, occurrence: int = 0) -> Samples:
        """Return what becomes of an utterance.

        Args:
            samples: Audio at 16 kHz, (T,); not changed in place.
            utt_id: Its id.
            epoch: Epoch, from 1.
            occurrence: How often it has come before in this epoch.

        Returns:
            Samples (T',); T' = T / speed.
        """
        key = hashlib.blake2b(f"{self.seed} {epoch} {occurrence} {utt_id}".encode(errors="surrogateescape"))
        generator = np.random.default_rng(int.from_bytes(key.digest()[:16], "little"))
        if self.config.speed:
            samples = change_speed(samples, self.config.speed[generator.integers(len(self.config.speed))])
        noise = self.config.noise
        if noise is not None and generator.random() < noise.probability:
            samples = self._add_noise(samples, noise, generator)
        return samples

    def _add_noise(self, samples: Samples, config: NoiseConfig, generator: np.random.Generator) -> Samples:
        path = self.noise_files[generator.integers(len(self.noise_files))]
        snr_db, place = generator.uniform(*config.snr_db), generator.random()
        try:
            noise = read_excerpt(path, len(samples), place)
        except ClipError as error:  # it could be read when the training began
            if path not in self._failed:
                self._failed.add(path)
                logger.warning("noise %s: %s; its utterances stay without noise", path, error)
            return samples
        return mix(samples, noise, snr_db)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Return samples (T,) played ``factor`` times as fast, (T / factor,); the pitch moves along."""
    if factor == 1.0:
        return samples
    faster: Samples = soxr.resample(samples, factor, 1.0, quality="HQ")
    return faster


def mix(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Return speech (T,) plus noise (T,) scaled to the ratio of their mean powers; digital silence gets and is none."""
    speech_power, noise_power = (float(np.mean(np.square(part, dtype=np.float64))) for part in (speech, noise))
    if speech_power == 0.0 or noise_power == 0.0:
        return speech
    scale = np.sqrt(speech_power / noise_power / 10 ** (snr_db / 10))
    return speech + np.float32(scale) * noise
