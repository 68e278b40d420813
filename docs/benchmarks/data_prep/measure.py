"""Running a command and counting what it costs: CPU seconds, wall seconds, memory; of all its processes together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

GIGA = 1e9


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        cpu_s: User and system seconds of the process and its children.
        wall_s: Seconds on the clock.
        peak_memory_gb: Resident memory of the largest process.
    """

    cpu_s: float
    wall_s: float
    peak_memory_gb: float

    def rounded(self) -> dict[str, float]:
        """Return the figures for a JSON file."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def measure(command: Sequence[object], cwd: Path) -> Cost:
    """Run ``python3 <command>`` in ``cwd``.

    Raises:
        subprocess.CalledProcessError: If it fails; its messages have been shown.
    """
    start = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *map(str, command)], cwd=cwd, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, [str(word) for word in command])
    wall_s = time.monotonic() - start
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * 1024 / GIGA)
