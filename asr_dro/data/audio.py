"""Audio: any clip that libsndfile reads -> 16 kHz mono FLAC, in parallel, whole or absent.

A FLAC carries its clip's time of change, so an interrupted run trusts exactly the files that were made from the clips
as they are now.

Legend: ``T`` samples, ``C`` channels.
"""

from __future__ import annotations

import io
import itertools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.processes import worker_pool

_CHUNK = 32  # clips sent to a process at a time
_LONGEST_GAP_S = 0.1  # encoders may pad differently from what their header says; more than this is a cut file

Job = tuple[str, str]  # clip, name of its FLAC
Outcome = tuple[str, int, str]  # clip, samples (0 if it failed), reason (empty if it did not)


class ClipError(Exception):
    """A clip that cannot be used; the message is the reason given in ``quarantine.tsv``."""


def _read_clip(source: Path) -> bytes:
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise ClipError("not a file")
        encoded = source.read_bytes()
    except FileNotFoundError:
        raise ClipError("no such file") from None
    except OSError as error:
        raise ClipError(f"cannot be read: {error.strerror}") from None
    if not encoded:
        raise ClipError("zero bytes")
    return encoded


def decode(encoded: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Decode a clip to mono at ``SAMPLE_RATE_HZ``.

    Args:
        encoded: A whole file of any format of libsndfile.

    Returns:
        Samples, shape (T,).

    Raises:
        ClipError: If it is not audio, has no samples, or ends before its header says.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(encoded)) as file:
            rate_hz, declared = file.samplerate, file.frames
            samples = file.read(dtype="float32", always_2d=True)  # (T, C)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ClipError(f"cannot be decoded: {str(error).split(': ', 1)[-1].rstrip('.')}") from None
    if len(samples) == 0:
        raise ClipError("no samples")
    if declared - len(samples) > _LONGEST_GAP_S * rate_hz:
        raise ClipError(f"truncated or corrupt: {len(samples) / rate_hz:.2f} s of {declared / rate_hz:.2f} s decoded")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)  # (T, C) -> (T,)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if len(mono) == 0 or not np.isfinite(mono).all():
        raise ClipError("no samples" if len(mono) == 0 else "samples that are not numbers")
    return mono  # type: ignore[no-any-return]  # libsndfile clips to [-1, 1] when it writes


def convert_clip(source: Path, target: Path) -> int:
    """Write ``source`` as FLAC; ``target`` appears when it is complete and carries the time of ``source``.

    Returns:
        Number of samples.

    Raises:
        ClipError: If the clip cannot be used.
        OSError: If ``target`` cannot be written, for example because the disk is full.
    """
    samples = decode(_read_clip(source))
    encoded = io.BytesIO()  # libsndfile does not tell a full disk from other troubles
    soundfile.write(encoded, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    temporary = target.with_name(f"{target.name}.tmp.{os.getpid()}")
    try:
        temporary.write_bytes(encoded.getbuffer())
        time_ns = source.stat().st_mtime_ns
        os.utime(temporary, ns=(time_ns, time_ns))
        os.replace(
            temporary, target
        )  # not synced: thousands of files, and a killed program leaves what the system has taken
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return len(samples)


def samples_if_converted(source: Path, target: Path) -> int:
    """Return the number of samples in ``target`` if it was made from ``source`` as it is now, else 0."""
    try:
        if target.stat().st_mtime_ns != source.stat().st_mtime_ns:
            return 0
        header = soundfile.info(str(target))
    except (OSError, soundfile.LibsndfileError):
        return 0
    return int(header.frames) if header.samplerate == SAMPLE_RATE_HZ and header.channels == 1 else 0


def _convert_chunk(jobs: list[Job], source: Path, target: Path) -> list[Outcome]:
    outcomes = []
    for clip, flac in jobs:
        clip_source, clip_target = source / clip, target / flac
        try:
            samples = samples_if_converted(clip_source, clip_target) or convert_clip(clip_source, clip_target)
            outcomes.append((clip, samples, ""))
        except ClipError as error:
            outcomes.append((clip, 0, str(error)))
    return outcomes


def _quiet() -> None:
    """Silence the MP3 decoder: what it writes to the terminal about damaged clips, the quarantine table says better."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)


def decoding_pool(nj: int) -> ProcessPoolExecutor:
    """Return the processes for :func:`convert_clips`."""
    return worker_pool(nj, _quiet)


def convert_clips(
    jobs: Iterable[Job], source: Path, target: Path, *, pool: ProcessPoolExecutor, on_clips: Callable[[int], object]
) -> Iterator[Outcome]:
    """Convert clips in parallel, with a bounded number of them under way.

    Args:
        jobs: Clips below ``source`` and the names of their FLAC files below ``target``.
        source: Folder of the clips.
        target: Folder of the FLAC files; must exist.
        pool: Result of :func:`decoding_pool`.
        on_clips: Called with the number of clips that have just been finished.

    Yields:
        Clip, number of samples and reason, in the order of ``jobs``.

    Raises:
        OSError: If a FLAC cannot be written or a process died.
    """
    pending: deque[Future[list[Outcome]]] = deque()
    remaining = iter(jobs)
    chunks = iter(lambda: list(itertools.islice(remaining, _CHUNK)), [])
    try:
        for chunk in chunks:
            pending.append(pool.submit(_convert_chunk, chunk, source, target))
            if len(pending) >= 64:
                yield from _finish(pending.popleft(), on_clips)
        while pending:
            yield from _finish(pending.popleft(), on_clips)
    except BaseException as error:
        for future in pending:  # or else an interrupted run would first finish what it has begun
            future.cancel()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise OSError(f"a process died while it decoded clips of {source}; is there enough memory?") from error


def _finish(future: Future[list[Outcome]], on_clips: Callable[[int], object]) -> list[Outcome]:
    outcomes = future.result()
    on_clips(len(outcomes))
    return outcomes
