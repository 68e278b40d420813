"""A prepared set of noise and a model on it, small enough for every test of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.data.lengths import make_lengths, make_tokens

LANGUAGES = ("fin", "kat")
WORDS = {"fin": ["yksi", "kaksi", "kolme"], "kat": ["ერთი", "ორი", "სამი"]}


def write_noise_set(folder: Path, *, per_language: int = 6) -> Path:
    """Write train and dev of ``per_language`` utterances each (0.5 to 1.2 s of noise), and run stages 2 and 3."""
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
    make_tokens(folder / "set")
    make_lengths(folder / "set")
    return folder / "set"


@pytest.fixture(scope="session")
def noise_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise_set(tmp_path_factory.mktemp("noise"))
