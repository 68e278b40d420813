"""Compute SUPERB_s, the number by which ML-SUPERB ranks systems, from a table of their figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter

SETTINGS = {"10min": "10 min", "1h": "1 h"}


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.superb_score",
        description="Compute SUPERB_s. The table is a TSV file with the columns system, mono CER/PER, ASR normal CER, "
        "ASR few-shot CER, LID accuracy, ASR+LID accuracy, ASR+LID normal CER, ASR+LID few-shot CER, in percent.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("table", type=Path, nargs="?", help="table of systems; without it, the published ones alone")
    parser.add_argument(
        "--published",
        choices=SETTINGS,
        help="put the 13 systems of the benchmark's paper beside yours, which its scores are relative to",
    )
    parser.add_argument("--baseline", default="FBANK", help="system that has 0")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Print one line per system.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.
    """
    parser = get_parser()
    args = parser.parse_args(argv)
    if args.table is None and args.published is None:
        parser.error("give a table, or --published, or both")
    from asr_dro.errors import UserError
    from asr_dro.scoring.superb_s import read_systems, superb_s

    published = _published(SETTINGS[args.published]) if args.published else {}
    own = read_systems(args.table) if args.table else {}
    if both := sorted(published.keys() & own.keys()):
        raise UserError(f"{args.table}: {', '.join(both)}: published systems have these names; give yours another")
    scores = superb_s(published | own, baseline=args.baseline)
    width = max(map(len, scores))
    for name in sorted(scores, key=lambda name: -scores[name]):
        mark = "  (published)" if name in published else ""
        sys.stdout.write(f"{name:<{width}}  {scores[name]:7.1f}{mark}\n")


def _published(setting: str) -> dict[str, dict[str, float]]:
    from asr_dro.collecting.published import read_published

    systems: dict[str, dict[str, float]] = {}
    for figure in read_published("ml_superb"):
        if figure.setting == setting:
            systems.setdefault(figure.system, {})[figure.metric] = figure.value
    return systems


if __name__ == "__main__":
    run_main(main)
