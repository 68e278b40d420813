from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "docs" / "benchmarks" / "packing.py"


def test_benchmark_runs_from_anywhere(tmp_path: Path) -> None:
    out = tmp_path / "packing.json"
    command = [sys.executable, str(BENCHMARK), "--utterances", "3000", "--groups", "5", "--out", str(out)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    result = json.loads(out.read_text(encoding="utf-8"))
    committed = json.loads(BENCHMARK.with_suffix(".json").read_text(encoding="utf-8"))
    assert result.keys() == committed.keys()
    assert [row.keys() for row in result["results"]] == [row.keys() for row in committed["results"]]


def test_committed_result_keeps_the_promise() -> None:
    committed = json.loads(BENCHMARK.with_suffix(".json").read_text(encoding="utf-8"))
    assert committed["data"]["utterances"] >= 1_000_000
    assert committed["data"]["groups"] == 143
    assert max(row["cpu_s"] for row in committed["results"]) < 5
    assert max(row["padding_share"] for row in committed["results"]) < 0.1
