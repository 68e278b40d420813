"""Stage 1: turn a release into 16 kHz audio and data directories."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.data.languages import lang_set_label, parse_lang_set
from asr_dro.errors import run_main

logger = logging.getLogger(__name__)

CORPORA = ("common_voice", "mini")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--corpus", choices=CORPORA, required=True, help="kind of release; names the audio folder")
    parser.add_argument("--source", type=Path, required=True, help="folder of the release")
    parser.add_argument("--lang-set", required=True, help="name of a file in conf/lang_sets or a comma list of codes")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder for all prepared data")
    parser.add_argument("--name", help="name of the prepared set; <corpus>_<lang set> if not given")
    parser.add_argument("--nj", type=int, default=2, help="number of processes")
    return parser.parse_args()


def main() -> None:
    """Parse, prepare the set, say what was written."""
    arguments = parse_arguments()
    from asr_dro.data.prepare import Preparation, prepare  # process pools

    preparation = Preparation(
        corpus=arguments.corpus,
        source=arguments.source,
        codes=parse_lang_set(arguments.lang_set),
        data_dir=arguments.data_dir,
        name=arguments.name or f"{arguments.corpus}_{lang_set_label(arguments.lang_set)}",
        nj=arguments.nj,
    )
    if prepare(preparation):
        logger.info("%s: train, dev, test and quarantine.tsv are written", preparation.prepared)
    else:
        logger.info("%s: prepared already", preparation.prepared)


if __name__ == "__main__":
    run_main(main)
