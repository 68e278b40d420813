"""Stage 3: write lengths, labels and groups of every utterance, without touching the audio."""

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
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared set, result of stage 2")
    return parser.parse_args()


def main() -> None:
    """Parse, write the files, say what was written."""
    arguments = parse_arguments()
    from asr_dro.data.lengths import make_lengths

    if make_lengths(arguments.data):
        logger.info("%s: groups.txt, oov.tsv and each split's utt2num_samples, token_ids and group_ids", arguments.data)
    else:
        logger.info("%s: lengths are there already", arguments.data)


if __name__ == "__main__":
    run_main(main)
