"""Transcription of files that a person names: which they are, where the results go, what is done already."""

from __future__ import annotations

import contextlib
import glob
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asr_dro.decoding.results import Console, Folder, Request
from asr_dro.errors import UserError, first_of
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL
from asr_dro.logs import errors_of_others_only

logger = logging.getLogger(__name__)

# Of what libsndfile reads; other files of a folder are passed over, other files that are named are tried.
SUFFIXES = frozenset(
    f".{name}"
    for name in "aif aifc aiff au caf flac mp3 oga ogg opus rf64 snd sph w64 wav wave".split()  # noqa: SIM905
)
_NAMED = 20  # files that a message names


def transcribe(request: Request) -> None:
    """Transcribe files.

    Raises:
        UserError: For mistakes in the request; at the end, if some files could not be read.
    """
    _check(request)
    found, failures = find_files(request.files)
    for name, reason in failures.items():
        logger.error("%s: %s", name, reason)
    if not found:
        raise UserError(f"there is nothing to transcribe: {_listed(failures)}")
    sink = Console(request, many=len(found) > 1) if request.out_dir is None else Folder(request, found)
    total = len(found) + len(failures)
    waiting = [path for path in found if not sink.has(path)]
    if len(waiting) < len(found):
        logger.info("%d of %d files are transcribed already", len(found) - len(waiting), len(found))
    if waiting:
        failures |= _work(request, waiting, sink)
    if failures:
        raise UserError(f"{len(failures)} of {total} could not be read: {_listed(failures)}")


def _check(request: Request) -> None:
    cutting, problems = request.cutting, []
    if not 1 <= cutting.window_s <= 600:
        problems.append(f"--window-s must be from 1 to 600, not {cutting.window_s}")
    if not 0 <= cutting.overlap_s <= cutting.window_s / 2:
        problems.append(f"--overlap-s must be from 0 to half of --window-s, not {cutting.overlap_s}")
    if not cutting.pause_s > 0:
        problems.append(f"--pause-s must be above 0, not {cutting.pause_s}")
    if not request.seconds_per_batch > 0:
        problems.append(f"--seconds-per-batch must be above 0, not {request.seconds_per_batch}")
    if request.out_dir is None and request.as_json and request.as_srt:
        problems.append("--json and --srt together need --out-dir: standard output can be one of them")
    if request.out_dir is not None and request.out_dir.exists() and not request.out_dir.is_dir():
        problems.append(f"--out-dir {request.out_dir} is no folder")
    missing = [name for name in (ESPNET_CONFIG, f"{CHECKPOINTS}/{MODEL}") if not (request.experiment / name).is_file()]
    if missing:
        problems.append(f"{request.experiment} holds no trained model: {' and '.join(missing)} missing")
    if problems:
        raise UserError("\n".join(problems))


def find_files(names: Sequence[str]) -> tuple[dict[Path, Path], dict[str, str]]:
    """Find audio files.

    Args:
        names: Files, folders (searched with all that is below them, by the endings of names), and patterns.

    Returns:
        Of each file, once and in the order of the names, where its results go below the folder of results, ending left
        out; and of names without files, the reason.
    """
    found: dict[Path, Path] = {}
    failures = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            files = {file: file.relative_to(path).with_suffix("") for file in below}
        elif os.path.lexists(name):
            files = {path: Path(path.stem)}
        else:
            matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
            files = {file: Path(file.stem) for file in matches if not file.is_dir()}
        if not files:
            failures[name] = "no audio files in it" if path.is_dir() else "no such file"
        for file, place in files.items():
            found.setdefault(file, place)
    return found, failures


def _work(request: Request, files: Sequence[Path], sink: Console | Folder) -> dict[str, str]:
    """Transcribe; return the files that could not be read, with the reasons."""
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from asr_dro.data.audio import ClipError
    from asr_dro.decoding.recordings import duration_by_header_s

    with _quiet():
        from asr_dro.decoding.transcription import Transcriber
    failures = {}
    total_s = sum(map(duration_by_header_s, files))
    with (
        errors_of_others_only(),
        logging_redirect_tqdm(),
        tqdm(total=round(total_s), unit="s of audio", desc="transcribe", disable=None) as bar,
    ):
        transcriber = Transcriber(
            request.experiment,
            cutting=request.cutting,
            ngpu=request.ngpu,
            seconds_per_batch=request.seconds_per_batch,
            progress=bar.update,
        )
        for path, outcome in transcriber.transcribe(files):
            if isinstance(outcome, ClipError):
                failures[str(path)] = str(outcome)
                logger.error("%s: %s", path, outcome)
            else:
                sink.put(path, outcome, transcriber.vocabulary)
    return failures


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pass over what ESPnet prints when it is imported: packages that it could use."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _listed(failures: Mapping[str, str]) -> str:
    return first_of([f"{name} ({reason})" for name, reason in failures.items()], _NAMED)
