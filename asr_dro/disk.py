"""Room on a disk, asked for before hours of work and not in the middle of them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

_GB = 1e9


def check_room(folder: Path, needed_bytes: float, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: Where it is to be written; it need not be there yet.
        needed_bytes: Room that it takes, beside what is there already.
        what: Its name, for the message.

    Raises:
        UserError: If the file system of the folder has less room than that. Quotas cannot be seen.
    """
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    logger.debug("%s needs %.2f GB, %s has %.1f GB", what, needed_bytes / _GB, place, free / _GB)
    if needed_bytes > free:
        raise UserError(
            f"{what} needs {needed_bytes / _GB:.1f} GB in {folder}, where {free / _GB:.1f} GB are free. "
            "Make room there, or choose another place (--exp-dir, --data-dir)."
        )


def size_of(folder: Path, pattern: str) -> int:
    """Add up the sizes in bytes of the files in a folder that match."""
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())
