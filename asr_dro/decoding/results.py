"""Where transcripts go: standard output, or a folder that remembers what is done."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_dro.decoding.segments import Cutting
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL, SELECTION
from asr_dro.fileio import atomic_open, json_lines, read_json_lines
from asr_dro.fingerprint import content_fingerprint

if TYPE_CHECKING:
    from asr_dro.decoding.transcripts import Transcript

logger = logging.getLogger(__name__)

RECORD = ".transcribed.jsonl"  # in the folder of the results
_NAMED = 20  # files that a message names


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        experiment: Folder of a finished training.
        files: Files, folders and patterns as typed.
        as_json: Write JSON.
        as_srt: Write subtitles.
        out_dir: Folder for results, one set of files per recording; None: standard output.
        cutting: How long recordings are cut.
        ngpu: 0 computes on the CPU, anything above on one GPU.
        seconds_per_batch: Audio that the model hears at a time.
        overwrite: Transcribe again what is in ``out_dir`` already.
    """

    experiment: Path
    files: Sequence[str]
    as_json: bool = False
    as_srt: bool = False
    out_dir: Path | None = None
    cutting: Cutting = field(default_factory=Cutting)
    ngpu: int = 0
    seconds_per_batch: float = 60.0
    overwrite: bool = False


class Console:
    """Results on standard output: a line per file, with its name if there are several; subtitles of one file."""

    def __init__(self, request: Request, *, many: bool) -> None:
        if many and request.as_srt:
            raise UserError("--srt of several files needs --out-dir: they would all run together")
        self.request, self.many = request, many

    def has(self, path: Path) -> bool:
        """Tell whether a file is done: never."""
        return False

    def put(self, path: Path, transcript: Transcript, vocabulary: Sequence[str]) -> None:
        """Write a transcript at once: others may be hours away."""
        if self.request.as_srt:
            text = _srt(transcript, vocabulary)
        elif self.request.as_json:
            text = json.dumps(transcript.to_json(vocabulary), ensure_ascii=False) + "\n"
        else:
            text = (f"{path}\t" if self.many else "") + transcript.line() + "\n"
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()


class Folder:
    """Results in a folder, with a record of what they were made from, so that an interrupted run goes on.

    Args:
        request: What is asked for.
        places: Where the results of each file go.

    Raises:
        UserError: If results of two files would have one name.
    """

    def __init__(self, request: Request, places: Mapping[Path, Path]) -> None:
        assert request.out_dir is not None
        self.out_dir, self.places = request.out_dir, places
        self.writers: dict[str, Callable[[Transcript, Sequence[str]], str]] = {".txt": _txt}
        self.writers |= {".json": _json} if request.as_json else {}
        self.writers |= {".srt": _srt} if request.as_srt else {}
        _check_places(places)
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self.record = self.out_dir / RECORD
        self.made_from = _made_from(request)
        self.done = {} if request.overwrite else self._read_record()
        with atomic_open(self.record) as file:  # anew: its last line may be half a line
            file.writelines(json_lines(self.done.values()))

    def has(self, path: Path) -> bool:
        """Tell whether all results of a file are there, made from it as it is now, with this model and these cuts."""
        outputs = (self._output(path, ending) for ending in self.writers)
        return self.done.get(str(path)) == self._entry(path) and all(output.is_file() for output in outputs)

    def put(self, path: Path, transcript: Transcript, vocabulary: Sequence[str]) -> None:
        """Write the results of a file, then that it is done."""
        for ending, write in self.writers.items():
            with atomic_open(self._output(path, ending)) as file:
                file.write(write(transcript, vocabulary))
        with open(self.record, "a", encoding="utf-8", newline="\n") as file:
            file.writelines(json_lines([self._entry(path)]))
        logger.info("%s -> %s", path, ", ".join(str(self._output(path, ending)) for ending in self.writers))

    def _output(self, path: Path, ending: str) -> Path:
        place = self.out_dir / self.places[path]
        return place.with_name(place.name + ending)

    def _entry(self, path: Path) -> dict[str, Any]:
        try:
            status = path.stat()
            size, time_ns = status.st_size, status.st_mtime_ns
        except OSError:
            size, time_ns = -1, -1
        return {"file": str(path), "bytes": size, "time_ns": time_ns, "made_from": self.made_from}

    def _read_record(self) -> dict[str, dict[str, Any]]:
        try:
            return {entry["file"]: entry for entry in read_json_lines(self.record)}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError):
            logger.warning("%s cannot be read; all files are transcribed again", self.record)
            return {}


def _check_places(places: Mapping[Path, Path]) -> None:
    taken: dict[Path, Path] = {}
    problems = []
    for path, place in places.items():
        other = taken.setdefault(place, path)
        if other != path:
            problems.append(f"{other} and {path} would both become {place}.txt")
    if problems:
        advice = "results would overwrite each other; give the folder that holds these files, or rename them"
        raise UserError("\n  ".join([advice + ":", *problems[:_NAMED]]))


def _made_from(request: Request) -> str:
    """Hash what transcripts depend on beside the audio; the weights by the hash that training wrote beside them."""
    folder = request.experiment / CHECKPOINTS
    weights = folder / (SELECTION if (folder / SELECTION).exists() else MODEL)
    files = {"model": weights, "config": request.experiment / ESPNET_CONFIG}
    cutting = request.cutting
    return content_fingerprint(files, version=f"1 {cutting.window_s} {cutting.overlap_s} {cutting.pause_s}")


def _txt(transcript: Transcript, vocabulary: Sequence[str]) -> str:
    return transcript.line() + "\n"


def _json(transcript: Transcript, vocabulary: Sequence[str]) -> str:
    return json.dumps(transcript.to_json(vocabulary), ensure_ascii=False, indent=1) + "\n"


def _srt(transcript: Transcript, vocabulary: Sequence[str]) -> str:
    from asr_dro.decoding.subtitles import to_srt

    return to_srt(transcript, vocabulary)
