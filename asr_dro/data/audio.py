"""Audio: any clip that libsndfile reads -> its length, or 16 kHz mono FLAC, whole or absent.

A FLAC carries the time of change of what its clip came from, so an interrupted run trusts exactly the files that were
made from the clips as they are now.

Legend: ``T`` samples, ``C`` channels.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import soxr

from asr_dro.corpora.corpus import EncodedClip, clip_name
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.packing import EncodedFlac

_LONGEST_GAP_S = 0.1  # encoders may pad differently from what their header says; more than this is a cut file
_LONGEST_CLIP_S = 3600.0  # nobody reads a sentence for an hour, and decoding it would take gigabytes
_RATES_HZ = (1_000, 1_000_000)  # others come from damaged headers
_SILENCE = 1e-4  # -80 dBFS
_UNKNOWN_LENGTH = 1 << 60  # frames; for encoders that wrote to a pipe libsndfile says 2 ** 63 - 1, and fails at the end

Measured = tuple[str, float, str]  # clip, seconds (0 if it failed or nobody asked), reason (empty if it did not fail)


class ClipError(Exception):
    """A clip that cannot be used; the message is the reason given in ``quarantine.tsv``."""


def _check_file(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ClipError("not a file")
    if status.st_size == 0:
        raise ClipError("zero bytes")


@contextmanager
def _opened(encoded: EncodedClip, *, whole: bool) -> Iterator[IO[bytes]]:
    """Open a clip; ``whole`` reads the file at once, which is quicker if all of it is needed."""
    if isinstance(encoded.content, bytes):
        if not encoded.content:
            raise ClipError("zero bytes")
        yield io.BytesIO(encoded.content)
        return
    try:
        _check_file(encoded.content)
        if whole:
            yield io.BytesIO(encoded.content.read_bytes())
        else:
            with open(encoded.content, "rb") as file:
                yield file
    except FileNotFoundError:
        raise ClipError("no such file") from None
    except OSError as error:
        raise ClipError(f"cannot be read: {error.strerror or error}") from None


def _extent(file: soundfile.SoundFile, start_s: float, length_s: float | None) -> tuple[int, int]:
    """Return first frame and number of frames of a clip in its file."""
    if not _RATES_HZ[0] <= file.samplerate <= _RATES_HZ[1]:
        raise ClipError(f"sample rate of {file.samplerate} Hz")
    first = round(start_s * file.samplerate)
    left = file.frames - first
    frames = left if length_s is None else round(length_s * file.samplerate)
    if frames - left > _LONGEST_GAP_S * file.samplerate:
        raise ClipError(f"ends {(frames - left) / file.samplerate:.2f} s after the end of its file")
    frames = min(frames, left)
    if frames <= 0:
        raise ClipError("no samples")
    if frames > _LONGEST_CLIP_S * file.samplerate:
        raise ClipError(f"{frames / file.samplerate:.0f} s is longer than an hour; cut it into sentences")
    return first, frames


@contextmanager
def _libsndfile_errors() -> Iterator[None]:
    try:
        yield
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ClipError(f"cannot be decoded: {str(error).split(': ', 1)[-1].rstrip('.')}") from None
    except MemoryError:
        raise ClipError("cannot be decoded: too long or too many channels") from None


def decode(
    encoded: bytes | IO[bytes], start_s: float = 0.0, length_s: float | None = None
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Decode a clip to mono at ``SAMPLE_RATE_HZ``.

    Args:
        encoded: A whole file of any format of libsndfile, or an open one.
        start_s: Where the clip begins in the file.
        length_s: Its length; None: to the end.

    Returns:
        Samples, shape (T,).

    Raises:
        ClipError: If it is not audio, has no samples, or ends before its header says.
    """
    stream = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
    with _libsndfile_errors(), soundfile.SoundFile(stream) as file:
        rate_hz = file.samplerate
        first, declared = _extent(file, start_s, length_s)
        if first:
            file.seek(first)
        samples = file.read(declared, dtype="float32", always_2d=True)  # (T, C)
    if declared - len(samples) > _LONGEST_GAP_S * rate_hz:
        raise ClipError(f"truncated or corrupt: {len(samples) / rate_hz:.2f} s of {declared / rate_hz:.2f} s decoded")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)  # (T, C) -> (T,)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if len(mono) == 0 or not np.isfinite(mono).all():
        raise ClipError("no samples" if len(mono) == 0 else "samples that are not numbers")
    return mono  # type: ignore[no-any-return]  # libsndfile clips to [-1, 1] when it writes


def decode_blocks(stream: IO[bytes], block_s: float = 10.0) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Decode a whole file of any length to mono at ``SAMPLE_RATE_HZ``, piece by piece.

    Args:
        stream: An open file of any format of libsndfile.
        block_s: Length of what is decoded at a time, seconds at least: libsndfile gives other samples of Opus where it
            reads less than a packet at a time.

    Yields:
        Blocks of samples, shape (T,) each; joined they are what :func:`decode` returns.

    Raises:
        ClipError: If it is not audio, has no samples, or ends before its header says.
    """
    with _libsndfile_errors(), soundfile.SoundFile(stream) as file:
        rate_hz, done = file.samplerate, 0
        if not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
            raise ClipError(f"sample rate of {rate_hz} Hz")
        if file.frames > _UNKNOWN_LENGTH:
            raise ClipError("its header does not say how long it is; write it again, with ffmpeg for instance")
        resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        while True:
            samples = file.read(max(1, round(block_s * rate_hz)), dtype="float32", always_2d=True)  # (T, C)
            done += len(samples)
            ends = len(samples) == 0
            mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)  # (T, C) -> (T,)
            if rate_hz != SAMPLE_RATE_HZ:
                mono = resampler.resample_chunk(mono, last=ends)
            if not np.isfinite(mono).all():
                raise ClipError("samples that are not numbers")
            if len(mono):
                yield mono
            if ends:
                break
        if not done:
            raise ClipError("no samples")
        if done + _LONGEST_GAP_S * rate_hz < file.frames:
            raise ClipError(f"truncated or corrupt: {done / rate_hz:.2f} s of {file.frames / rate_hz:.2f} s decoded")


def duration_s(encoded: EncodedClip) -> float:
    """Return what the header says about a clip's length, in seconds.

    Raises:
        ClipError: If there is no audio.
    """
    with _opened(encoded, whole=False) as stream, _libsndfile_errors(), soundfile.SoundFile(stream) as file:
        return float(_extent(file, encoded.start_s, encoded.length_s)[1] / file.samplerate)


def encode_clip(encoded: EncodedClip) -> tuple[memoryview, int]:
    """Return a clip as FLAC, and its number of samples.

    Raises:
        ClipError: If the clip cannot be used.
    """
    is_whole = encoded.start_s == 0 and encoded.length_s is None
    with _opened(encoded, whole=is_whole) as stream:
        samples = decode(stream, encoded.start_s, encoded.length_s)
    if max(samples.max(), -samples.min()) < _SILENCE:
        raise ClipError("silent")
    flac = io.BytesIO()  # libsndfile does not tell a full disk from other troubles
    soundfile.write(flac, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return flac.getbuffer(), len(samples)


def convert_clip(encoded: EncodedClip, target: Path) -> int:
    """Write a clip as FLAC; ``target`` appears when it is complete and carries the clip's time.

    Returns:
        Number of samples.

    Raises:
        ClipError: If the clip cannot be used.
        OSError: If ``target`` cannot be written, for example because the disk is full.
    """
    flac, samples = encode_clip(encoded)
    temporary = target.with_name(f"{target.name}.tmp.{os.getpid()}")
    try:
        temporary.write_bytes(flac)
        os.utime(temporary, ns=(encoded.time_ns, encoded.time_ns))
        # Not synced: thousands of files, and a killed program leaves what the system has taken.
        os.replace(temporary, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return samples


def samples_if_converted(encoded: EncodedClip, target: Path) -> int:
    """Return the number of samples in ``target`` if it was made from the clip as it is now, else 0."""
    try:
        if target.stat().st_mtime_ns != encoded.time_ns:
            return 0
        header = soundfile.info(str(target))
    except (OSError, soundfile.LibsndfileError):
        return 0
    return int(header.frames) if header.samplerate == SAMPLE_RATE_HZ and header.channels == 1 else 0


def convert_chunk(clips: list[EncodedClip], folder: Path) -> list[Measured]:
    """Make sure that each clip has its FLAC in ``folder``, which exists; what was converted already is only looked at.

    Raises:
        OSError: If a FLAC cannot be written.
    """
    outcomes = []
    for encoded in clips:
        target = folder / f"{clip_name(encoded.clip)}.flac"
        try:
            samples = samples_if_converted(encoded, target) or convert_clip(encoded, target)
            outcomes.append((encoded.clip, samples / SAMPLE_RATE_HZ, ""))
        except ClipError as error:
            outcomes.append((encoded.clip, 0.0, str(error)))
    return outcomes


def encode_chunk(clips: list[EncodedClip]) -> list[EncodedFlac]:
    """Return the FLACs of clips."""
    encoded = []
    for one in clips:
        try:
            flac, samples = encode_clip(one)
            encoded.append(EncodedFlac(one.clip, one.time_ns, samples, bytes(flac), ""))
        except ClipError as error:
            encoded.append(EncodedFlac(one.clip, one.time_ns, 0, b"", str(error)))
    return encoded


def measure_chunk(clips: list[EncodedClip]) -> list[Measured]:
    """Return what the headers say about the lengths of clips."""
    outcomes = []
    for encoded in clips:
        try:
            outcomes.append((encoded.clip, duration_s(encoded), ""))
        except ClipError as error:
            outcomes.append((encoded.clip, 0.0, str(error)))
    return outcomes


def check_chunk(clips: list[EncodedClip]) -> list[Measured]:
    """Return the lengths of whole files: ``length_s`` if the corpus knows it, else the header's; missing files fail."""
    outcomes = []
    for encoded in clips:
        try:
            if encoded.length_s is None:
                outcomes.append((encoded.clip, duration_s(encoded), ""))
            else:
                with _opened(encoded, whole=False):
                    outcomes.append((encoded.clip, encoded.length_s, ""))
        except ClipError as error:
            outcomes.append((encoded.clip, 0.0, str(error)))
    return outcomes
