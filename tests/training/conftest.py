from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.runs import write_noise_set
from tools.make_tiny_checkpoints import make_wav2vec2


@pytest.fixture(scope="session")
def noise_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise_set(tmp_path_factory.mktemp("noise"))


@pytest.fixture(scope="session")
def tiny_xlsr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random network like XLS-R: three layers of 32 units."""
    folder = tmp_path_factory.mktemp("checkpoints") / "xlsr"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make_wav2vec2(folder, large=True)
    return folder
