"""Stage 6: hypotheses of each decoded split -> scores, made once per state of the inputs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.data.config import FILE_NAME as DATA_CONFIG
from asr_dro.data.data_dir import files_of, read_data_dir
from asr_dro.errors import UserError
from asr_dro.fileio import write_json
from asr_dro.fingerprint import content_fingerprint
from asr_dro.scoring.files import read_scores, write_scores_table, write_trn, write_utterances

logger = logging.getLogger(__name__)

VERSION = "4"  # raise it when the same inputs would give other outputs
OUTPUTS = ("hyp.trn", "ref.trn", "utterances.tsv", "scores.tsv", "scores.json")
FIRST_SPLITS = ("dev", "test")  # shown in this order, before any other


@dataclass(frozen=True, slots=True)
class SplitScores:
    """Scores of one split: its name, what ``scores.json`` holds, and whether they were made just now."""

    split: str
    scores: dict[str, Any]
    is_new: bool


def find_decoded_splits(decode_dir: Path) -> list[str]:
    """List the splits that were decoded: the sub-folders with a file ``text``.

    Args:
        decode_dir: ``exp/<tag>/decode_<decode>``.

    Returns:
        Names, dev and test first.

    Raises:
        UserError: If there are none.
    """
    splits = {path.parent.name for path in decode_dir.glob("*/text")}
    if not splits:
        raise UserError(f"{decode_dir}/<split>/text: no decoded split; run stage 5 (decode) first")
    return [split for split in FIRST_SPLITS if split in splits] + sorted(splits.difference(FIRST_SPLITS))


def score_all(data_dir: Path, decode_dir: Path) -> list[SplitScores]:
    """Score every decoded split; scores made from the same inputs are only read.

    Args:
        data_dir: The prepared set, with one folder per split.
        decode_dir: ``exp/<tag>/decode_<decode>``.

    Returns:
        One entry per split.

    Raises:
        UserError: If references and hypotheses do not belong together.
    """
    return [score_split(data_dir / split, decode_dir / split) for split in find_decoded_splits(decode_dir)]


def score_split(data_dir: Path, decode_dir: Path) -> SplitScores:
    """Score one split.

    Args:
        data_dir: The split's data directory.
        decode_dir: The folder with the hypotheses ``text``; the results go there, ``scores.json`` last.

    Returns:
        Its scores.
    """
    made_from = input_fingerprint(data_dir, decode_dir)
    scores = read_scores(decode_dir / "scores.json")
    if scores and scores.get("made_from") == made_from and all((decode_dir / name).exists() for name in OUTPUTS):
        return SplitScores(decode_dir.name, scores, is_new=False)
    scores = _write(data_dir, decode_dir, made_from)
    logger.info("scored %d utterances of %s -> %s", scores["n_utterances"], data_dir, decode_dir / "scores.json")
    return SplitScores(decode_dir.name, scores, is_new=True)


def input_fingerprint(data_dir: Path, decode_dir: Path) -> str:
    """Hash the files that the scores of a split are made from."""
    files = {f"reference {name}": data_dir / name for name in files_of(data_dir)}
    files |= {"configuration of the data": data_dir.parent / DATA_CONFIG, "hypotheses": decode_dir / "text"}
    return content_fingerprint(files, version=VERSION)


def _write(data_dir: Path, decode_dir: Path, made_from: str) -> dict[str, Any]:
    """Align, summarise and write all files of one split."""
    # Here, not above: a run that has nothing to do must not pay for the imports.
    from asr_dro.data.tokens import config_of_set
    from asr_dro.scoring.bootstrap import intervals_of_scores, warn_about_few_units
    from asr_dro.scoring.hypotheses import check_one_to_one, read_hypotheses
    from asr_dro.scoring.scores import score_utterances, summarise

    config = config_of_set(data_dir.parent)
    references = read_data_dir(data_dir)
    hypotheses = read_hypotheses(decode_dir / "text")
    check_one_to_one((source.utt_id for source in references), hypotheses, where=str(decode_dir / "text"))
    utterances = score_utterances(references, hypotheses, task=config.task)
    corpus = data_dir.parent.resolve().name
    summary = summarise(utterances, task=config.task, profile=config.text, corpus=corpus)
    intervals = intervals_of_scores(utterances, task=config.task, corpus=corpus)
    warn_about_few_units(intervals["unit"], str(decode_dir))
    scores = {**summary, "intervals": intervals, "made_from": made_from}
    if config.task != "lid":
        _warn_about_empty(scores)
    (decode_dir / "scores.json").unlink(missing_ok=True)  # the mark of a finished scoring goes first, comes last
    write_trn(decode_dir / "ref.trn", ((item.source.utt_id, item.reference) for item in utterances))
    write_trn(decode_dir / "hyp.trn", ((item.source.utt_id, item.hypothesis.text) for item in utterances))
    write_utterances(decode_dir / "utterances.tsv", utterances)
    write_scores_table(decode_dir / "scores.tsv", scores)
    write_json(decode_dir / "scores.json", scores)
    return scores


def _warn_about_empty(scores: dict[str, Any]) -> None:
    """Say which languages have no error rate and so no part in the mean."""
    if empty := [name for name, rate in scores["cer"]["by_language"].items() if rate is None]:
        logger.warning("all references are empty, no error rate, not in the mean: %s", " ".join(empty))
