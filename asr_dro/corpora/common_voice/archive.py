"""Archives as they are downloaded: tables are copied once, audio is streamed, nothing is unpacked.

Members are only ever read, by name; links, devices, absolute names and names with ``..`` are passed over. The end of an
archive is checked: one that was cut off or damaged is an error, not a short corpus.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import shutil
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from asr_dro.corpora.corpus import AudioSource, EncodedClip
from asr_dro.data.processes import exclusive
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_directory, write_json

logger = logging.getLogger(__name__)

ENDINGS = (".tar.gz", ".tgz", ".tar")
_COPIED = frozenset({"train.tsv", "dev.tsv", "test.tsv", "validated.tsv", "clip_durations.tsv", "times.txt"})
_MARKER = "archive.json"
_BUFFER = 65_536  # bytes: twice as fast as 1 MiB, and as 10 KiB
_LARGEST_CLIP = 2**26  # bytes: a day of audio is no clip, and would have to fit into memory
_PEEKED = 100  # members that are read to learn how an archive is laid out


class _Member(tarfile.TarInfo):
    """A member that takes only a block of zeros for the end; ``tarfile`` takes any bad header for it."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error) or "it ends without an end mark") from None


@contextmanager
def _naming(archive: Path) -> Iterator[None]:
    """Name the archive in errors about its content."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{archive} was cut off or is damaged ({error}); download it again") from None


def _members(file: IO[bytes]) -> Iterator[tuple[PurePosixPath, tarfile.TarInfo, IO[bytes]]]:
    """Yield name, header and content of each regular file; a content can be read until the next is asked for."""
    is_compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if is_compressed else file
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER, tarinfo=_Member) as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or else it keeps all of them: gigabytes for a large locale
            name = PurePosixPath(member.name)
            content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
            if content is not None and not name.is_absolute() and ".." not in name.parts:
                yield name, member, content
    while stream.read(_BUFFER):  # to the checksum
        pass


def peek(archive: Path) -> str | None:
    """Return the folder inside an archive that holds the tables and ``clips``, such as ``cv-corpus-25.0-.../fi``.

    Returns:
        The folder, ``""`` for none, None if the beginning of the archive does not tell.

    Raises:
        UserError: If it cannot be read as an archive.
    """
    with _naming(archive), open(archive, "rb") as file:
        for number, (name, _, _) in enumerate(_members(file)):
            if "clips" in name.parts:
                return _as_text(name.parts[: name.parts.index("clips")])
            if name.name in _COPIED:
                return _as_text(name.parts[:-1])
            if number >= _PEEKED:
                break
    return None


def _as_text(parts: tuple[str, ...]) -> str:
    return "/".join(parts)


@dataclass(frozen=True)
class Copied:
    """What is kept of an archive.

    Args:
        tables: Folder with copies of its tables.
        inside: Folder inside the archive that holds the tables and ``clips``; ``""`` for none.
        has_clips: Whether there is a clip in the archive.
    """

    tables: Path
    inside: str
    has_clips: bool


def copy_tables(archive: Path, cache: Path) -> Copied:
    """Copy an archive's tables, unless that was done; an archive must be read to its end for it, once.

    Args:
        archive: The archive.
        cache: Folder for the copies.

    Raises:
        UserError: If the archive is damaged, cut off, or holds several locales or none.
    """
    real = os.path.realpath(archive)
    target = cache / f"{archive.name.split('.tar')[0]}-{hashlib.sha256(real.encode()).hexdigest()[:8]}"
    status = archive.stat()
    made_from = [status.st_size, status.st_mtime_ns]
    with exclusive(cache / "locks" / target.name):  # other archives are read meanwhile
        known = _read_marker(target / _MARKER)
        if known.get("archive") != made_from:
            logger.info("%s: copying its tables, for which it is read to its end, once", archive)
            with atomic_directory(target) as temporary:
                known = {"archive": made_from} | _copy(archive, temporary)
                write_json(temporary / _MARKER, known)
    return Copied(target, known["inside"], known["has_clips"])


def _read_marker(marker: Path) -> Mapping[str, Any]:
    try:
        return cast("Mapping[str, Any]", json.loads(marker.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _copy(archive: Path, folder: Path) -> dict[str, Any]:
    from tqdm import tqdm  # needed only when there is work

    inside, has_clips = set[str](), False
    with _naming(archive), open(archive, "rb") as file:
        bar = tqdm(total=archive.stat().st_size, unit="B", unit_scale=True, desc=archive.name, disable=None)
        with bar:
            for name, _, content in _members(file):
                bar.update(file.tell() - bar.n)
                has_clips = has_clips or "clips" in name.parts[:-1]
                if name.name in _COPIED and "clips" not in name.parts:
                    inside.add(_as_text(name.parts[:-1]))
                    with open(folder / name.name, "wb") as copy:
                        shutil.copyfileobj(content, copy, _BUFFER)
    if len(inside) != 1:
        found = f"tables in {len(inside)} folders ({', '.join(sorted(inside))})" if inside else "no table of clips"
        raise UserError(f"{archive} holds {found}; an archive must hold one locale, as it is downloaded")
    return {"inside": inside.pop(), "has_clips": has_clips}


@dataclass(frozen=True)
class ArchiveAudio(AudioSource):
    """The clips of an archive, in its order.

    Args:
        archive: The archive.
        inside: Folder inside the archive that holds ``clips``.
    """

    archive: Path
    inside: str

    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        """Yield the wanted clips; the archive is read until the last of them.

        A clip's time is the one that the archive gives it, as if it had been unpacked: what was read before an
        archive broke off counts once it has been downloaded again.

        Raises:
            UserError: If the archive is damaged or was cut off.
        """
        left, folder = set(wanted), PurePosixPath(self.inside, "clips")
        archive_time_ns = self.archive.stat().st_mtime_ns
        if not left:
            return
        with _naming(self.archive), open(self.archive, "rb") as file:
            for name, member, content in _members(file):
                clip = str(name.relative_to(folder)) if name.is_relative_to(folder) else ""
                if clip not in left:
                    continue
                left.discard(clip)
                if member.size > _LARGEST_CLIP:
                    logger.warning("%s: %s has %d bytes, which is no clip; left out", self.archive, name, member.size)
                    continue
                time_ns = round(member.mtime * 1e9) if member.mtime > 0 else archive_time_ns
                yield EncodedClip(clip, content.read(), time_ns)
                if not left:
                    return
