"""Collect the scores of all experiments into one table, or compare two of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_dro.errors import run_main

EXAMPLES = """\
examples:
  %(prog)s                                   the experiments below exp
  %(prog)s exp /elsewhere/exp --pool-seeds   of two machines; mean and SD over seeds
  %(prog)s --best-on-dev --latex table.tex --html scores.html
  %(prog)s --compare xlsr_ctc_mini6_s1 xlsr_ctc_dro_mini6_s1
  %(prog)s --compare xlsr_ctc_mini6 xlsr_ctc_dro_mini6    all seeds of both
"""


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.collect",
        description="One table of all experiments below some folders: error rates with intervals, the worst language, "
        "hours of audio and of computing. Runs that failed or are not done are listed below. Or: --compare A B.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folders", nargs="*", type=Path, metavar="FOLDER", help="searched at any depth (default: exp)")
    add("--split", action="append", metavar="NAME", help="split to report; may be repeated (default: test)")
    add("--decode", metavar="NAME", help="report this decoding only (default: all)")
    add("--jobs", type=Path, metavar="FILE", help="TSV with a column tag: these experiments only, begun or not")
    add(
        "--by",
        default="worst_cer",
        choices=("worst_cer", "mean_cer", "mean_wer", "lid_accuracy"),
        help="sort by this; --best-on-dev chooses by it (default: worst_cer)",
    )
    add("--pool-seeds", action="store_true", help="a row per configuration: mean and standard deviation over seeds")
    add("--best-on-dev", action="store_true", help="of runs that differ in hyper-parameters, those best on dev")
    add(
        "--published", action="append", default=[], metavar="NAME", help="ml_superb, challenge2025, ctc_dro: below ours"
    )
    add(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="differences with intervals of two experiments (tags or folders), or of two groups of seeds: tags without "
        "their seed, or several with commas between them",
    )
    add("--metric", default="cer", choices=("cer", "wer", "lid"), help="what --compare compares (default: cer)")
    add("--wide", action="store_true", help="all columns, lines of any length")
    for name in ("tsv", "markdown", "latex", "json", "html"):
        add(f"--{name}", metavar="FILE", help=f"write {name} to FILE; - prints it instead of the table")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Collect and show.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.

    Raises:
        UserError: If there is nothing to collect, or what is named does not exist.
    """
    arguments = get_parser().parse_args(argv)
    from asr_dro.collecting.collect import FORMATS, Options, write_collection, write_comparison  # --help must not wait

    files = {name: value for name in FORMATS if (value := getattr(arguments, name)) is not None}
    options = Options(
        roots=arguments.folders or [Path("exp")],
        splits=arguments.split or ["test"],
        decode=arguments.decode,
        jobs=arguments.jobs,
        metric=arguments.by,
        pool_seeds=arguments.pool_seeds,
        best_on_dev=arguments.best_on_dev,
        published=arguments.published,
        wide=arguments.wide,
        files=files,
    )
    if arguments.compare:
        write_comparison(options, *arguments.compare, metric=arguments.metric)
    else:
        write_collection(options)


if __name__ == "__main__":
    run_main(main)
