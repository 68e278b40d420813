"""What git says of a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(repository: Path, *arguments: str) -> str | None:
    """Return what a git command prints, None where there is no git or no checkout.

    Args:
        repository: Folder of the checkout.
        *arguments: The command and its options.
    """
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
