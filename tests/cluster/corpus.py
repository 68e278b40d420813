"""A corpus of noise for whole runs, as small as can be: a manifest of two languages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

WORDS = {"fin": ["yksi", "kaksi", "kolme"], "kat": ["ერთი", "ორი", "სამი"]}
UTTERANCES = {"train": 8, "dev": 2, "test": 2}  # of each language
TINY = (
    "--encoder_conf channels=8 --encoder_conf blocks=1 --num_workers 0 --average_best 1 --use_tensorboard false "
    "--batching.seconds_per_update 2 --save_every_updates 0"
)


def write_corpus(folder: Path) -> Path:
    """Write the corpus; return its manifest, for ``MANIFEST``."""
    generator = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True)
    lines = []
    for language, words in WORDS.items():
        for split, count in UTTERANCES.items():
            for number in range(count):
                clip = f"clips/{language}_{split}_{number}.wav"
                samples = int(generator.integers(8_000, 20_000))
                soundfile.write(folder / clip, 0.1 * generator.standard_normal(samples), 16_000)
                text = " ".join(generator.choice(words, size=2))
                speaker = f"{language}{split}{number}"
                line = {"audio_filepath": clip, "text": text, "lang": language, "speaker": speaker, "split": split}
                lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    (folder / "all.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder / "all.jsonl"
