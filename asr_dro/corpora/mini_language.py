"""One language of the mini corpus, made by a process that has done nothing else before.

Legend: ``T`` samples.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from asr_dro.corpora.cldr_sentences import SentenceMaker, choose_phrases, usable_phrases
from asr_dro.corpora.espeak import SAMPLE_RATE_HZ, Speaker, Synthesizer
from asr_dro.corpora.release import OTHER_TABLES, ReleasedClip, write_tables
from asr_dro.data.data_dir import SPLITS
from asr_dro.data.languages import Language
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_directory, write_json

if TYPE_CHECKING:
    from asr_dro.corpora.mini import LanguagePlan

_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
_RATES_WPM = range(130, 190, 10)
_PITCHES = range(30, 75, 5)
_PITCH_RANGES = (30, 50, 70)
_CLIPS_PER_SPEAKER = 10
_CLIP_RATES_HZ = (32_000, 32_000, 32_000, 48_000)  # newer and older releases
_SPEECH_LEVEL_DB = -24.0  # some voices are three times louder than others
_ATTEMPTS = 100
_SHORTEST_CLIP_S = 0.3  # less is a voice that cannot read its text
_SHORTEST_TARGET = 0.4  # of the mean length

_shared: dict[str, Any] = {}


class StoppedError(Exception):
    """Another process failed or the user interrupted, so this one gives up."""


def share(counter: Any, stop: Any) -> None:
    """Set up a process: ``counter`` counts finished clips for the progress bar, ``stop`` asks to give up."""
    _shared.update(counter=counter, stop=stop)


def _count_one_clip() -> None:
    if _shared:
        if _shared["stop"].is_set():
            raise StoppedError
        with _shared["counter"].get_lock():
            _shared["counter"].value += 1


def _speakers(plan: LanguagePlan, rng: random.Random) -> dict[str, list[Speaker]]:
    """Choose the speakers of each table; no two tables share one."""
    variants = list(_VARIANTS)
    rng.shuffle(variants)
    made: set[Speaker] = set()
    speakers: dict[str, list[Speaker]] = {}
    for table, clips in _tables(plan):
        speakers[table] = []
        while len(speakers[table]) < max(2, clips // _CLIPS_PER_SPEAKER):
            variant = variants[len(made) % len(variants)]
            speaker = Speaker(variant, rng.choice(_RATES_WPM), rng.choice(_PITCHES), rng.choice(_PITCH_RANGES))
            if speaker not in made:
                made.add(speaker)
                speakers[table].append(speaker)
    return speakers


def _tables(plan: LanguagePlan) -> list[tuple[str, int]]:
    sizes = {"train": plan.train, "dev": plan.dev, "test": plan.test}
    return [(table, sizes.get(table, plan.unused)) for table in (*SPLITS, *OTHER_TABLES)]


def _level(samples: npt.NDArray[np.float32], gain_db: float) -> npt.NDArray[np.float32]:
    """Scale speech to a common level plus ``gain_db``, without clipping. Shape (T,)."""
    root_mean_square = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if root_mean_square == 0.0:
        return samples
    factor = 10 ** ((_SPEECH_LEVEL_DB + gain_db) / 20) / root_mean_square
    return (samples * min(factor, 0.95 / float(np.max(np.abs(samples))))).astype(np.float32)


def _with_noise(
    samples: npt.NDArray[np.float32], snr_db: float | None, noise: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Add white noise ``snr_db`` below the speech. Shape (T,)."""
    if snr_db is None:
        return samples
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) / 10 ** (snr_db / 20)
    noisy = samples + level * noise.standard_normal(len(samples), dtype=np.float32)
    return np.clip(noisy, -1.0, 1.0).astype(np.float32)


def _write_mp3(path: Path, samples: npt.NDArray[np.float32], rate_hz: int) -> None:
    """Encode in memory and write with one system call: libsndfile does not tell a full disk from other troubles."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate_hz, format="MP3")
    try:
        path.write_bytes(encoded.getbuffer())
    except OSError as error:
        raise OSError(error.errno or errno.EIO, os.strerror(error.errno or errno.EIO), str(path)) from error


class _Studio:
    """Makes sentences and speaks them; the order of calls decides the bytes."""

    def __init__(self, language: Language, plan: LanguagePlan, seed: int) -> None:
        name = f"{seed} {language.label}"
        self.rng = random.Random(name)  # text seeds are hashed by SHA-512: equal on every machine
        self._noise = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()[:8]))
        self._synthesizer = Synthesizer(seed)
        self._language, self._plan = language, plan
        phrases = usable_phrases(language.cldr_locale, language.label)
        phrases = choose_phrases(phrases, plan.phrases, language=language.label, rng=self.rng)
        self._sentences = SentenceMaker(
            phrases, language=language.label, rng=self.rng, most_phrases=max(5, round(2 * plan.mean_s))
        )
        self._characters_per_s = 12.0  # corrected by what is measured

    def record(self, speaker: Speaker) -> tuple[str, npt.NDArray[np.float32]]:
        """Return a new sentence and its samples at ``SAMPLE_RATE_HZ``, shape (T,)."""
        plan = self._plan
        for _ in range(_ATTEMPTS):
            target_s = self.rng.triangular(
                _SHORTEST_TARGET * plan.mean_s, 0.8 * plan.max_s, _SHORTEST_TARGET * plan.mean_s
            )
            sentence = self._sentences.make(round(target_s * self._characters_per_s))
            samples = self._synthesizer.speak(sentence, self._language.espeak_voice, speaker)
            duration_s = len(samples) / SAMPLE_RATE_HZ
            if duration_s > 0:
                self._characters_per_s += 0.05 * (len(sentence) / duration_s - self._characters_per_s)
            if _SHORTEST_CLIP_S <= duration_s <= plan.max_s:
                return sentence, _with_noise(_level(samples, self.rng.uniform(-3, 3)), plan.snr_db, self._noise)
        raise UserError(
            f"{self._language.label}: {_ATTEMPTS} sentences in a row took under {_SHORTEST_CLIP_S} s or over "
            f"{plan.max_s} s; ask for longer clips"
        )


def _clips(folder: Path, language: Language, plan: LanguagePlan, seed: int) -> Iterator[ReleasedClip]:
    """Speak every clip into ``folder/clips`` and yield what the tables need."""
    locale = language.folder_names[0]
    studio = _Studio(language, plan, seed)
    speakers = _speakers(plan, studio.rng)
    number = 0
    for table, clips in _tables(plan):
        for _ in range(clips):
            speaker = studio.rng.choice(speakers[table])
            sentence, samples = studio.record(speaker)
            if table == "invalidated":  # listeners rejected it: another sentence was spoken
                sentence, _unspoken = studio.record(speaker)
            rate_hz = studio.rng.choice(_CLIP_RATES_HZ)
            samples = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz, quality="HQ")
            number += 1
            path = f"common_voice_{locale}_{number:08d}.mp3"
            _write_mp3(folder / "clips" / path, samples, rate_hz)
            client_id = hashlib.sha512(f"{seed} {locale} {speaker}".encode()).hexdigest()
            yield ReleasedClip(table, path, sentence, client_id, round(1000 * len(samples) / rate_hz))
            _count_one_clip()


def make_language(folder: Path, language: Language, plan: LanguagePlan, seed: int, marker: Mapping[str, Any]) -> None:
    """Make one locale of the release; ``folder`` appears when it is complete.

    Args:
        folder: Folder of the locale.
        language: The language.
        plan: What to make.
        seed: Seed of every choice.
        marker: Recorded in the folder, so that a re-run knows how it was made.
    """
    from asr_dro.corpora.mini import MARKER  # mini imports this module

    with atomic_directory(folder) as temporary:
        (temporary / "clips").mkdir()
        clips = list(_clips(temporary, language, plan, seed))
        write_tables(temporary, folder.name, clips)
        write_json(temporary / MARKER, marker)
