"""Packs: many encoded clips in one file, as kaldiio's archives hold audio, and how ``wav.scp`` names a clip in one.

An entry is the clip's name, a space, ``AUDIO``, one byte that says how many bytes its length takes, its length (least
byte first) and the encoded clip. ``<pack>.ark:<offset>`` is the place of ``AUDIO``. ``kaldiio.load_mat`` and ESPnet
(type ``kaldi_ark``) read such places; Kaldi's own programs do not know these entries.
"""

from __future__ import annotations

import os
import re
import stat
from typing import BinaryIO

ENDING = ".ark"
_FLAG = b"AUDIO"
_PLACE = re.compile(r"(.+\.ark):([0-9]{1,18})", re.DOTALL)
_LONGEST_LENGTH = 8  # bytes of a length; more come from damaged files


def split_place(wav: str) -> tuple[str, int] | None:
    """Return the pack and the offset that an entry of ``wav.scp`` names; None if it names no pack."""
    match = _PLACE.fullmatch(wav)
    return (match[1], int(match[2])) if match else None


def is_audio_there(wav: str) -> bool:
    """Tell whether an entry of ``wav.scp`` is a file, or its pack reaches to where it begins; opens nothing."""
    if (place := split_place(wav)) is not None:
        try:
            found = os.stat(place[0])
        except (OSError, ValueError):  # ValueError: a NUL in the name
            found = None
        if found is not None and stat.S_ISREG(found.st_mode):
            return found.st_size > place[1]
    return os.path.isfile(wav)


def entry_head(name: str, length: int) -> tuple[bytes, int]:
    """Return what comes before an encoded clip in a pack.

    Args:
        name: Of the clip, without white space.
        length: Of the encoded clip, in bytes.

    Returns:
        The bytes, and how many of them come before the place that ``wav.scp`` names.
    """
    token = name.encode() + b" "
    digits = length.to_bytes((length.bit_length() + 7) // 8, "little")
    return token + _FLAG + bytes([len(digits)]) + digits, len(token)


def read_entry(pack: BinaryIO, offset: int) -> bytes:
    """Read an encoded clip.

    Args:
        pack: An open pack.
        offset: Where its ``AUDIO`` stands.

    Raises:
        ValueError: If there is no entry at this place, or the pack ends within it.
    """
    size = os.fstat(pack.fileno()).st_size
    if offset >= size:  # some are more than a file can have
        raise ValueError("the pack ends before this clip")
    pack.seek(offset)
    head = pack.read(len(_FLAG) + 1 + _LONGEST_LENGTH)
    digits = head[len(_FLAG)] if len(head) > len(_FLAG) else 1
    if not _FLAG.startswith(head[: len(_FLAG)]) or not 0 < digits <= _LONGEST_LENGTH:
        raise ValueError("no clip begins at this place of the pack")
    start = len(_FLAG) + 1 + digits
    length = int.from_bytes(head[len(_FLAG) + 1 : start], "little")
    if len(head) < start or offset + start + length > size:  # before a damaged length takes all memory
        raise ValueError("the pack ends before this clip")
    pack.seek(offset + start)
    return pack.read(length)
