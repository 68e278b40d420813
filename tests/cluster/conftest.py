"""A real Slurm for the tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.disturbed_grid import PARTITIONS
from tests.cluster.slurm import Slurm, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Two nodes on the loopback interface; the folder's name is short, for names of sockets end at 107 bytes."""
    with (
        tempfile.TemporaryDirectory(prefix="slurm.", dir="/tmp") as folder,
        running(Path(folder), more=PARTITIONS) as cluster,
    ):
        yield cluster
