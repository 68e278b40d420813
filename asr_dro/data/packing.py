"""Packing: the FLACs of a part go into a few large files, and an index says which clip lies where.

Packs and their index only grow. A line of the index is written when its clip is on the disk, so what a killed run left
behind the last line of a pack is cut off before the next clip goes there, and places that a set has stay as they are:
a clip that has changed is packed once more, and the sets made before it keep the old one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from asr_dro.corpora.corpus import clip_name
from asr_dro.data.pack_format import ENDING, entry_head
from asr_dro.errors import UserError

INDEX = "index.tsv"
MOST_BYTES = 10**9  # of a pack; larger ones are awkward to copy, smaller ones are many
SYNCED_BYTES = 16 * 10**6  # so much is packed anew after a kill, at most
_HEADER = "clip\ttime_ns\tsamples\tpack\toffset\tend\n"


class EncodedFlac(NamedTuple):
    """A clip as a worker hands it back.

    Args:
        clip: Its name in the part.
        time_ns: Time of the last change of what held it.
        samples: Their number.
        flac: The FLAC; empty if the clip cannot be used.
        reason: Why not; empty if it can.
    """

    clip: str
    time_ns: int
    samples: int
    flac: bytes
    reason: str


class Place(NamedTuple):
    """Where a clip lies.

    Args:
        clip: Its name in the part.
        time_ns: As in :class:`EncodedFlac`.
        samples: Their number.
        wav: Its entry in ``wav.scp``.
    """

    clip: str
    time_ns: int
    samples: int
    wav: str


class _Line(NamedTuple):
    clip: str
    time_ns: int
    samples: int
    pack: int
    offset: int  # of what wav.scp names
    end: int  # of the entry


def packed_places(folder: Path) -> Iterator[Place]:
    """Yield the clips of a part that are whole in its packs; of two lines for one clip the later one holds.

    Args:
        folder: Of the packs; it need not be there.

    Raises:
        UserError: If the index is damaged.
    """
    sizes = _sizes(folder)
    for line in _read_index(folder / INDEX):
        if line.end <= sizes.get(line.pack, 0):
            yield Place(line.clip, line.time_ns, line.samples, f"{_pack(folder, line.pack)}:{line.offset}")


def _pack(folder: Path, number: int) -> Path:
    return folder / f"{number:04}{ENDING}"


def _sizes(folder: Path) -> dict[int, int]:
    """Return the packs that are there, by number, with their sizes in bytes."""
    found = [path for path in folder.glob(f"*{ENDING}") if path.stem.isdecimal()]
    return {int(path.stem): path.stat().st_size for path in found}


def _read_index(path: Path) -> Iterator[_Line]:
    try:
        file = open(path, encoding="utf-8", newline="\n")  # noqa: SIM115  # a generator closes it
    except FileNotFoundError:
        return
    with file:
        for number, text in enumerate(file, start=1):
            if not text.endswith("\n"):  # a killed run's last words
                return
            if number == 1 and text == _HEADER:
                continue
            clip, *values = text[:-1].split("\t")
            if number == 1 or len(values) != len(_Line._fields) - 1 or not all(map(str.isdecimal, values)):
                raise UserError(
                    f"{path}:{number}: not a line of an index of packs; remove {path.parent} and the sets made with it "
                    "(audio: pack), and run stage 1 again"
                )
            yield _Line(clip, *map(int, values))


class PackWriter:
    """Appends to the packs of one part, which the caller holds exclusively; touches nothing before the first clip.

    Args:
        folder: Of the packs.
        most_bytes: Size that a pack does not exceed, unless one clip does.
        synced_bytes: After so much the clips are on the disk for good.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, synced_bytes: int = SYNCED_BYTES) -> None:
        self._folder, self._most_bytes, self._synced_bytes = folder, most_bytes, synced_bytes
        self._file: BinaryIO | None = None
        self._number, self._size = 0, 0
        self._waiting: list[_Line] = []
        self._n_waiting_bytes = 0

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with contextlib.ExitStack() as stack:
                if error is not None:  # a full disk, for instance: its own message is the one to show
                    stack.enter_context(contextlib.suppress(OSError))
                self.sync()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None

    def add(self, clip: EncodedFlac) -> Place:
        """Append a clip.

        Raises:
            OSError: If the disk is full.
            UserError: If the index is damaged.
        """
        head, before = entry_head(clip_name(clip.clip), len(clip.flac))
        size = len(head) + len(clip.flac)
        file = self._file or self._resume()
        if self._size and self._size + size > self._most_bytes:
            file = self._open(self._number + 1)
        start, path = self._size, _pack(self._folder, self._number)
        with _naming(path):
            _write(file, head + clip.flac)
        self._size += size
        self._n_waiting_bytes += size
        line = _Line(clip.clip, clip.time_ns, clip.samples, self._number, start + before, self._size)
        self._waiting.append(line)
        if self._n_waiting_bytes >= self._synced_bytes:
            self.sync()
        return Place(clip.clip, clip.time_ns, clip.samples, f"{path}:{line.offset}")

    def sync(self) -> None:
        """Have all clips on the disk, then say in the index where they are."""
        if self._file is None or not self._waiting:
            return
        path = self._folder / INDEX
        with _naming(path), open(path, "ab", buffering=0) as index:
            os.fsync(self._file.fileno())
            size = index.tell()
            try:
                _write(index, "".join("\t".join(map(str, line)) + "\n" for line in self._waiting).encode())
                os.fsync(index.fileno())
            except BaseException:  # or else the next try would go on in the middle of a line
                index.truncate(size)
                raise
        self._waiting.clear()
        self._n_waiting_bytes = 0

    def _resume(self) -> BinaryIO:
        """Open the pack to go on with, without what a killed run left in it."""
        index = self._folder / INDEX
        self._folder.mkdir(parents=True, exist_ok=True)
        is_new = not index.exists()
        if is_new:
            index.write_text(_HEADER, encoding="utf-8")
        else:
            _cut_unfinished_line(index)
        ends: dict[int, int] = {}
        for line in _read_index(index):
            ends[line.pack] = max(line.end, ends.get(line.pack, 0))
        sizes = _sizes(self._folder)
        for number in sizes.keys() - ends.keys() if not is_new else ():  # begun, and killed before a clip was in it
            _pack(self._folder, number).unlink()
            del sizes[number]
        last = max([*ends, *sizes], default=0)
        end = ends.get(last, 0)
        if last not in sizes or not end or sizes[last] < end:  # never behind a damaged one: its lines say other things
            return self._open(last + 1)
        os.truncate(_pack(self._folder, last), end)
        return self._open(last)

    def _open(self, number: int) -> BinaryIO:
        """Open a pack at its end, after the one before it is whole."""
        if self._file is not None:
            self.sync()
            self._file.close()
        path = _pack(self._folder, number)
        with _naming(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # closed at the end
            _sync_folder(self._folder)
        self._number, self._size = number, os.fstat(self._file.fileno()).st_size
        return self._file


def _cut_unfinished_line(index: Path) -> None:
    """Cut off what comes after the last whole line; the header is written anew if not even it is whole."""
    with open(index, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 4096)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)
        if not end:
            file.seek(0)
            file.write(_HEADER.encode())


def _sync_folder(folder: Path) -> None:
    """Have the names of new files on the disk, where the file system can be asked for it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of it: an unbuffered file may take a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in messages of the system, which does not where a file is open already."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
