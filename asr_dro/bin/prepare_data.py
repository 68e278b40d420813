"""Stage 1: turn a corpus into audio and data directories for training."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.corpora.registry import CORPORA
from asr_dro.data.languages import lang_set_corpora, lang_set_label, parse_lang_set
from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)

_DEFAULT = "default"


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--corpus", choices=CORPORA, required=True, help="kind of corpus; names the audio folder")
    parser.add_argument("--source", type=Path, required=True, help="folder or file of the corpus")
    parser.add_argument("--lang-set", required=True, help="name of a file in conf/lang_sets or a comma list of codes")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder for all prepared data")
    parser.add_argument(
        "--name", help="name of the prepared set; <corpus>_<lang set>[_<duration>][_<data conf>] if not given"
    )
    parser.add_argument("--nj", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--data-conf",
        type=Path,
        help="how the corpus is read: a file such as conf/data/default.yaml, which is the default",
    )
    parser.add_argument(
        "--duration", default="all", help="training audio per language: all, or as much as 10min, 1h, 9h, 90s"
    )
    return parser.parse_args()


def _set_name(arguments: argparse.Namespace) -> str:
    parts = [arguments.corpus, lang_set_label(arguments.lang_set)]
    if arguments.duration != "all":
        parts.append(arguments.duration)
    if arguments.data_conf is not None and arguments.data_conf.stem != _DEFAULT:
        parts.append(arguments.data_conf.stem)
    return "_".join(parts)


def main() -> None:
    """Parse, prepare the set, say what was written."""
    arguments = parse_arguments()
    from asr_dro.config import find_config  # OmegaConf
    from asr_dro.data.config import read_data_config
    from asr_dro.data.prepare import Preparation, prepare  # process pools

    preparation = Preparation(
        corpus=arguments.corpus,
        source=arguments.source,
        codes=parse_lang_set(arguments.lang_set),
        data_dir=arguments.data_dir,
        name=arguments.name or _set_name(arguments),
        nj=arguments.nj,
        config=read_data_config(arguments.data_conf or find_config("data", _DEFAULT)),
        duration=arguments.duration,
        only=lang_set_corpora(arguments.lang_set),
    )
    if prepare(preparation):
        logger.info("%s: train, dev, test and quarantine.tsv are written", preparation.prepared)
    else:
        logger.info("%s: prepared already", preparation.prepared)


if __name__ == "__main__":
    run_main(main)
