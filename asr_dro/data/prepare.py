"""Stage 1: a release -> 16 kHz FLAC and the data directories of train, dev and test."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_dro.corpora.common_voice import SPLITS, LocaleFolder, Quarantined, Row, find_locales, read_split
from asr_dro.data.data_dir import Utterance, validate_data_dir, write_data_dir
from asr_dro.data.done import fingerprint, is_made_from, mark_made_from, write_if_changed
from asr_dro.data.processes import exclusive
from asr_dro.data.text import normalize
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_open

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

LONGEST_TRAINING_S = 20.0  # a single longer clip would decide the size of every batch
_SAMPLE_RATE_HZ = 16_000
_PREPARATION = 1  # raise it when equal inputs give other files
MARKER = ".done.json"


@dataclass(frozen=True)
class Preparation:
    """What stage 1 is asked for.

    Args:
        corpus: Name of the corpus; names the folder of the audio.
        source: The release.
        codes: Sorted ISO 639-3 codes.
        data_dir: Folder for everything that is written.
        name: Name of the prepared set below ``data_dir``.
        nj: Number of processes.
    """

    corpus: str
    source: Path
    codes: list[str]
    data_dir: Path
    name: str
    nj: int = 1

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
    utterances: dict[str, list[Utterance]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    quarantined: list[tuple[str, str, str, str]] = field(default_factory=list)  # language, split, clip, reason


def _inputs(preparation: Preparation, locales: list[LocaleFolder]) -> dict[str, Any]:
    tables = [locale.table(split) for locale in locales for split in SPLITS]
    return {
        "preparation": _PREPARATION,
        "corpus": preparation.corpus,
        "source": str(preparation.source),
        "languages": preparation.codes,
        "audio": str(preparation.audio),
        "files": fingerprint([*tables, *(locale.clips for locale in locales)]),
    }


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
            write_data_dir(preparation.prepared / split, result.utterances[split])
            validate_data_dir(preparation.prepared / split, allow_empty=True)
        _write_quarantine(preparation.prepared / "quarantine.tsv", result.quarantined)
        _check_training(preparation, result)
        mark_made_from(marker, inputs)
    return True


def _collect(preparation: Preparation, locales: list[LocaleFolder]) -> _Result:
    from tqdm import tqdm  # noqa: PLC0415  (needed only when there is work)

    result = _Result()
    tables = {(locale, split): list(read_split(locale, split)) for locale in locales for split in SPLITS}
    total = sum(len(rows) for rows in tables.values())
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=total, unit="clip", disable=None))
        converter = _Converter(preparation, stack, bar)
        for (locale, split), rows in tables.items():
            _add_table(result, locale, split, rows, converter)
    return result


class _Converter:
    """Converts clips; the processes start with the first clip that needs them."""

    def __init__(self, preparation: Preparation, stack: contextlib.ExitStack, bar: tqdm[Any]) -> None:
        self._preparation, self._stack, self._bar = preparation, stack, bar
        self._pool: ProcessPoolExecutor | None = None

    def samples(self, locale: LocaleFolder, split: str, clips: list[str]) -> tuple[dict[str, int], dict[str, str]]:
        """Return ``{clip: samples}`` of clips whose FLAC is there now, and ``{clip: reason}`` of the others."""
        folder = self.folder(locale)
        part = folder.parent / f"{folder.name}.{split}.tsv"
        made_from = json.dumps({"clips": str(locale.clips)} | fingerprint([locale.table(split)]), sort_keys=True)
        known = _read_part(part, made_from)
        missing = [clip for clip in clips if clip not in known]
        self._bar.update(len(clips) - len(missing))
        failed = {}
        if missing:
            for clip, samples, reason in self._convert(locale, folder, missing):
                if reason:
                    failed[clip] = reason
                else:
                    known[clip] = samples
            _write_part(part, made_from, known)
        return known, failed

    def folder(self, locale: LocaleFolder) -> Path:
        """Return the folder of a locale's FLAC files."""
        return self._preparation.audio / locale.language / locale.path.name

    def _convert(self, locale: LocaleFolder, folder: Path, clips: list[str]) -> Iterator[tuple[str, int, str]]:
        from asr_dro.data import audio  # noqa: PLC0415  (numpy, soundfile and soxr)

        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.tmp.*"):  # the lock is ours, so nobody is writing it
            stale.unlink(missing_ok=True)
        if self._pool is None:
            self._pool = self._stack.enter_context(audio.decoding_pool(self._preparation.nj))
        return audio.convert_clips(clips, locale.clips, folder, pool=self._pool, on_clips=self._bar.update)


def _read_part(part: Path, made_from: str) -> dict[str, int]:
    """Return the clips recorded in a part's table, none if it was made from another release."""
    try:
        lines = part.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    if not lines or lines[0] != f"# {made_from}":
        return {}
    return {clip: int(samples) for clip, samples in (line.split("\t") for line in lines[2:])}


def _write_part(part: Path, made_from: str, samples: dict[str, int]) -> None:
    with atomic_open(part) as file:
        file.write(f"# {made_from}\nclip\tsamples\n")
        for clip, number in samples.items():
            file.write(f"{clip}\t{number}\n")


def _add_table(
    result: _Result, locale: LocaleFolder, split: str, rows: list[Row | Quarantined], converter: _Converter
) -> None:
    """Add the utterances of one table to ``result``; every row ends as an utterance or in quarantine."""
    from asr_dro.data.audio import flac_name  # noqa: PLC0415

    language = locale.language
    quarantined = [(row.clip, row.reason) for row in rows if isinstance(row, Quarantined)]
    texts: dict[str, tuple[Row, str]] = {}
    for row in rows:
        if isinstance(row, Row):
            text = normalize(row.sentence, language)
            if text:
                texts[row.clip] = (row, text)
            else:
                quarantined.append((row.clip, "sentence is empty after normalisation"))
    samples, failed = converter.samples(locale, split, list(texts))
    utterances = []
    for clip, (row, text) in texts.items():
        duration_s = samples.get(clip, 0) / _SAMPLE_RATE_HZ
        if clip in failed:
            quarantined.append((clip, failed[clip]))
        elif split != "test" and duration_s > LONGEST_TRAINING_S:
            quarantined.append((clip, f"{duration_s:.1f} s is longer than {LONGEST_TRAINING_S:g} s"))
        else:
            wav = converter.folder(locale) / flac_name(clip)
            utterances.append(_utterance(row, text, language, wav, duration_s))
    assert len(rows) == len(utterances) + len(quarantined), f"{locale.table(split)}: a row was lost"
    logger.info(
        "%s: %d rows = %d utterances + %d quarantined",
        locale.table(split), len(rows), len(utterances), len(quarantined),
    )  # fmt: skip
    result.utterances[split] += utterances
    result.quarantined += [(language, split, clip, reason) for clip, reason in quarantined]


def _utterance(row: Row, text: str, language: str, wav: Path, duration_s: float) -> Utterance:
    speaker = f"{language}-{hashlib.sha256(row.client_id.encode()).hexdigest()[:16]}"
    return Utterance(f"{speaker}-{wav.stem}", str(wav), text, speaker, language, language, duration_s)


def _write_quarantine(path: Path, quarantined: list[tuple[str, str, str, str]]) -> None:
    lines = ["language\tsplit\tclip\treason\n"]
    for language, split, clip, reason in sorted(quarantined):
        shown = clip.encode("unicode_escape").decode() if not clip.isprintable() else clip
        lines.append(f"{language}\t{split}\t{shown}\t{reason}\n")
    write_if_changed(path, "".join(lines))


def _check_training(preparation: Preparation, result: _Result) -> None:
    for split in SPLITS:
        present = {utterance.language for utterance in result.utterances[split]}
        absent = [code for code in preparation.codes if code not in present]
        if absent and split == "train":
            raise UserError(
                f"no usable training clip for {' '.join(absent)}; "
                f"the reasons are in {preparation.prepared / 'quarantine.tsv'}"
            )
        if absent:
            logger.warning("%s has no utterance of %s", split, " ".join(absent))
