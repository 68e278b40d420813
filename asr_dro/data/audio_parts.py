"""Audio of one release, table by table: which clips are 16 kHz FLAC already, and converting the others.

A part is one table (``train``, ``dev`` or ``test``) of one locale. Its marker ``<locale>.<split>.tsv`` appears when all
of its clips have been dealt with and records how long each one is, so that a finished part opens no audio at all.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_dro.corpora.common_voice import LocaleFolder, Row
from asr_dro.data.done import fingerprint
from asr_dro.fileio import atomic_open

if TYPE_CHECKING:
    from tqdm import tqdm


class AudioParts:
    """Converts the clips of one release; the processes start with the first clip that needs them.

    Args:
        audio: Folder of the corpus's FLAC files, held exclusively.
        nj: Number of processes.
        stack: Ends the processes.
        bar: Progress over all clips.
    """

    def __init__(self, audio: Path, nj: int, *, stack: contextlib.ExitStack, bar: tqdm[Any]) -> None:
        self._audio, self._nj, self._stack, self._bar = audio, nj, stack, bar
        self._pool: ProcessPoolExecutor | None = None

    def wav(self, locale: LocaleFolder, row: Row) -> Path:
        """Return the path of a clip's FLAC."""
        return self._folder(locale) / f"{row.name}.flac"

    def _folder(self, locale: LocaleFolder) -> Path:
        return self._audio / locale.language / locale.path.name

    def convert(self, locale: LocaleFolder, split: str, rows: Sequence[Row]) -> tuple[dict[str, int], dict[str, str]]:
        """Make sure that every clip of a table has its FLAC.

        Args:
            locale: Where the clips are.
            split: ``train``, ``dev`` or ``test``.
            rows: The usable rows of the table.

        Returns:
            ``{clip: samples}`` of the clips that have a FLAC now, ``{clip: reason}`` of those that cannot have one.

        Raises:
            OSError: If the disk is full or a process died.
        """
        folder = self._folder(locale)
        part = folder.with_name(f"{folder.name}.{split}.tsv")
        made_from = json.dumps(
            {"clips": os.path.realpath(locale.clips)} | fingerprint([locale.table(split)]), sort_keys=True
        )
        known = _read_part(part, made_from)
        missing = [row for row in rows if row.clip not in known]  # failed clips too: they may have been mended
        self._bar.update(len(rows) - len(missing))
        failed = {}
        if missing:
            for clip, samples, reason in self._convert_missing(locale, folder, missing):
                if reason:
                    failed[clip] = reason
                else:
                    known[clip] = samples
            _write_part(part, made_from, known)
        return known, failed

    def _convert_missing(
        self, locale: LocaleFolder, folder: Path, rows: Sequence[Row]
    ) -> Iterator[tuple[str, int, str]]:
        from asr_dro.data import audio  # numpy, soundfile and soxr: only when there is work

        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.tmp.*"):  # the folder is ours alone, so nobody is writing them
            stale.unlink(missing_ok=True)
        if self._pool is None:
            self._pool = self._stack.enter_context(audio.decoding_pool(self._nj))
        jobs = ((row.clip, f"{row.name}.flac") for row in rows)
        return audio.convert_clips(jobs, locale.clips, folder, pool=self._pool, on_clips=self._bar.update)


def _read_part(part: Path, made_from: str) -> dict[str, int]:
    """Return the clips recorded in a part's table, none if it was made from another release."""
    try:
        lines = part.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        return {}
    if lines[0] != f"# {made_from}":
        return {}
    return {clip: int(samples) for clip, samples in (line.split("\t") for line in lines[2:])}


def _write_part(part: Path, made_from: str, samples: dict[str, int]) -> None:
    with atomic_open(part) as file:
        file.write(f"# {made_from}\nclip\tsamples\n")
        for clip, number in samples.items():
            file.write(f"{clip}\t{number}\n")
