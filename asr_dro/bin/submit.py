"""Run a grid of choices: as Slurm arrays, or as processes on this machine. submit.sh calls it."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from asr_dro.errors import run_main

logger = logging.getLogger(__name__)

EXAMPLES = """examples:
  ./submit.sh --grid mini_objectives --cluster local     every job of the grid on this machine, two at a time
  ./submit.sh --grid mini_objectives --cluster slurm --dry-run
  ./submit.sh --grid mini_objectives --status            what each job is doing
  ./submit.sh --grid mini_objectives --retry-failed      those that failed or were killed, again

A grid is conf/grids/<name>.yaml, a site conf/cluster/<name>.yaml. All options of run.sh but --stage, --stop-stage and
--exp-tag hold for every job. Lists of jobs, logs and the table of scores lie in <exp-dir>/grids/<name>.
"""


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line: our options, and those of run.sh as run.sh declares them."""
    from asr_dro.cluster.options import NOT_OF_A_GRID, run_options

    parser = argparse.ArgumentParser(
        prog="submit.sh",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--grid", required=True, help="axes of choices: conf/grids/<name>.yaml")
    parser.add_argument("--cluster", help="where it runs: conf/cluster/<name>.yaml (default: that of the first time)")
    parser.add_argument(
        "--num-nodes", type=int, help="nodes of each training instead of the site's; --ngpu counts on each"
    )
    parser.add_argument("--split-data", action="store_true", help="stage 1 as an array too: a job for each language")
    parser.add_argument("--name", help="name of this submission (default: the grid's)")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--dry-run", action="store_true", help="write the lists and scripts, print what would be done")
    action.add_argument("--status", action="store_true", help="show what each job is doing, and leave")
    action.add_argument(
        "--retry-failed", action="store_true", help="submit those that failed, died or were interrupted"
    )
    action.add_argument("--cancel", action="store_true", help="cancel all that waits or runs, and leave")
    runs = parser.add_argument_group("options of run.sh, for every job")
    for option in run_options().values():
        if option.name not in NOT_OF_A_GRID:
            default = f" (default: {option.default})" if option.default else ""
            typed = {option.flag, "--" + option.name}
            runs.add_argument(
                *sorted(typed), dest=option.name, metavar="X", help=f"{option.help}{default}".replace("%", "%%")
            )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Submit, or show, retry or cancel what was submitted.

    Args:
        argv: Command line without the program's name; ``None`` takes the real one.
    """
    args = get_parser().parse_args(argv)
    from asr_dro.cluster.campaign import Campaign
    from asr_dro.cluster.options import NOT_OF_A_GRID, run_options

    given = {
        name: value
        for name in run_options()
        if name not in NOT_OF_A_GRID and (value := getattr(args, name)) is not None
    }
    campaign = Campaign(
        args.grid,
        args.cluster,
        args.name or Path(args.grid).stem,
        given,
        num_nodes=args.num_nodes,
        split_data=args.split_data,
    )
    if args.status:
        sys.stdout.write(campaign.status())
    elif args.cancel:
        campaign.cancel()
    elif args.dry_run:
        sys.stdout.write(campaign.dry_run())
    else:
        raise SystemExit(campaign.submit(retry=args.retry_failed))


if __name__ == "__main__":
    run_main(main)
