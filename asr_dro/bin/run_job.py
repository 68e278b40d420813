"""Run one line of a list of jobs: what an element of a Slurm array does. It can be called by hand as well."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.run_job",
        description=__doc__,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--jobs", type=Path, required=True, help="the list that submit.sh wrote, jobs.tsv or data.tsv")
    parser.add_argument("--index", type=int, required=True, help="which line, from 0")
    parser.add_argument("--stage", type=int, default=4, help="first stage of run.sh")
    parser.add_argument("--stop-stage", type=int, default=7, help="last stage of run.sh")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run the job and leave with its status; 75 says that it was asked to stop, and goes on when it is run again.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.
    """
    args = get_parser().parse_args(argv)
    from asr_dro.cluster.element import Element, run_element

    raise SystemExit(run_element(Element(args.jobs, args.index, (args.stage, args.stop_stage))))


if __name__ == "__main__":
    run_main(main)
