"""Convert a fairseq checkpoint (.pt of wav2vec 2.0, XLSR-53, XLS-R, MMS) to a Hugging Face folder, or a folder back."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument(
        "source", type=Path, metavar="IN", help="checkpoint file, or folder with config.json and weights"
    )
    parser.add_argument("target", type=Path, metavar="OUT", help="folder to write, or checkpoint file (.pt)")
    parser.add_argument("--language", help="whose adapter and output layer to take from an MMS checkpoint, e.g. eng")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")
    return parser.parse_args()


def main() -> None:
    """Convert in the direction that IN asks for."""
    arguments = parse_arguments()
    from asr_dro.encoders.fairseq_convert import convert

    convert(arguments.source, arguments.target, overwrite=arguments.overwrite, language=arguments.language)


if __name__ == "__main__":
    run_main(main)
