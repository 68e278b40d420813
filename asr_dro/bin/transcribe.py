"""Transcribe audio files with a trained model: text with its language's tag, JSON with times, or subtitles."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_dro.errors import run_main
from asr_dro.help_format import HelpFormatter


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("exp", type=Path, help="experiment folder of a finished training, exp/<tag>")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio files of any format of libsndfile, rate and length; "
        "folders, searched with all that is below them; or quoted patterns"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="segments, languages, tokens with times and confidences")
    parser.add_argument("--srt", action="store_true", help="subtitles")
    parser.add_argument(
        "--out-dir", type=Path, help="folder for NAME.txt, and NAME.json and NAME.srt if asked for; what is in it is "
        "not made again. Without it, results go to standard output"
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="make again what is in --out-dir already")
    parser.add_argument("--ngpu", type=int, default=0, help="0 computes on the CPU, 1 on a GPU")
    parser.add_argument("--seconds-per-batch", type=float, default=60.0, help="audio that the model hears at a time")
    parser.add_argument("--window-s", type=float, default=30.0, help="longer recordings are cut into such windows")
    parser.add_argument("--overlap-s", type=float, default=4.0, help="common part of windows where there is no pause")
    parser.add_argument("--pause-s", type=float, default=0.5, help="the shortest pause in which recordings are cut")
    return parser.parse_args()


def main() -> None:
    """Transcribe."""
    arguments = parse_arguments()
    from asr_dro.decoding.results import Request
    from asr_dro.decoding.segments import Cutting
    from asr_dro.decoding.transcribe import transcribe

    transcribe(
        Request(
            arguments.exp,
            arguments.files,
            as_json=arguments.json,
            as_srt=arguments.srt,
            out_dir=arguments.out_dir,
            cutting=Cutting(arguments.window_s, arguments.overlap_s, arguments.pause_s),
            ngpu=arguments.ngpu,
            seconds_per_batch=arguments.seconds_per_batch,
            overwrite=arguments.overwrite,
        )
    )


if __name__ == "__main__":
    run_main(main)
