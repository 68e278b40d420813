"""Stage 4: train the model of exp/<tag>/train.yaml; a run that was killed goes on from its last checkpoint."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared set, e.g. data/mini_mini6")
    parser.add_argument("--exp", type=Path, required=True, help="experiment folder that holds train.yaml")
    parser.add_argument("--ngpu", type=int, default=0, help="number of GPUs; 0 is the CPU")
    return parser.parse_args()


def main() -> None:
    """Run the stage."""
    arguments = parse_arguments()
    from asr_dro.training.run import train

    logger.info("model: %s", train(arguments.data, arguments.exp, ngpu=arguments.ngpu))


if __name__ == "__main__":
    run_main(main)
