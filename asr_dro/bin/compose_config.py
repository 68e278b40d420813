"""Compose conf/model, conf/objective and --train-args into exp/<tag>/train.yaml, checked before any work."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.errors import run_main

logger = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", required=True, help="network and optimiser: conf/model/<name>.yaml")
    parser.add_argument("--objective", required=True, help="loss and batching: conf/objective/<name>.yaml")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights, batches and dropout")
    parser.add_argument("--train-args", default="", help='further options, e.g. "--max_epoch 2 --optim_conf lr=1e-3"')
    parser.add_argument("--out", type=Path, help="file to write; without it the configuration is only checked")
    return parser.parse_args()


def main() -> None:
    """Run the stage."""
    arguments = parse_arguments()
    from asr_dro.config import compose_run, write_run_config

    config = compose_run(arguments.model, arguments.objective, seed=arguments.seed, train_args=arguments.train_args)
    if arguments.out is not None:
        write_run_config(arguments.out, config)


if __name__ == "__main__":
    run_main(main)
