"""Export a trained model: a Hugging Face folder, or an ESPnet model pack, with a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_dro.errors import run_main


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exp", type=Path, help="experiment folder of a finished training, exp/<tag>")
    parser.add_argument("out", type=Path, help="folder to write (hf), or file that ends in .zip (espnet)")
    parser.add_argument(
        "--format", required=True, choices=("hf", "espnet"), help="hf: a folder for transformers, of models whose "
        "encoder is a wav2vec 2.0 network; espnet: a zip for ESPnet's inference, of models of ESPnet's own classes"
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace what was exported to the same place")
    return parser.parse_args()


def main() -> None:
    """Export."""
    arguments = parse_arguments()
    from asr_dro.export.export import export

    export(arguments.exp, arguments.out, arguments.format, overwrite=arguments.overwrite)


if __name__ == "__main__":
    run_main(main)
