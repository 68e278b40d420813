"""Which split is analysed, and whether it was already, from the same inputs; no numpy, for runs with nothing to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asr_dro.data import out_of_vocabulary
from asr_dro.data.data_dir import CORPUS_FILE, FILES
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, DETAILS, EPOCHS, GROUP_UPDATES, SCORES, SELECTION, UTTERANCES
from asr_dro.fingerprint import content_fingerprint
from asr_dro.scoring.stage import find_decoded_splits

VERSION = "1"  # raise it when the same inputs would give another analysis
MARKER = ".analysis.json"  # beside the files of an analysis: what they were made from, and their contents
ANALYSIS, SUSPECTS = "analysis.json", "suspects.tsv"
OUTPUTS = (ANALYSIS, SUSPECTS)
LOSSES = "alignment_losses.json"  # of --align


def find_split(decode_dir: Path, split: str | None) -> str:
    """Choose the split to analyse: test if it is scored, unless one is named.

    Args:
        decode_dir: ``exp/<tag>/decode_<decode>``.
        split: What the user named.

    Raises:
        UserError: If nothing is scored, or not that split.
    """
    scored = find_scored_splits(decode_dir)
    if split is not None and split not in scored:
        raise UserError(f"--split {split}: not scored in {decode_dir}; scored: {', '.join(scored)}")
    return split or main_split(scored)


def find_scored_splits(decode_dir: Path) -> list[str]:
    """List the scored splits of a decoding, dev and test first.

    Raises:
        UserError: If there is none.
    """
    scored = [name for name in find_decoded_splits(decode_dir) if (decode_dir / name / SCORES).exists()]
    if not scored:
        raise UserError(f"{decode_dir}/<split>/{SCORES}: no scored split; run stage 6 (score) first")
    return scored


def main_split(scored: Sequence[str]) -> str:
    """Return the split that analysis and report are about: test, if it is scored."""
    return "test" if "test" in scored else scored[0]


def fingerprint(data_set: Path, experiment: Path, decode_dir: Path, split: str) -> str:
    """Hash every file that an analysis is made from, and those that it has written: damaged ones are made again."""
    files = {name: experiment / name for name in (EPOCHS, GROUP_UPDATES, f"{CHECKPOINTS}/{SELECTION}")}
    files[out_of_vocabulary.FILE_NAME] = data_set / out_of_vocabulary.FILE_NAME
    for part in ("train", split):
        files |= {f"{part} {name}": data_set / part / name for name in (*FILES, CORPUS_FILE)}
    for name in find_decoded_splits(decode_dir):
        files[f"scores {name}"] = decode_dir / name / SCORES
    for name in (UTTERANCES, DETAILS, LOSSES, *OUTPUTS):
        files[name] = decode_dir / split / name
    return content_fingerprint(files, version=VERSION)
