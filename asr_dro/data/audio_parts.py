"""The audio of a corpus, part by part: how long the clips are, and their 16 kHz FLACs.

The record of a part, ``<part>.tsv`` beside the folder of its FLACs or packs, says how long each of them is, so that a
part with nothing left to do opens no audio at all.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import json
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asr_dro.corpora.corpus import EncodedClip, Part
from asr_dro.data.clip_table import Outcome, WantedClips
from asr_dro.data.clip_workers import ClipWorkers
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.done import fingerprint, open_if_changed, remove_stale
from asr_dro.data.packing import PackWriter, packed_places
from asr_dro.data.processes import exclusive
from asr_dro.data.staging import Staging
from asr_dro.errors import UserError

if TYPE_CHECKING:
    from tqdm import tqdm


FLAC_BYTES_PER_S = 20_000  # at 16 kHz; read sentences of the mini corpus take 19 100
FILE_BYTES = 4096  # file systems round sizes up to their blocks
CLIP_S = 5.0  # length of a clip where no table says any
_PACKED_AT_A_TIME = 8  # their FLACs come back from the processes: a hundred of a minute each are 120 MB


class Missing(NamedTuple):
    """Clips that are still to be converted.

    Args:
        clips: Their number.
        duration_s: Their length in seconds, estimated where no table says it.
    """

    clips: int
    duration_s: float

    def room(self, *, is_packed: bool) -> float:
        """Return the bytes that their FLACs will take, about."""
        return self.duration_s * FLAC_BYTES_PER_S + (0 if is_packed else self.clips * FILE_BYTES)


class AudioParts:
    """Works on the audio of one corpus; the processes start with the first clip that needs them.

    Args:
        audio: Folder of the corpus's FLACs.
        staging: The rows.
        workers: The processes.
        is_packed: Whether FLACs lie in packs.
    """

    def __init__(self, audio: Path, staging: Staging, workers: ClipWorkers, *, is_packed: bool = False) -> None:
        self._audio, self._staging, self._workers, self._is_packed = audio, staging, workers, is_packed

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

    def missing(self, index: int, part: Part) -> Missing:
        """Count the clips that are still to be converted; opens no audio."""
        clips = self._staging.clips
        self._fill(index, part)
        if clips.count(wanted=True):  # a run that was killed has left no record
            if self._is_packed:
                clips.know_packed(index)
            else:
                clips.know(_converted(self._audio / part.name))
        return Missing(clips.count(wanted=True), clips.wanted_s(CLIP_S))

    def convert(self, index: int, part: Part, bar: tqdm[Any]) -> None:
        """Make sure that every clip has its FLAC, in a file of its own or in a pack.

        Raises:
            OSError: If the disk is full or a process died.
            UserError: If the index of packs is damaged.
        """
        with exclusive(self._audio / part.name):  # sets that share no part are prepared at the same time
            clips = self._staging.clips
            record = self._fill(index, part)
            n_wanted = clips.count(wanted=True)
            bar.update(clips.count(wanted=False) - n_wanted)
            if n_wanted:
                (self._pack_wanted if self._is_packed else self._convert_wanted)(index, part, bar)
            self._staging.finish_clips(index)
            if n_wanted:
                _write_record(*record, filter(functools.partial(_is_final, part), clips.outcomes()))

    def _fill(self, index: int, part: Part) -> tuple[Path, str]:
        """Fill the table of clips, with what the part's record knows of them; return the record and what it is of."""
        clips, record = self._staging.clips, self._audio / f"{part.name}.tsv"
        made_from = json.dumps(fingerprint(part.inputs()), sort_keys=True)
        self._staging.start_clips(index, named=True)
        outcomes = _read_record(record, made_from)
        if self._is_packed:
            places = self._staging.places
            places.fill(index, packed_places(self._audio / part.name))
            outcomes = (outcome for outcome in outcomes if outcome[2] or places.wav(index, outcome[0]) is not None)
        clips.set(outcomes, is_known=True)
        return record, made_from

    def _convert_wanted(self, _: int, part: Part, bar: tqdm[Any]) -> None:
        from asr_dro.data.audio import convert_chunk

        folder, clips = self._audio / part.name, self._staging.clips
        clips.forget_durations()
        remove_stale(folder)  # the folder is ours alone, so nobody is writing them
        convert = functools.partial(convert_chunk, folder=folder)
        for outcomes in self._workers.run(convert, part.audio.clips(WantedClips(clips))):
            clips.set(outcomes)
            bar.update(len(outcomes))

    def _pack_wanted(self, index: int, part: Part, bar: tqdm[Any]) -> None:
        from asr_dro.data.audio import encode_chunk

        clips, places = self._staging.clips, self._staging.places
        clips.forget_durations()

        def changed() -> Iterator[EncodedClip]:
            for encoded in part.audio.clips(WantedClips(clips)):
                samples = places.samples(index, encoded.clip, encoded.time_ns)
                if samples:
                    clips.set([(encoded.clip, samples / SAMPLE_RATE_HZ, "")])
                    bar.update()
                else:
                    yield encoded

        with PackWriter(self._audio / part.name) as writer:
            for packed in self._workers.run(encode_chunk, changed(), most=_PACKED_AT_A_TIME):
                places.add(index, [writer.add(one) for one in packed if not one.reason])
                clips.set((one.clip, one.samples / SAMPLE_RATE_HZ, one.reason) for one in packed)
                bar.update(len(packed))


def _converted(folder: Path) -> Iterator[str]:
    """Yield the names of a part's FLACs."""
    with os.scandir(folder) if folder.exists() else contextlib.nullcontext(()) as entries:
        for entry in entries:
            if entry.name.endswith(".flac"):
                yield entry.name.removesuffix(".flac")


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
