"""What an analysis reads: scores and utterances, and if they are there the prepared set and the training's log."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_dro.analysis.statistics import Floats
from asr_dro.data import out_of_vocabulary
from asr_dro.data.data_dir import CORPUS_FILE, read_two_columns
from asr_dro.data.lengths import read_together
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, EPOCHS, GROUP_UPDATES, SCORES, SELECTION, UTTERANCES
from asr_dro.fileio import read_log
from asr_dro.scoring.files import iterate_tsv, read_scores, read_tsv

_NUMBERS = ("duration_s", "ref_chars", "char_sub", "char_del", "char_ins")
_WORDS = ("utt_id", "speaker", "wav", "reference", "hypothesis", "hypothesis_language")


@dataclass(frozen=True)
class LanguageUtterances:
    """The scored utterances of one language, ``N`` of them, column by column.

    Attributes:
        utt_ids: Their ids.
        speakers: Speaker of each.
        wavs: Audio file of each.
        references: What was said; where labels hold languages alone, the transcript of the prepared set.
        hypotheses: What was recognised.
        tags: Recognised language, empty for none.
        corpora: Corpus of each; empty list if the set does not say.
        duration_s: Seconds, (N,); ``nan`` if unknown.
        reference_length: Characters of the reference, (N,); 0 where no text is scored.
        substitutions: Characters, (N,).
        deletions: Characters, (N,).
        insertions: Characters, (N,).
    """

    utt_ids: list[str]
    speakers: list[str]
    wavs: list[str]
    references: list[str]
    hypotheses: list[str]
    tags: list[str]
    corpora: list[str]
    duration_s: Floats
    reference_length: Floats
    substitutions: Floats
    deletions: Floats
    insertions: Floats

    def __len__(self) -> int:
        return len(self.utt_ids)

    @property
    def errors(self) -> Floats:
        """Wrong characters, (N,)."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def error_rates(self) -> Floats:
        """Wrong characters per reference character, (N,); ``nan`` where the reference is empty."""
        return _ratio(self.errors, self.reference_length)

    @property
    def characters_per_s(self) -> Floats:
        """Characters of the reference per second of audio, (N,); ``nan`` where either is unknown or zero."""
        characters = np.array([len(text) for text in self.references], dtype=np.float64)
        return _ratio(np.where(characters > 0, characters, np.nan), self.duration_s)


@dataclass
class TrainingData:
    """The training data of one language.

    Attributes:
        seconds: Of audio.
        n_utterances: Utterances.
        characters: Of the transcripts.
        speakers: Their names.
        alphabet: Characters of the transcripts.
    """

    seconds: float = 0.0
    n_utterances: int = 0
    characters: int = 0
    speakers: set[str] = field(default_factory=set)
    alphabet: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Inputs:
    """Everything that an analysis is made from.

    Attributes:
        split: The split.
        scores: Its ``scores.json``.
        other_scores: Scores of dev if the split is test, of test otherwise; None if there are none.
        utterances: By language, sorted.
        training: By language; empty if the set has no ``train``.
        out_of_vocabulary: Rows of ``oov.tsv`` of this split by language; None if there is no such file.
        epoch: The line of ``train.jsonl`` whose weights were decoded, the last one if that is unknown; may be empty.
        weights: Last group weights by group; empty if the objective has none.
    """

    split: str
    scores: Mapping[str, Any]
    other_scores: Mapping[str, Any] | None
    utterances: Mapping[str, LanguageUtterances]
    training: Mapping[str, TrainingData] = field(default_factory=dict)
    out_of_vocabulary: Mapping[str, Mapping[str, str]] | None = None
    epoch: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """What labels hold: ``lid+asr``, ``asr`` or ``lid``."""
        return str(self.scores.get("task", "lid+asr"))


def read_inputs(data_set: Path, experiment: Path, decode_dir: Path, split: str) -> Inputs:
    """Read all inputs; of those that may be absent, absent ones give empty values.

    Args:
        data_set: The prepared set.
        experiment: ``exp/<tag>``.
        decode_dir: ``exp/<tag>/decode_<decode>``.
        split: A scored split.

    Raises:
        UserError: If a file is there but cannot be understood; the message names it.
    """
    scores = read_scores(decode_dir / split / SCORES)
    if scores is None:
        raise UserError(f"{decode_dir / split / SCORES}: not a score file; run stage 6 (score) again")
    other = "dev" if split == "test" else "test"
    is_lid = scores.get("task") == "lid"
    return Inputs(
        split=split,
        scores=scores,
        other_scores=read_scores(decode_dir / other / SCORES),
        utterances=_read_utterances(decode_dir / split / UTTERANCES, data_set / split, with_text=not is_lid),
        training=_read_training(data_set / "train"),
        out_of_vocabulary=_read_unknown(data_set / out_of_vocabulary.FILE_NAME, split),
        epoch=_read_epoch(experiment),
        weights=_read_weights(experiment / GROUP_UPDATES),
    )


def _read_utterances(path: Path, folder: Path, *, with_text: bool) -> dict[str, LanguageUtterances]:
    """Read ``utterances.tsv`` into columns by language; without scored text, transcripts come from the prepared set."""
    if not path.exists():
        raise UserError(f"{path} is missing; run stage 6 (score) again")
    texts = {} if with_text or not (folder / "text").exists() else read_two_columns(folder / "text")
    corpora = read_two_columns(folder / CORPUS_FILE) if (folder / CORPUS_FILE).exists() else {}
    columns: dict[str, dict[str, list[Any]]] = {}
    for number, row in enumerate(iterate_tsv(path, ("language", *_NUMBERS, *_WORDS)), start=2):
        of_language = columns.setdefault(row["language"], {name: [] for name in (*_WORDS, *_NUMBERS, "corpus")})
        for name in _WORDS:
            of_language[name].append(row[name])
        if not with_text:
            of_language["reference"][-1] = texts.get(row["utt_id"], "")
        try:
            for name in _NUMBERS:
                of_language[name].append(float(row[name]))
        except ValueError:
            raise UserError(f"{path}:{number}: {name} is {row[name]!r}, not a number") from None
        if corpora:
            of_language["corpus"].append(corpora.get(row["utt_id"], ""))
    return {language: _pack(columns[language]) for language in sorted(columns)}


def _pack(columns: Mapping[str, list[Any]]) -> LanguageUtterances:
    words: list[list[str]] = [columns[name] for name in (*_WORDS, "corpus")]
    numbers = [np.array(columns[name], dtype=np.float64) for name in _NUMBERS]
    return LanguageUtterances(*words, *numbers)  # type: ignore[arg-type]  # both in the order of the fields


def _read_training(folder: Path) -> dict[str, TrainingData]:
    """Sum up the training data line by line: it may have millions."""
    names = ("utt2lang", "utt2dur", "utt2spk", "text")
    found: dict[str, TrainingData] = {}
    if not all((folder / name).exists() for name in names):
        return found
    for utt_id, language, duration, speaker, text in read_together(folder, *names):
        data = found.setdefault(language, TrainingData())
        try:
            data.seconds += float(duration)
        except ValueError:
            raise UserError(f"{folder / 'utt2dur'}: {utt_id} has {duration!r}, not a number of seconds") from None
        data.n_utterances += 1
        data.characters += len(text)
        data.speakers.add(speaker)
        data.alphabet.update(text)
    return found


def _read_unknown(path: Path, split: str) -> dict[str, dict[str, str]] | None:
    if not path.exists():
        return None
    return {row["language"]: row for row in read_tsv(path, out_of_vocabulary.COLUMNS) if row["split"] == split}


def _read_epoch(experiment: Path) -> dict[str, Any]:
    """Read the record of the best epoch that went into the weights."""
    records = {record.get("epoch"): record for record in read_log(experiment / EPOCHS)}
    if not records:
        return {}
    try:
        selection = json.loads((experiment / CHECKPOINTS / SELECTION).read_text(encoding="utf-8"))
        best = selection["averaged"][0]["epoch"]
    except (OSError, ValueError, LookupError, TypeError):
        best = None
    return records.get(best, list(records.values())[-1])


def _read_weights(path: Path) -> dict[str, float]:
    """Read the last weights; ``{}`` where there are none, or what is there is no mapping of numbers."""
    updates = read_log(path)
    last = updates[-1].get("q") if updates else None
    return finite_numbers(last.items()) if isinstance(last, dict) else {}


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; ``nan`` where there is nothing to divide by."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def finite_numbers(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Keep what is a finite number."""
    return {
        name: float(value)
        for name, value in pairs
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def count_tags(utterances: LanguageUtterances) -> Counter[str]:
    """Count the recognised languages; the empty name stands for none."""
    return Counter(utterances.tags)
