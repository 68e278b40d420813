"""The corpus that the benchmarks of data preparation share: MP3 clips like Common Voice's, and releases made of them.

Clips are sentences of the mini corpus, joined to 5.5 s in the mean, with noise 30 dB below: 48 kHz mono MP3.
A release names each clip several times under different names (hard links), so its size on disk stays small.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr_dro.corpora.mini import make_mini_corpus
from asr_dro.corpora.release import CLIP_COLUMNS
from asr_dro.data.languages import parse_lang_set

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
SAMPLE_RATE_HZ = 48_000
MEAN_S = 5.5
_LINKS = 30_000  # names of one file; file systems allow 32,000 to 65,000


def _sentences(work: Path) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Yield the mini corpus's clips, decoded, for ever."""
    corpus = work / "mini"
    make_mini_corpus(corpus, parse_lang_set("mini6"), nj=2)
    paths = sorted(corpus.rglob("*.mp3"))
    while True:
        for path in paths:
            yield soundfile.read(path, dtype="float32")[0]


def make_clips(work: Path, number: int) -> list[tuple[Path, float]]:
    """Return ``number`` MP3 files and their lengths in seconds; made once."""
    folder, rng = work / "clips", np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    sentences, made = _sentences(work), []
    for index in range(number):
        path = folder / f"{index:05d}.mp3"
        wanted = int(rng.lognormal(np.log(MEAN_S) - 0.045, 0.3) * SAMPLE_RATE_HZ)
        if not path.exists():
            pieces: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
            while sum(map(len, pieces)) < wanted:
                pieces.append(next(sentences))
            samples = np.concatenate(pieces)[:wanted]
            noise = rng.standard_normal(wanted).astype(np.float32) * np.sqrt(np.mean(samples**2)) * 10 ** (-30 / 20)
            soundfile.write(
                path, samples + noise, SAMPLE_RATE_HZ, format="MP3", bitrate_mode="CONSTANT", compression_level=0.8
            )
        made.append((path, wanted / SAMPLE_RATE_HZ))
    return made


def write_release(folder: Path, locales: Sequence[str], clips: Sequence[tuple[Path, float]], rows: int) -> None:
    """Write a release in the layout of versions 17 to 25, ``rows`` clips in each locale (8/10 train, dev, test)."""
    for locale in locales:
        home = folder / locale
        (home / "clips").mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            names = ("train", "dev", "test", "clip_durations")
            files = {name: stack.enter_context(open(home / f"{name}.tsv", "w", encoding="utf-8")) for name in names}
            for name in names[:3]:
                files[name].write("\t".join(CLIP_COLUMNS) + "\n")
            files["clip_durations"].write("clip\tduration[ms]\n")
            for row in range(rows):
                clip = f"common_voice_{locale}_{row:08d}.mp3"
                source, seconds = clips[row % len(clips)]
                _link(source, home / "clips" / clip, row // (len(clips) * _LINKS))
                split = "train" if row % 10 < 8 else "dev" if row % 10 == 8 else "test"
                files[split].write("\t".join(_values(locale, clip, row)) + "\n")
                files["clip_durations"].write(f"{clip}\t{round(1000 * seconds)}\n")


def _link(source: Path, target: Path, generation: int) -> None:
    """Name ``source`` once more; every generation of names has a copy of its own."""
    if generation:
        copy = source.with_name(f"{source.stem}.{generation}{source.suffix}")
        if not copy.exists():
            copy.write_bytes(source.read_bytes())
        source = copy
    if not target.exists():
        os.link(source, target)


def _values(locale: str, name: str, row: int) -> tuple[str, ...]:
    speaker = hashlib.sha512(f"{locale} {row % 10} {row // 50}".encode()).hexdigest()  # a speaker is in one split only
    sentence = f"Number {row} is what somebody says here, in the tongue called {locale}."
    sentence_id = hashlib.sha256(sentence.encode()).hexdigest()
    return (speaker, name, sentence_id, sentence, "general", "2", "0", "", "", "", "", locale, "")
