from __future__ import annotations

from pathlib import Path

import pytest

from tests.decoding.experiments import write_experiment
from tests.decoding.sharded_case import Case
from tests.training.runs import write_noise_set


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a set of 2 x 24 utterances and an experiment with random weights."""
    folder = tmp_path_factory.mktemp("sharded")
    return write_noise_set(folder, per_language=12), write_experiment(folder / "exp")


@pytest.fixture
def case(prepared: tuple[Path, Path], tmp_path: Path) -> Case:
    return Case(prepared, tmp_path)


@pytest.fixture(scope="session")
def whole(prepared: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of an undisturbed run."""
    files = Case(prepared, tmp_path_factory.mktemp("whole")).decode()
    assert list(files) == ["dev/text", "dev/nbest.jsonl", "test/text", "test/nbest.jsonl"]
    lines = files["test/text"].decode().splitlines()
    assert len(lines) == 24
    assert len({line.partition(" ")[2] for line in lines}) > 20, "hypotheses that are alike would prove little"
    return files
