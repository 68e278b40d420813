"""What explains the errors of the worst languages: written beside the scores and shown as text."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from asr_dro.errors import UserError, run_main
from asr_dro.experiment import DECODE_PREFIX, SCORES
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.analyze",
        description="Say what stands out in the worst languages, what goes together with errors across languages, and "
        "which transcripts are doubtful. Writes analysis.json and suspects.tsv beside the split's scores.json; "
        "stage 7 shows them in the report.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared set, as given to stages 4 to 6")
    parser.add_argument("--exp", type=Path, required=True, help="experiment folder, exp/<tag>")
    parser.add_argument(
        "--decode", default="greedy", help="name of the decoding: <exp>/decode_<name>, scored by stage 6"
    )
    parser.add_argument("--split", help="scored split; test if it is there, unless given")
    parser.add_argument("--language", action="append", help="show this language only; may be given several times")
    parser.add_argument("--all", action="store_true", help="show all languages, not only bad ones")
    parser.add_argument("--quiet", action="store_true", help="write the files only")
    parser.add_argument(
        "--align", action="store_true", help="run the model: loss of each reference (kept for next time)"
    )
    parser.add_argument("--nj", type=int, default=1, help="with --align: processes that read audio")
    parser.add_argument("--ngpu", type=int, default=0, help="with --align: 0 computes on the CPU, 1 on a GPU")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Analyse a split, write the files and show the text.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.
    """
    args = get_parser().parse_args(argv)
    from asr_dro.analysis.state import MARKER, OUTPUTS, find_split, fingerprint  # --help must not wait for it
    from asr_dro.data.done import is_made_from, mark_made_from

    decode_dir = args.exp / f"{DECODE_PREFIX}{args.decode}"
    split = find_split(decode_dir, args.split)
    marker, outputs = decode_dir / split / MARKER, [decode_dir / split / name for name in OUTPUTS]
    made_from = {"inputs": fingerprint(args.data, args.exp, decode_dir, split)}
    if args.quiet and not args.align and is_made_from(marker, made_from, outputs):
        logger.info("analysis, already made from the same inputs: %s", outputs[0])
        return
    from asr_dro.analysis.losses import losses_of_split  # numpy, which a run with nothing to do must not wait for
    from asr_dro.analysis.stage import analyze
    from asr_dro.analysis.text import format_analysis
    from asr_dro.scoring.files import read_scores

    scores = read_scores(decode_dir / split / SCORES) or {}
    known = sorted(scores.get("counts", {}).get("by_language", {}))
    if unknown := [language for language in args.language or [] if known and language not in known]:
        raise UserError(f"--language {' '.join(unknown)}: not in {split}; it has {' '.join(known)}")
    losses = losses_of_split(args.data, args.exp, decode_dir, split, align=args.align, nj=args.nj, ngpu=args.ngpu)
    analysis = analyze(args.data, args.exp, decode_dir, split, losses)
    mark_made_from(marker, {"inputs": fingerprint(args.data, args.exp, decode_dir, split)})
    if not args.quiet:
        languages = known if args.all else args.language
        sys.stdout.write(format_analysis(analysis, languages=languages))
    logger.info("analysis: %s", outputs[0])


if __name__ == "__main__":
    run_main(main)
