"""Where the recipe lies: of the standard library alone, for what answers without an installed environment."""

from __future__ import annotations

import os
from pathlib import Path


def find_repository() -> Path:
    """Return the checkout's folder: what path.sh says, or else that of this package."""
    return Path(os.environ.get("ASR_DRO_ROOT") or Path(__file__).resolve().parent.parent)
