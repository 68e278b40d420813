from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.runs import write_noise_set


@pytest.fixture(scope="session")
def noise_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise_set(tmp_path_factory.mktemp("noise"))
