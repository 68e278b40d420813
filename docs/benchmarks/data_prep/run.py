#!/usr/bin/env python3
"""What stage 1 costs, against decoding, resampling and encoding the same clips and nothing else.

    python3 -m docs.benchmarks.data_prep.run                     # 2,400 clips, 5 rounds; writes results.json
    python3 -m docs.benchmarks.data_prep.run --rows 2000000      # also: memory for a release of two million rows

The variants run in turn, so that other work on the machine meets all of them; figures are CPU seconds of all processes.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from asr_dro.errors import run_main
from asr_dro.fileio import write_json
from asr_dro.training.environment import describe_environment
from docs.benchmarks.data_prep.clips import HERE, REPOSITORY, make_clips, write_release
from docs.benchmarks.data_prep.measure import Cost, measure

logger = logging.getLogger("data_prep")

LOCALE = "fi"
KEEP = 10  # times as many clips where no audio is decoded: else starting Python would be most of the figure


def prepare(work: Path, release: Path, data: str, *, nj: int, audio: str) -> Cost:
    """Prepare a release with ``nj`` processes into ``work/<data>``."""
    (work / "benchmark.yaml").write_text(f"audio: {audio}\n", encoding="utf-8")
    command = ["-m", "asr_dro.bin.prepare_data", "--corpus", "common_voice", "--source", release, "--lang-set", LOCALE]
    options = [
        "--data-dir",
        work / data,
        "--name",
        "benchmark",
        "--nj",
        str(nj),
        "--data-conf",
        work / "benchmark.yaml",
    ]
    return measure([*command, *options], REPOSITORY)


def one_round(work: Path, release: Path, more: Path) -> dict[str, Cost]:
    """Run every variant once, from nothing; those that keep the audio on a release of ``KEEP`` times the clips."""
    costs = {}
    shutil.rmtree(work / "bare", ignore_errors=True)
    costs["bare, 1 process"] = measure([HERE / "bare.py", release / LOCALE / "clips", work / "bare"], REPOSITORY)
    for nj in (1, 2):
        shutil.rmtree(work / "convert", ignore_errors=True)
        costs[f"convert, nj {nj}"] = prepare(work, release, "convert", nj=nj, audio="convert")
    shutil.rmtree(work / "keep", ignore_errors=True)
    costs["keep"] = prepare(work, more, "keep", nj=1, audio="keep")
    costs["keep, nothing left to do"] = prepare(work, more, "keep", nj=1, audio="keep")
    return costs


def summarise(rounds: list[dict[str, Cost]], clips: int) -> dict[str, Any]:
    """Return medians and, for each variant, its ratio by clip to the bare work of the same round."""
    summary: dict[str, Any] = {}
    for name in rounds[0]:
        n_clips = clips * (KEEP if name.startswith("keep") else 1)
        cpu = [costs[name].cpu_s for costs in rounds]
        ratios = [costs[name].cpu_s / n_clips / (costs["bare, 1 process"].cpu_s / clips) for costs in rounds]
        summary[name] = {
            "clips": n_clips,
            "cpu_s": round(statistics.median(cpu), 2),
            "cpu_ms_per_clip": round(1000 * statistics.median(cpu) / n_clips, 3),
            "ratio_to_bare": [round(value, 4) for value in (statistics.median(ratios), min(ratios), max(ratios))],
            "wall_s": round(statistics.median(costs[name].wall_s for costs in rounds), 2),
            "peak_memory_gb": round(max(costs[name].peak_memory_gb for costs in rounds), 3),
        }
        logger.info("%-20s %s", name, summary[name])
    return summary


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2400, help="clips of the comparison (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the comparison (%(default)s)")
    parser.add_argument("--rows", type=int, default=0, help="rows of a release whose audio is kept; 0: leave that out")
    parser.add_argument("--work", type=Path, help="folder for everything that is made; a temporary one if not given")
    parser.add_argument("--out", type=Path, default=HERE / "results.json", help="file of the figures (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        clips = make_clips(work, min(arguments.clips, 2400))
        release = work / "release"
        write_release(release, [LOCALE], clips, arguments.clips)
        write_release(work / "more", [LOCALE], clips, KEEP * arguments.clips)
        rounds = [one_round(work, release, work / "more") for _ in range(arguments.rounds)]
        results: dict[str, Any] = {"variants": summarise(rounds, arguments.clips)}
        if arguments.rows:
            write_release(work / "large", [LOCALE], clips, arguments.rows)
            cost = prepare(work, work / "large", "data_large", nj=1, audio="keep")
            results["large"] = {"rows": arguments.rows, "stage 1, keep": cost.rounded()}
            for stage in ("make_tokens", "make_lengths"):
                command = ["-m", f"asr_dro.bin.{stage}", "--data", work / "data_large" / "benchmark"]
                results["large"][stage] = measure(command, REPOSITORY).rounded()
            logger.info("large: %s", results["large"])
    environment = describe_environment(REPOSITORY)
    keys = ("created", "commit", "host")
    seconds = sum(seconds for _, seconds in clips) / len(clips)
    write_json(
        arguments.out,
        {
            "command": "python3 -m docs.benchmarks.data_prep.run",
            **{key: environment[key] for key in keys},
            "rounds": arguments.rounds,
            "clips": arguments.clips,
            "mean_s": round(seconds, 2),
            **results,
        },
    )


if __name__ == "__main__":
    run_main(main)
