"""Tell what runs will cost in hours and on disk, from one that was measured: an epoch or two are enough."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from asr_dro.errors import UserError, run_main


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python3 -m asr_dro.bin.estimate_cost", description=__doc__)
    parser.add_argument("experiment", type=Path, help="folder of a run with at least one epoch, exp/<tag>")
    parser.add_argument("--hours", type=float, help="hours of training audio of each run (default: as measured)")
    parser.add_argument("--epochs", type=int, help="epochs of each run (default: as measured)")
    parser.add_argument("--runs", type=int, default=1, help="number of runs (default: 1)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Print the estimate.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.

    Raises:
        UserError: If a number is not above 0, or the run has measured nothing.
    """
    args = get_parser().parse_args(argv)
    given = {"--hours": args.hours, "--epochs": args.epochs, "--runs": args.runs}
    if wrong := [f"{name} {value}" for name, value in given.items() if value is not None and not value > 0]:
        raise UserError(f"{', '.join(wrong)}: must be above 0")
    from asr_dro.cluster.cost import describe_cost, measure  # --help must not wait for it

    measured = measure(args.experiment)
    hours, epochs = args.hours or measured.audio_h, args.epochs or measured.epochs
    sys.stdout.write(describe_cost(measured, audio_h=hours, epochs=epochs, runs=args.runs))


if __name__ == "__main__":
    run_main(main)
