"""What a result was made from, as one hash of file contents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

_BLOCK = 1 << 20  # bytes read at a time


def content_fingerprint(files: Mapping[str, Path], *, version: str) -> str:
    """Hash the contents of files under the names of their roles.

    Contents and not times of change, so that the same inputs give the same bytes on every machine and after a copy.

    Args:
        files: Path by role; a file that does not exist counts as absent, which differs from empty.
        version: Version of the program that reads them; a new one makes every result stale.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256(version.encode())
    for role, path in sorted(files.items()):
        try:
            content = _hash(path)
        except FileNotFoundError:
            content = "absent"
        digest.update(f"\n{role}\t{content}".encode())
    return digest.hexdigest()[:32]


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):  # the labels of millions of utterances must not lie in memory at once
            digest.update(block)
    return digest.hexdigest()
