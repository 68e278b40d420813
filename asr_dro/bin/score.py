"""Stage 6: score the hypotheses of each decoded split and show the table."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from asr_dro.errors import UserError, run_main
from asr_dro.experiment import DECODE_PREFIX
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)

PROFILE_NAMES = ("ml_superb", "ml_superb2", "challenge2025", "wer_basic")  # not imported: --help must be quick


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.score",
        description="Score hypotheses: CER, WER and language identification, per language and over languages. "
        "Writes hyp.trn ref.trn utterances.tsv scores.tsv scores.json next to each <split>/text and prints a table.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared set with <split>/text and <split>/utt2lang")
    parser.add_argument("--exp", type=Path, required=True, help="experiment folder, exp/<tag>")
    parser.add_argument(
        "--profile",
        nargs="+",
        default=(),
        metavar="NAME",
        help=f"show also what these metric profiles say: {', '.join(PROFILE_NAMES)}",
    )
    parser.add_argument(
        "--alignments", action="store_true", help="write alignments.pra next to each <split>/text, as sclite shows them"
    )
    parser.add_argument("--decode", default="greedy", help="name of the decoding: <exp>/decode_<name>/<split>/text")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Score what was decoded and print one table per split.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.
    """
    args = get_parser().parse_args(argv)
    from asr_dro.scoring.stage import align_all, score_all  # --help must not wait for it
    from asr_dro.scoring.table import format_profile, format_table

    if unknown := [name for name in args.profile if name not in PROFILE_NAMES]:
        raise UserError(
            f"--profile {' '.join(unknown)}: there is no such profile; there are {', '.join(PROFILE_NAMES)}"
        )
    decode_dir = args.exp / f"{DECODE_PREFIX}{args.decode}"
    results = score_all(args.data, decode_dir)
    if not any(result.is_new for result in results):
        logger.info("already scored from the same inputs: %s", decode_dir)
    for result in results:
        sys.stdout.write("\n" + format_table(result.scores, title=result.split))
        for name in args.profile:
            sys.stdout.write(format_profile(result.scores, name))
    if args.alignments:
        for path in align_all(args.data, decode_dir):
            logger.info("alignments -> %s", path)
    sys.stdout.write(f"\n  all numbers: {decode_dir}/<split>/scores.tsv (error rates there are fractions)\n")


if __name__ == "__main__":
    run_main(main)
