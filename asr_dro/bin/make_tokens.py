"""Stage 2: make the vocabulary from the training transcripts."""

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
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared set, result of stage 1")
    return parser.parse_args()


def main() -> None:
    """Parse, make the vocabulary, say what was written."""
    arguments = parse_arguments()
    from asr_dro.data.lengths import make_tokens

    made = make_tokens(arguments.data)
    tokens = arguments.data / "tokens.txt"
    if made:
        logger.info("%s: %d tokens", tokens, tokens.read_text(encoding="utf-8").count("\n"))
    else:
        logger.info("%s: made already", tokens)


if __name__ == "__main__":
    run_main(main)
