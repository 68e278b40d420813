"""Stage 7: write the HTML report of an experiment."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.report",
        description="Write <exp>/report.html: error per language, learning curves, group weights, confusion of "
        "languages, the worst utterances with their audio, and what was run. One file; it loads nothing.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared set, as given to stages 4 to 6")
    parser.add_argument("--exp", type=Path, required=True, help="experiment folder, exp/<tag>; the report goes there")
    parser.add_argument(
        "--decode", default="greedy", help="name of the decoding: <exp>/decode_<name>, scored by stage 6"
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Write the report and say where it is.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.
    """
    args = get_parser().parse_args(argv)
    from asr_dro.report.render import make_report  # --help must not wait for it

    path, is_new = make_report(args.data, args.exp, args.decode)
    logger.info("%s: %s", "report" if is_new else "report, already made from the same inputs", path)


if __name__ == "__main__":
    run_main(main)
