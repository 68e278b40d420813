"""Stage 1: a corpus -> audio that training reads and the data directories of train, dev and test.

Rows are read into a database, lengths are limited, training audio is drawn, the audio of what is left is converted (or
looked at), and the database is written out in order. Nothing here knows which corpus it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.corpora.corpus import CorpusRequest, Part, Row, clip_name
from asr_dro.corpora.registry import open_corpus
from asr_dro.data.audio_parts import AudioParts, kept_without_files
from asr_dro.data.clip_table import Outcome
from asr_dro.data.clip_workers import ClipWorkers
from asr_dro.data.config import FILE_NAME, DataConfig
from asr_dro.data.data_dir import SPLITS, Utterance, validate_data_dir, write_sorted_data_dir
from asr_dro.data.done import (
    fingerprint,
    is_made_from,
    mark_made_from,
    open_if_changed,
    remove_stale,
    write_if_changed,
)
from asr_dro.data.draw import ALL, draw, parse_duration
from asr_dro.data.processes import exclusive
from asr_dro.data.row_reading import read_rows, speaker_of
from asr_dro.data.staging import Staging, new_staging
from asr_dro.disk import check_room
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

MARKER = ".done.json"
_PREPARATION = 4  # raise it when equal inputs give other files


@dataclass(frozen=True)
class Preparation:
    """What stage 1 is asked for.

    Args:
        corpus: One of ``CORPORA``; names the folder of the audio.
        source: Where the corpus lies.
        codes: Sorted labels of languages.
        data_dir: Folder for everything that is written.
        name: Name of the prepared set below ``data_dir``.
        nj: Number of processes, at least one.
        config: How the corpus is read.
        duration: Training audio per language, such as ``10min``; ``all``: no limit.
        only: For some languages, the sub-corpora to take.
    """

    corpus: str
    source: Path
    codes: Sequence[str]
    data_dir: Path
    name: str
    nj: int = 1
    config: DataConfig = field(default_factory=DataConfig)
    duration: str = ALL
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.nj < 1:
            raise UserError(f"--nj must be at least 1, not {self.nj}")
        if not str(self.data_dir / self.name).isprintable():
            raise UserError(f"the path {str(self.data_dir / self.name)!r} has tabs or other control characters")
        parse_duration(self.duration)

    @property
    def prepared(self) -> Path:
        """Folder of the prepared set."""
        return self.data_dir / self.name

    @property
    def audio(self) -> Path:
        """Folder of the audio, shared by all sets of one corpus."""
        return self.data_dir / ("packs" if self.config.audio == "pack" else "audio") / self.corpus

    @property
    def request(self) -> CorpusRequest:
        """What the corpus's reader is asked for."""
        cache = self.data_dir / "cache" / self.corpus
        return CorpusRequest(self.source, self.codes, self.config, cache, self.only, self.duration)


def prepare(preparation: Preparation) -> bool:
    """Prepare a set; do only what is missing.

    Args:
        preparation: What is asked for.

    Returns:
        False if the set was there already, made from the same corpus.

    Raises:
        UserError: If the corpus lacks something, or a language has no usable training clip.
        OSError: If the disk is full or a process died.
    """
    return prepare_parts(preparation, open_corpus(preparation.corpus, preparation.request))


def prepare_parts(preparation: Preparation, parts: Sequence[Part]) -> bool:
    """Prepare a set from the parts of a corpus; see :func:`prepare`."""
    prepared = preparation.prepared
    inputs, marker = _inputs(preparation, parts), prepared / MARKER
    outputs = [prepared / "quarantine.tsv", *(prepared / split / "utt2dur" for split in SPLITS)]
    if is_made_from(marker, inputs, outputs):
        _write_config(preparation)
        return False
    if preparation.config.audio == "keep":
        _check_files(parts)
    with exclusive(prepared):
        if is_made_from(marker, inputs, outputs):  # by the run that this one has waited for
            return False
        marker.unlink(missing_ok=True)
        for folder in (prepared, *(prepared / split for split in SPLITS)):
            remove_stale(folder)
        _write_config(preparation)
        with new_staging(prepared / ".staging.db") as staging:
            _Run(preparation, parts, staging).run()
        mark_made_from(marker, inputs)
    return True


def _inputs(preparation: Preparation, parts: Sequence[Part]) -> dict[str, Any]:
    config = preparation.config.as_mapping()
    for key in ("tokens", "task"):  # of later stages
        del config[key]
    return {
        "preparation": _PREPARATION,
        "corpus": preparation.corpus,
        "source": os.path.realpath(preparation.source),
        "languages": list(preparation.codes),
        "only": {language: sorted(names) for language, names in sorted(preparation.only.items())},
        "duration": parse_duration(preparation.duration),
        "config": config,
        "audio": str(preparation.audio),
        "parts": [part.name for part in parts],
        "files": fingerprint(path for part in parts for path in part.inputs()),
    }


def _write_config(preparation: Preparation) -> None:
    import yaml

    text = yaml.safe_dump(preparation.config.as_mapping(), sort_keys=False, allow_unicode=True)
    write_if_changed(preparation.prepared / FILE_NAME, text)


def _check_files(parts: Sequence[Part]) -> None:
    """Make sure, by the first row of each part, that clips are files."""
    without = []
    for part in parts:
        rows = (row for split in SPLITS for row in part.rows(split) if isinstance(row, Row))
        first = next(rows, None)
        if first is not None and part.audio.path(first.clip) is None:
            without.append(part.name)
    if without:
        raise UserError(kept_without_files(without))


class _Run:
    """One preparation under way."""

    def __init__(self, preparation: Preparation, parts: Sequence[Part], staging: Staging) -> None:
        self._preparation, self._parts, self._staging = preparation, parts, staging
        self._cap_s = parse_duration(preparation.duration)
        self._folders = [str(preparation.audio / part.name) for part in parts]

    def run(self) -> None:
        """Read, limit, draw, convert, write."""
        from tqdm import tqdm  # needed only when there is work
        from tqdm.contrib.logging import logging_redirect_tqdm

        with contextlib.ExitStack() as stack:
            stack.enter_context(logging_redirect_tqdm())
            workers = ClipWorkers(self._preparation.nj, stack)
            audio = AudioParts(self._preparation.audio, self._staging, workers, is_packed=self._is("pack"))
            with tqdm(desc="read", unit=" rows", disable=None) as bar:
                n_rows = read_rows(self._parts, self._preparation.config, self._staging, bar)
            self._staging.quarantine(self._length_problem)
            if self._cap_s is not None:
                with tqdm(desc="measure", unit=" clips", disable=None) as bar:
                    self._draw(self._cap_s, audio, bar)
            if not self._is("keep"):
                self._check_room(audio)
            with tqdm(desc="audio", total=self._staging.n_usable(), unit=" clips", disable=None) as bar:
                for index, part in enumerate(self._parts):
                    step = audio.keep if self._is("keep") else audio.convert
                    step(index, part, bar)
            self._staging.quarantine(self._length_problem)
        self._write()
        self._log_balance(n_rows)
        self._check_languages()

    def _is(self, audio: str) -> bool:
        return self._preparation.config.audio == audio

    def _check_room(self, audio: AudioParts) -> None:
        missing = [audio.missing(index, part) for index, part in enumerate(self._parts)]
        needed_bytes = sum(found.room(is_packed=self._is("pack")) for found in missing)
        if needed_bytes:
            n_clips, hours = (
                sum(found.clips for found in missing),
                sum(found.duration_s for found in missing) / 3600,
            )
            what = f"16 kHz audio of {n_clips} clips, about {hours:.1f} h,"
            check_room(self._preparation.audio, needed_bytes, what)

    def _length_problem(self, split: int, duration_s: float) -> str | None:
        shortest_s, longest_s = self._preparation.config.shortest_s, self._preparation.config.longest_s
        if duration_s < shortest_s:
            return f"{duration_s:.3f} s is shorter than {shortest_s:g} s"
        if SPLITS[split] != "test" and duration_s > longest_s:  # whole test sets are scored
            return f"{duration_s:.1f} s is longer than {longest_s:g} s"
        return None

    def _draw(self, cap_s: float, audio: AudioParts, bar: Any) -> None:
        parts = [index for index, part in enumerate(self._parts) if not part.draws_itself]
        for index in parts:
            part, clip = self._parts[index], self._staging.unmeasured_clip(index)
            if clip is not None and part.audio.path(clip) is None:  # an archive is read once, not clip by clip
                audio.measure_all(index, part, bar)

        def measure(index: int, clips: Collection[str]) -> Iterator[list[Outcome]]:
            for outcomes in audio.measure(self._parts[index], clips):
                bar.update(len(outcomes))
                yield outcomes

        draw(self._staging, cap_s=cap_s, parts=parts, measure=measure, problem=self._length_problem)

    def _write(self) -> None:
        prepared = self._preparation.prepared
        for split in SPLITS:
            write_sorted_data_dir(prepared / split, self._utterances(split))
            validate_data_dir(prepared / split, allow_empty=True)
        with open_if_changed(prepared / "quarantine.tsv") as file:
            file.write("language\tsplit\tclip\treason\n")
            for language, index, clip, reason in self._staging.quarantined_rows():
                file.write(f"{language}\t{SPLITS[index]}\t{_shown(clip)}\t{_shown(reason)}\n")

    def _utterances(self, split: str) -> Iterator[Utterance]:
        corpora = [part.corpus or self._preparation.corpus for part in self._parts]
        for part, clip, utt_id, text, language, group, said, duration_s in self._staging.usable_rows(
            SPLITS.index(split)
        ):
            speaker, corpus = speaker_of(utt_id, language), said or corpora[part]
            yield Utterance(utt_id, self._wav(part, clip), text, speaker, language, group, duration_s, corpus)

    def _wav(self, part: int, clip: str) -> str:
        if self._is("keep"):
            return str(self._parts[part].audio.path(clip))
        if self._is("pack"):
            return self._staging.places.wav(part, clip) or ""  # each usable clip has its place; validation would tell
        return f"{self._folders[part]}/{clip_name(clip)}.flac"

    def _log_balance(self, n_rows: Mapping[tuple[int, int], int]) -> None:
        found = {(balance.part, balance.split): balance for balance in self._staging.balance()}
        names = "utterances + quarantined" + ("" if self._cap_s is None else " + not drawn")
        for index, part in enumerate(self._parts):
            counts = []
            for split, name in enumerate(SPLITS):
                rows = n_rows[index, split]
                ends = found[index, split][3:] if rows else (0, 0, 0)
                assert rows == sum(ends), f"{part.name}: a row of {name} was lost"
                shown = ends[:2] if self._cap_s is None else ends
                counts.append(f"{name} {rows} = {' + '.join(map(str, shown))}")
            logger.info("%s (rows = %s): %s", part.name, names, ", ".join(counts))

    def _check_languages(self) -> None:
        may_lack, had_rows = self._preparation.config.missing_languages == "skip", self._staging.languages()
        for index, split in enumerate(SPLITS):
            present = self._staging.languages(index)
            absent = [code for code in self._preparation.codes if code not in present]
            missing = [code for code in absent if not may_lack or code in had_rows]
            if split == "train" and (missing or not present):
                cap = "" if self._cap_s is None else f", unless --duration {self._preparation.duration} is too little"
                raise UserError(
                    f"no usable training clip for {' '.join(missing or absent)}; "
                    f"the reasons are in {self._preparation.prepared / 'quarantine.tsv'}{cap}"
                )
            if absent:
                logger.warning("%s has no utterance of %s", split, " ".join(absent))


def _shown(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
