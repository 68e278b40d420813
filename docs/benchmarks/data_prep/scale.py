#!/usr/bin/env python3
"""Stages 1 to 3 for 143 languages and 100,000 clips: minutes and memory.

    python3 -m docs.benchmarks.data_prep.scale                   # writes scale.json

The languages are the first 143 with a locale of Common Voice; their clips repeat 2,400 different ones.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from asr_dro.data.languages import languages
from asr_dro.errors import run_main
from asr_dro.fileio import write_json
from asr_dro.training.environment import describe_environment
from docs.benchmarks.data_prep.clips import HERE, REPOSITORY, make_clips, write_release
from docs.benchmarks.data_prep.measure import Cost, measure

logger = logging.getLogger("data_prep.scale")


def stages(work: Path, release: Path, codes: list[str], nj: int) -> dict[str, Cost]:
    """Run stages 1 to 3, then stage 1 again with nothing left to do."""
    name = "scale"
    command = ["-m", "asr_dro.bin.prepare_data", "--corpus", "common_voice", "--source", release, "--name", name]
    data = [*command, "--lang-set", ",".join(codes), "--data-dir", work / "data", "--nj", str(nj)]
    costs = {"1 data": measure(data, REPOSITORY)}
    for stage, module in (("2 tokens", "make_tokens"), ("3 lengths", "make_lengths")):
        costs[stage] = measure(["-m", f"asr_dro.bin.{module}", "--data", work / "data" / name], REPOSITORY)
    costs["1 data, nothing left to do"] = measure(data, REPOSITORY)
    for stage, cost in costs.items():
        logger.info("%-28s %s", stage, cost.rounded())
    return costs


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=143, help="number of languages (%(default)s)")
    parser.add_argument("--clips", type=int, default=100_000, help="clips of all languages together (%(default)s)")
    parser.add_argument("--nj", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for everything that is made; a temporary one if not given")
    parser.add_argument("--out", type=Path, default=HERE / "scale.json", help="file of the figures (%(default)s)")
    arguments = parser.parse_args()
    spoken = [language for language in languages().values() if language.locales][: arguments.languages]
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        clips = make_clips(work, 2400)
        rows = -(-arguments.clips // len(spoken))
        write_release(work / "scale_release", [language.locales[0] for language in spoken], clips, rows)
        codes = [language.iso639_3 for language in spoken]
        costs = stages(work, work / "scale_release", codes, arguments.nj)
        written = sum(path.stat().st_size for path in (work / "data").rglob("*") if path.is_file())
    environment = describe_environment(REPOSITORY)
    write_json(
        arguments.out,
        {
            "command": "python3 -m docs.benchmarks.data_prep.scale",
            **{key: environment[key] for key in ("created", "commit", "host")},
            "languages": len(spoken),
            "clips": rows * len(spoken),
            "hours": round(sum(seconds for _, seconds in clips) / len(clips) * rows * len(spoken) / 3600, 1),
            "disk_gb": round(written / 1e9, 2),
            "stages": {stage: cost.rounded() for stage, cost in costs.items()},
        },
    )


if __name__ == "__main__":
    run_main(main)
