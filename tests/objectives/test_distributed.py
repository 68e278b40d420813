from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

WORKER = Path(__file__).with_name("distributed_worker.py")
ROOT = WORKER.parents[2]
OBJECTIVES = 3


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """What each rank of 1, 2 and 4 processes ended with, by (processes, rank)."""
    folder = tmp_path_factory.mktemp("distributed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    subprocess.run([sys.executable, str(WORKER), str(folder), "1", "2", "4"], env=environment, check=True, timeout=120)
    return {
        (world, rank): torch.load(folder / f"result_{world}_{rank}.pt", weights_only=True)
        for world in (1, 2, 4)
        for rank in range(world)
    }


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("objective", range(OBJECTIVES))
def test_several_processes_equal_one(
    results: dict[tuple[int, int], list[dict[str, Any]]], world: int, objective: int
) -> None:
    alone = results[1, 0][objective]
    first = results[world, 0][objective]
    assert len(alone["records"]) > 10
    for rank in range(world):
        for key, value in results[world, rank][objective].items():
            if key == "records":
                assert value == first[key]
                assert [row["update"] for row in value] == [row["update"] for row in alone[key]]
                continue
            assert torch.equal(value, first[key]), f"rank {rank} has another {key} than rank 0"
            assert torch.allclose(value, alone[key], rtol=0, atol=1e-5), key
    assert alone["objective.skipped"].sum() > 0
    assert (alone["objective.relative_weights"] - 1).abs().max() > 0.01
