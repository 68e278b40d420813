"""What a newcomer waits for: ./run.sh on the mini corpus, from nothing but the environment to the report.

    python3 docs/benchmarks/mini_run.py --seeds 1 2 3

Each seed runs in an empty folder with an empty corpus folder. Figures: minutes, CPU minutes, the largest process's
memory, gigabytes written, and the error rates on test.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from asr_dro.config import REPOSITORY
from asr_dro.errors import run_main
from asr_dro.fileio import write_json

logger = logging.getLogger("asr_dro.benchmarks.mini_run")

GIGA = 1e9


def run_once(seed: int) -> dict[str, Any]:
    """Run all stages with one seed in a folder of their own and return the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"MINI": str(folder / "corpus")}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = ["bash", str(REPOSITORY / "run.sh"), "--seed", str(seed)]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        scores = json.loads(next(folder.glob("exp/*/decode_greedy/test/scores.json")).read_text(encoding="utf-8"))
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return {
            "seed": seed,
            "minutes": (time.monotonic() - start) / 60,
            "cpu_minutes": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60,
            "peak_memory_gb": after.ru_maxrss * 1024 / GIGA,
            "disk_gb": written / GIGA,
            "cer": scores["cer"],
            "lid_accuracy": scores["lid_accuracy"]["micro"],
        }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds to run, one after the other")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="file of the figures")
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        runs.append(run_once(seed))
        logger.info("%s", {key: value for key, value in runs[-1].items() if key != "cer"})
        logger.info("mean CER %.3f, worst %.3f", runs[-1]["cer"]["mean"], runs[-1]["cer"]["worst"])
    write_json(arguments.out, {"cores": os.cpu_count(), "load_at_end": os.getloadavg()[1], "runs": runs})


if __name__ == "__main__":
    run_main(main)
