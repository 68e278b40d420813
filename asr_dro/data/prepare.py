"""Stage 1: a release -> 16 kHz FLAC and the data directories of train, dev and test."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.corpora.common_voice import LocaleFolder, Quarantined, Row, find_locales, read_split
from asr_dro.data.audio_parts import AudioParts
from asr_dro.data.data_dir import SAMPLE_RATE_HZ, SPLITS, Utterance, validate_data_dir, write_data_dir
from asr_dro.data.done import fingerprint, is_made_from, mark_made_from, write_if_changed
from asr_dro.data.processes import exclusive
from asr_dro.data.text import normalize
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

LONGEST_TRAINING_S = 20.0  # a single longer clip would decide the size of every batch
SHORTEST_S = 0.1  # four windows of 25 ms: nobody can have said the sentence
MARKER = ".done.json"
_PREPARATION = 2  # raise it when equal inputs give other files


@dataclass(frozen=True)
class Preparation:
    """What stage 1 is asked for.

    Args:
        corpus: Name of the corpus; names the folder of the audio.
        source: The release.
        codes: Sorted ISO 639-3 codes.
        data_dir: Folder for everything that is written.
        name: Name of the prepared set below ``data_dir``.
        nj: Number of processes, at least one.
    """

    corpus: str
    source: Path
    codes: Sequence[str]
    data_dir: Path
    name: str
    nj: int = 1

    def __post_init__(self) -> None:
        if self.nj < 1:
            raise UserError(f"--nj must be at least 1, not {self.nj}")
        if not str(self.data_dir / self.name).isprintable():
            raise UserError(f"the path {str(self.data_dir / self.name)!r} has tabs or other control characters")

    @property
    def prepared(self) -> Path:
        """Folder of the prepared set."""
        return self.data_dir / self.name

    @property
    def audio(self) -> Path:
        """Folder of the audio, shared by all sets of one corpus."""
        return self.data_dir / "audio" / self.corpus


@dataclass
class _Result:
    utterances: dict[str, dict[str, Utterance]] = field(default_factory=lambda: {split: {} for split in SPLITS})
    quarantined: list[tuple[str, str, str, str]] = field(default_factory=list)  # language, split, clip, reason


def prepare(preparation: Preparation) -> bool:
    """Prepare a set; do only what is missing.

    Args:
        preparation: What is asked for.

    Returns:
        False if the set was there already, made from the same release.

    Raises:
        UserError: If the release lacks something, or a language has no usable training clip.
        OSError: If the disk is full or a process died.
    """
    locales = find_locales(preparation.source, preparation.codes)
    inputs, marker = _inputs(preparation, locales), preparation.prepared / MARKER
    outputs = [preparation.prepared / split / "utt2dur" for split in SPLITS]
    if is_made_from(marker, inputs, outputs):
        return False
    with exclusive(preparation.audio):
        marker.unlink(missing_ok=True)
        result = _collect(preparation, locales)
        for split in SPLITS:
            write_data_dir(preparation.prepared / split, result.utterances[split].values())
            validate_data_dir(preparation.prepared / split, allow_empty=True)
        _write_quarantine(preparation.prepared / "quarantine.tsv", result)
        _check_languages(preparation, result)
        mark_made_from(marker, inputs)
    return True


def _inputs(preparation: Preparation, locales: Sequence[LocaleFolder]) -> dict[str, Any]:
    tables = [locale.table(split) for locale in locales for split in SPLITS]
    return {
        "preparation": _PREPARATION,
        "corpus": preparation.corpus,
        "source": os.path.realpath(preparation.source),
        "languages": list(preparation.codes),
        "audio": str(preparation.audio),
        "files": fingerprint([*tables, *(locale.clips for locale in locales)]),
    }


def _collect(preparation: Preparation, locales: Sequence[LocaleFolder]) -> _Result:
    from tqdm import tqdm  # needed only when there is work
    from tqdm.contrib.logging import logging_redirect_tqdm

    result = _Result()
    with contextlib.ExitStack() as stack:
        total = sum(_count_rows(locale.table(split)) for locale in locales for split in SPLITS)
        bar = stack.enter_context(tqdm(total=total, unit="clip", disable=None))
        stack.enter_context(logging_redirect_tqdm())
        parts = AudioParts(preparation.audio, preparation.nj, stack=stack, bar=bar)
        for locale in locales:
            counts = [f"{split} {_add_table(result, locale, split, parts)}" for split in SPLITS]
            logger.info("%s (rows = utterances + quarantined): %s", locale.path, ", ".join(counts))
    return result


def _count_rows(table: Path) -> int:
    with open(table, "rb") as file:
        return sum(1 for _ in file) - 1


def _add_table(result: _Result, locale: LocaleFolder, split: str, parts: AudioParts) -> str:
    """Add one table to ``result``; every row ends as an utterance or in quarantine. Returns the balance."""
    quarantined: list[tuple[str, str]] = []
    texts: dict[Row, str] = {}
    rows = 0
    for row in read_split(locale, split):
        rows += 1
        if isinstance(row, Quarantined):
            quarantined.append((row.clip, row.reason))
        elif text := normalize(row.sentence, locale.language):
            texts[row] = text
        else:
            quarantined.append((row.clip, "sentence is empty after normalisation"))
    samples, failed = parts.convert(locale, split, list(texts))
    utterances = result.utterances[split]
    before = len(utterances)
    for row, text in texts.items():
        duration_s = samples.get(row.clip, 0) / SAMPLE_RATE_HZ
        utterance = _utterance(row, text, locale.language, parts.wav(locale, row), duration_s)
        if row.clip in failed:
            quarantined.append((row.clip, failed[row.clip]))
        elif duration_s < SHORTEST_S:
            quarantined.append((row.clip, f"{duration_s:.3f} s is shorter than {SHORTEST_S:g} s"))
        elif split != "test" and duration_s > LONGEST_TRAINING_S:
            quarantined.append((row.clip, f"{duration_s:.1f} s is longer than {LONGEST_TRAINING_S:g} s"))
        elif utterance.utt_id in utterances:
            quarantined.append((row.clip, "another locale of the language has a clip of this name and speaker"))
        else:
            utterances[utterance.utt_id] = utterance
    added = len(utterances) - before
    assert rows == added + len(quarantined), f"{locale.table(split)}: a row was lost"
    result.quarantined += [(locale.language, split, clip, reason) for clip, reason in quarantined]
    return f"{rows} = {added} + {len(quarantined)}"


def _utterance(row: Row, text: str, language: str, wav: Path, duration_s: float) -> Utterance:
    speaker = f"{language}-{hashlib.sha256(row.client_id.encode()).hexdigest()[:16]}"
    return Utterance(f"{speaker}-{row.name}", str(wav), text, speaker, language, language, duration_s)


def _write_quarantine(path: Path, result: _Result) -> None:
    lines = ["language\tsplit\tclip\treason\n"]
    for language, split, clip, reason in sorted(result.quarantined):
        shown = clip if clip.isprintable() else clip.encode("unicode_escape").decode()
        lines.append(f"{language}\t{split}\t{shown}\t{reason}\n")
    write_if_changed(path, "".join(lines))


def _check_languages(preparation: Preparation, result: _Result) -> None:
    for split in SPLITS:
        present = {utterance.language for utterance in result.utterances[split].values()}
        absent = [code for code in preparation.codes if code not in present]
        if absent and split == "train":
            raise UserError(
                f"no usable training clip for {' '.join(absent)}; "
                f"the reasons are in {preparation.prepared / 'quarantine.tsv'}"
            )
        if absent:
            logger.warning("%s has no utterance of %s", split, " ".join(absent))
