"""The audio of a corpus, part by part: how long the clips are, and their 16 kHz FLACs.

The record of a part, ``<part>.tsv`` beside the folder of its FLACs, says how long each of them is, so that a part with
nothing left to do opens no audio at all.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_dro.corpora.corpus import EncodedClip, Part
from asr_dro.data.clip_table import Outcome, WantedClips
from asr_dro.data.clip_workers import ClipWorkers
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.done import fingerprint, open_if_changed, remove_stale
from asr_dro.data.processes import exclusive
from asr_dro.data.staging import Staging
from asr_dro.errors import UserError

if TYPE_CHECKING:
    from tqdm import tqdm


class AudioParts:
    """Works on the audio of one corpus; the processes start with the first clip that needs them.

    Args:
        audio: Folder of the corpus's FLAC files.
        staging: The rows.
        workers: The processes.
    """

    def __init__(self, audio: Path, staging: Staging, workers: ClipWorkers) -> None:
        self._audio, self._staging, self._workers = audio, staging, workers

    def measure(self, part: Part, clips: Collection[str]) -> Iterator[list[Outcome]]:
        """Yield the lengths of clips by their headers, some at a time; a clip that is not there is left out."""
        from asr_dro.data.audio import measure_chunk  # numpy, soundfile and soxr: only when there is work

        return self._workers.run(measure_chunk, part.audio.clips(clips))

    def measure_all(self, index: int, part: Part, bar: tqdm[Any]) -> None:
        """Measure all training clips of unknown length, in one pass over the part's audio."""
        self._staging.start_measuring(index)
        for outcomes in self.measure(part, WantedClips(self._staging.clips)):
            self._staging.clips.set(outcomes)
            bar.update(len(outcomes))
        self._staging.finish_measuring(index)

    def keep(self, index: int, part: Part, bar: tqdm[Any]) -> None:
        """Check that the clips' files are there, and measure those of unknown length.

        Raises:
            UserError: If a clip has no file of its own.
        """
        from asr_dro.data.audio import check_chunk

        clips = self._staging.clips
        self._staging.start_clips(index, named=False)
        for outcomes in self._workers.run(check_chunk, _files(part, clips.wanted())):
            clips.set(outcomes)
            bar.update(len(outcomes))
        self._staging.finish_clips(index)

    def convert(self, index: int, part: Part, bar: tqdm[Any]) -> None:
        """Make sure that every clip has its FLAC.

        Raises:
            OSError: If the disk is full or a process died.
        """
        with exclusive(self._audio / part.name):  # sets that share no part are prepared at the same time
            self._convert(index, part, bar)

    def _convert(self, index: int, part: Part, bar: tqdm[Any]) -> None:
        clips = self._staging.clips
        self._staging.start_clips(index, named=True)
        clips.forget_durations()
        record = self._audio / f"{part.name}.tsv"
        made_from = json.dumps(fingerprint(part.inputs()), sort_keys=True)
        clips.set(_read_record(record, made_from), is_known=True)
        n_wanted = clips.count(wanted=True)
        bar.update(clips.count(wanted=False) - n_wanted)
        if n_wanted:
            self._convert_wanted(part, bar)
        self._staging.finish_clips(index)
        if n_wanted:
            _write_record(record, made_from, filter(functools.partial(_is_final, part), clips.outcomes()))

    def _convert_wanted(self, part: Part, bar: tqdm[Any]) -> None:
        from asr_dro.data.audio import convert_chunk

        folder, clips = self._audio / part.name, self._staging.clips
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale(folder)  # the folder is ours alone, so nobody is writing them
        convert = functools.partial(convert_chunk, folder=folder)
        for outcomes in self._workers.run(convert, part.audio.clips(WantedClips(clips))):
            clips.set(outcomes)
            bar.update(len(outcomes))


def _files(part: Part, clips: Iterable[tuple[str, float | None]]) -> Iterator[EncodedClip]:
    for clip, duration_s in clips:
        path = part.audio.path(clip)
        if path is None:
            raise UserError(kept_without_files([part.name]))
        yield EncodedClip(clip, path, time_ns=0, length_s=duration_s)


def kept_without_files(parts: Iterable[str]) -> str:
    """Return what to say about parts that ``audio: keep`` cannot train from."""
    return (
        f"audio: keep trains from the corpus's own files, but clips of {', '.join(parts)} lie in an archive, "
        "in a table or in longer files; unpack them, or use audio: convert"
    )


def _is_final(part: Part, outcome: Outcome) -> bool:
    """Tell whether only a change of the part's inputs can change an outcome: a failed clip's own file may be mended."""
    clip, _, reason = outcome
    return not reason or part.audio.path(clip) is None


def _read_record(path: Path, made_from: str) -> Iterator[Outcome]:
    """Yield the clips of a part's record sorted by name, none if it was made from other inputs."""
    try:
        file = open(path, encoding="utf-8", newline="\n")  # noqa: SIM115  # a generator closes it
    except FileNotFoundError:
        return
    with file:
        if file.readline() != f"# {made_from}\n":
            return
        file.readline()
        for line in file:
            clip, samples, reason = line.removesuffix("\n").split("\t")
            yield clip, int(samples) / SAMPLE_RATE_HZ, reason


def _write_record(path: Path, made_from: str, outcomes: Iterable[Outcome]) -> None:
    """Write the record of a part; what it said of clips that this set does not need stays."""
    merged = heapq.merge(outcomes, _read_record(path, made_from), key=_clip)
    with open_if_changed(path) as file:
        file.write(f"# {made_from}\nclip\tsamples\treason\n")
        for _, (first, *_) in itertools.groupby(merged, key=_clip):  # of two, the newer comes first
            clip, duration_s, reason = first
            file.write(f"{clip}\t{round(duration_s * SAMPLE_RATE_HZ)}\t{reason}\n")


def _clip(outcome: Outcome) -> str:
    return outcome[0]
