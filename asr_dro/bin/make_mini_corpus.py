"""Make the mini corpus: a small Common Voice release spoken by eSpeak NG."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from asr_dro.data.languages import parse_lang_set
from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter

logger = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--lang-set", required=True, help="name of a file in conf/lang_sets or a comma list of codes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the release")
    parser.add_argument("--train", type=int, default=300, help="training clips per language")
    parser.add_argument("--dev", type=int, default=40, help="development clips per language")
    parser.add_argument("--test", type=int, default=40, help="test clips per language")
    parser.add_argument("--profile", choices=("equal", "unequal"), default="equal",
                        help="unequal: languages differ in amount, noise and length on purpose")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal bytes")
    parser.add_argument("--nj", type=int, default=2, help="number of processes")
    return parser.parse_args()


def main() -> None:
    """Parse, make the corpus, say what was written."""
    arguments = parse_arguments()
    codes = parse_lang_set(arguments.lang_set)
    from asr_dro.corpora.mini import LanguagePlan, make_mini_corpus, unequal_plans  # 0.05 s

    plan = LanguagePlan(train=arguments.train, dev=arguments.dev, test=arguments.test)
    plans = unequal_plans(codes, plan) if arguments.profile == "unequal" else None
    made = make_mini_corpus(arguments.out, codes, seed=arguments.seed, nj=arguments.nj, plan=plan, plans=plans)
    if made:
        logger.info("%s: made %s", arguments.out, " ".join(made))
    else:
        logger.info("%s: all %d languages are there already", arguments.out, len(codes))


if __name__ == "__main__":
    run_main(main)
