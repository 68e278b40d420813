"""Compose conf/model, conf/lang, conf/objective and --train-args into exp/<tag>/train.yaml, checked before any work."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.errors import UserError, run_main
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--model", required=True, help="network and optimiser: conf/model/<name>.yaml")
    parser.add_argument("--objective", required=True, help="loss and batching: conf/objective/<name>.yaml")
    parser.add_argument(
        "--lang-set", help="languages of the run; a single one takes conf/lang/<label>.yaml if there is"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of weights, batches and dropout")
    parser.add_argument("--train-args", default="", help='further options, e.g. "--max_epoch 2 --optim_conf lr=1e-3"')
    parser.add_argument("--data-conf", type=Path, help="conf/data/<name>.yaml of the run, which is only checked")
    parser.add_argument("--out", type=Path, help="file to write; without it the configuration is only checked")
    return parser.parse_args()


def main() -> None:
    """Check, and write the file if one is named.

    Raises:
        UserError: With the mistakes of all parts at once.
    """
    arguments = parse_arguments()
    from asr_dro.config import compose_run, run_config_files, write_run_config
    from asr_dro.data.config import check_tokens, read_data_config
    from asr_dro.data.languages import parse_lang_set

    problems, languages, data = [], [], None
    try:
        if arguments.data_conf is not None:
            data = read_data_config(arguments.data_conf)
    except UserError as error:
        problems.append(str(error))
    try:
        languages = parse_lang_set(arguments.lang_set) if arguments.lang_set is not None else []
    except UserError as error:
        problems.append(str(error))
    try:
        files = run_config_files(arguments.model, arguments.objective, languages)
        config = compose_run(
            arguments.model,
            arguments.objective,
            seed=arguments.seed,
            train_args=arguments.train_args,
            languages=languages,
        )
        if data is not None:
            check_tokens(data, decoder=config.get("decoder"))
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    if arguments.out is not None:
        write_run_config(arguments.out, config, files)


if __name__ == "__main__":
    run_main(main)
