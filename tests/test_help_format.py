from __future__ import annotations

import argparse

from asr_dro.help_format import HelpFormatter


def test_defaults_that_say_something_are_shown() -> None:
    parser = argparse.ArgumentParser(prog="x", formatter_class=HelpFormatter)
    parser.add_argument("--out", help="a file")
    parser.add_argument("--all", action="store_true", help="a switch")
    parser.add_argument("--names", nargs="*", default=(), help="several")
    parser.add_argument("--data", required=True, help="a folder")
    parser.add_argument("--nj", type=int, default=0, help="processes")
    assert parser.format_help().count("default") == 1
    assert "processes (default: 0)" in parser.format_help()
