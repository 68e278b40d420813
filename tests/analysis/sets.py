"""Prepared sets and experiments with hypotheses in which single causes of errors are planted; no training, no audio.

Every language has words of its own, made of its own syllables, so that texts of two languages differ as real ones do.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asr_dro.analysis.losses import AlignmentLosses
from asr_dro.analysis.stage import analyze
from asr_dro.data.data_dir import Utterance, write_data_dir, write_two_columns
from asr_dro.scoring.stage import score_all

LATIN = "abcdefghijklmnopqrstuvwxyz"
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
SEVEN = ("ces", "deu", "fin", "fra", "ita", "spa", "tur")  # all in Latin script
SECONDS_PER_CHARACTER = 1 / 13


@dataclass(frozen=True)
class Clip:
    """One utterance: what is said in it, what the transcript claims, how long it is, what is recognised."""

    utt_id: str
    speaker: str
    spoken: str
    transcript: str
    duration_s: float
    recognised: str
    tag: str


@dataclass(frozen=True)
class Spec:
    """How one language is made: sizes, error rate, and ``plant``, which changes the clips of the test split."""

    letters: str = LATIN
    n_train: int = 60
    n_test: int = 40
    n_speakers: int = 8
    error: float = 0.1
    n_words: tuple[int, int] = (4, 9)
    seconds_per_character: float = SECONDS_PER_CHARACTER
    plant: Callable[[list[Clip], random.Random], list[Clip]] | None = None


@dataclass
class Planted:
    """An experiment on disk.

    Attributes:
        data: The prepared set.
        exp: The experiment folder.
        clips: Of the test split, by language.
    """

    data: Path
    exp: Path
    clips: dict[str, list[Clip]] = field(default_factory=dict)

    @property
    def decode_dir(self) -> Path:
        return self.exp / "decode_greedy"

    def analyze(self, losses: AlignmentLosses | None = None) -> dict[str, Any]:
        score_all(self.data, self.decode_dir)
        return analyze(self.data, self.exp, self.decode_dir, "test", losses)


def vocabulary(language: str, letters: str, size: int = 200) -> list[str]:
    """Make the words of a language out of a few dozen syllables."""
    rng = random.Random(f"words {language}")
    syllables = ["".join(rng.choices(letters, k=rng.choice([2, 2, 3]))) for _ in range(30)]
    return ["".join(rng.choices(syllables, k=rng.choice([1, 2, 2, 3]))) for _ in range(size)]


def sentence(words: Sequence[str], rng: random.Random, n_words: tuple[int, int]) -> str:
    return " ".join(rng.choices(words, k=rng.randint(*n_words)))


def corrupt(text: str, rate: float, rng: random.Random, letters: str = LATIN) -> str:
    """Replace, delete and insert characters, with the shares 8, 1 and 1."""
    result = []
    for character in text:
        if rng.random() > rate:
            result.append(character)
            continue
        kind = rng.choice([*(8 * ["replace"]), "delete", "insert"])
        other = rng.choice(letters)
        result.append({"replace": other, "delete": "", "insert": character + other}[kind])
    return "".join(result)


def make_clips(language: str, spec: Spec, n: int, rng: random.Random) -> list[Clip]:
    """Make clips whose transcripts are right."""
    words = vocabulary(language, spec.letters)
    clips = []
    for index in range(n):
        speaker = f"{language}-s{index % spec.n_speakers:02d}"
        text = sentence(words, rng, spec.n_words)
        duration_s = 0.4 + len(text) * spec.seconds_per_character * rng.uniform(0.85, 1.15)
        heard = corrupt(text, spec.error * rng.uniform(0.5, 1.5), rng, spec.letters)
        clips.append(Clip(f"{speaker}-{index:05d}", speaker, text, text, duration_s, heard, language))
    return clips


def write_set(root: Path, specs: Mapping[str, Spec], *, seed: int = 1) -> Planted:
    """Write a prepared set with train, dev and test, and hypotheses of dev and test."""
    planted = Planted(root / "data" / "set", root / "exp" / "run")
    rng = random.Random(seed)
    for split in ("train", "dev", "test"):
        clips = {
            code: make_clips(code, spec, spec.n_train if split == "train" else spec.n_test, rng)
            for code, spec in specs.items()
        }
        if split == "test":
            clips = {code: plant(clips[code], rng) if (plant := specs[code].plant) else clips[code] for code in specs}
            planted.clips = clips
        write_split(planted, split, clips)
    return planted


def write_split(planted: Planted, split: str, clips: Mapping[str, Sequence[Clip]]) -> None:
    """Write one split, and its hypotheses unless it is train."""
    utterances, hypotheses = [], {}
    for code, members in clips.items():
        for clip in members:
            wav = f"audio/{clip.utt_id}.flac"
            utterances.append(Utterance(clip.utt_id, wav, clip.transcript, clip.speaker, code, code, clip.duration_s))
            hypotheses[clip.utt_id] = f"[{clip.tag}] {clip.recognised}" if clip.tag else clip.recognised
    write_data_dir(planted.data / split, utterances)
    if split != "train":
        write_two_columns(planted.decode_dir / split / "text", hypotheses)


def seven(spec: Spec | None = None, language: str = "fin") -> dict[str, Spec]:
    """Give seven equal languages, one of them with a specification of its own."""
    return {code: Spec() for code in SEVEN} | ({language: spec} if spec else {})


def kinds(analysis: Mapping[str, Any], language: str) -> set[str]:
    """Return the kinds of a language's findings."""
    entry = next(entry for entry in analysis["languages"] if entry["language"] == language)
    return {finding["kind"] for finding in entry["findings"]}


def finding(analysis: Mapping[str, Any], language: str, kind: str) -> dict[str, Any]:
    """Return one finding."""
    entry = next(entry for entry in analysis["languages"] if entry["language"] == language)
    return next(one for one in entry["findings"] if one["kind"] == kind)


def write_log(planted: Planted, records: Sequence[Mapping[str, Any]], name: str = "train.jsonl") -> None:
    """Write a log of the training."""
    planted.exp.mkdir(parents=True, exist_ok=True)
    (planted.exp / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def with_transcript(clip: Clip, transcript: str) -> Clip:
    """Return the clip with another transcript."""
    return replace(clip, transcript=transcript)
