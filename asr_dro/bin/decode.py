"""Stage 5: decode dev and test with a trained model into exp/<tag>/decode_<decode>/<split>/text."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m asr_dro.bin.decode", description=__doc__, formatter_class=HelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared set, e.g. data/mini_mini6")
    parser.add_argument("--exp", type=Path, required=True, help="experiment folder of a finished training")
    parser.add_argument("--decode", type=Path, required=True, help="decoding configuration, conf/decode/<name>.yaml")
    parser.add_argument(
        "--nj", type=int, default=1, help="processes: on the CPU they decode, for a GPU or a shard they read audio"
    )
    parser.add_argument("--ngpu", type=int, default=0, help="0 decodes on the CPU, otherwise on so many GPUs")
    parser.add_argument(
        "--shard", metavar="K/N", help="decode the K-th of N equal shares, K from 1 on; several machines may do so "
        "in one folder, and who finds all of them decoded puts them together"
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="decode again what is decoded already")
    return parser.parse_args()


def main() -> None:
    """Run the stage."""
    arguments = parse_arguments()
    from asr_dro.decoding.decode import decode_sets
    from asr_dro.decoding.shards import parse_shard

    decode_sets(
        arguments.data,
        arguments.exp,
        arguments.decode,
        nj=arguments.nj,
        ngpu=arguments.ngpu,
        overwrite=arguments.overwrite,
        shard=None if arguments.shard is None else parse_shard(arguments.shard),
    )


if __name__ == "__main__":
    run_main(main)
