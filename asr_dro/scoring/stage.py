"""Stage 6: hypotheses of each decoded split -> scores, made once per state of the inputs."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_dro.data.config import FILE_NAME as DATA_CONFIG
from asr_dro.data.data_dir import files_of, read_two_columns
from asr_dro.errors import UserError
from asr_dro.experiment import SCORES, UTTERANCES
from asr_dro.fileio import write_json
from asr_dro.fingerprint import content_fingerprint
from asr_dro.scoring.files import GIVEN, RECOGNISED, read_scores, write_scores_table, write_trn, write_utterances

if TYPE_CHECKING:
    from asr_dro.data.config import DataConfig
    from asr_dro.scoring.material import Material

logger = logging.getLogger(__name__)

VERSION = "8"  # raise it when the same inputs would give other outputs
OUTPUTS = ("hyp.trn", "ref.trn", UTTERANCES, "scores.tsv", SCORES)
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


def align_all(data_dir: Path, decode_dir: Path) -> list[Path]:
    """Write the alignment of every utterance of every decoded split to ``alignments.pra``.

    Not part of each scoring: it takes longer than all the rest, and the file is three times as long as its texts.

    Args:
        data_dir: The prepared set, with one folder per split.
        decode_dir: ``exp/<tag>/decode_<decode>``.

    Returns:
        The files.

    Raises:
        UserError: If references and hypotheses do not belong together, or the set has no text.
    """
    from asr_dro.scoring.alignments import FILE_NAME, write_alignments

    written = []
    for split in find_decoded_splits(decode_dir):
        material = _read(data_dir / split, decode_dir / split)[1]
        if not material.has_text:
            raise UserError(f"{data_dir}: its task is {material.task}: there is no text to align")
        written.append(decode_dir / split / FILE_NAME)
        write_alignments(written[-1], material.utterances)
    return written


def score_split(data_dir: Path, decode_dir: Path) -> SplitScores:
    """Score one split.

    Args:
        data_dir: The split's data directory.
        decode_dir: The folder with the hypotheses ``text``; the results go there, ``scores.json`` last.

    Returns:
        Its scores.
    """
    made_from = input_fingerprint(data_dir, decode_dir)
    scores = read_scores(decode_dir / SCORES)
    if scores and scores.get("made_from") == made_from and all((decode_dir / name).exists() for name in OUTPUTS):
        return SplitScores(decode_dir.name, scores, is_new=False)
    with _without_collector():
        scores = _write(data_dir, decode_dir, made_from)
    logger.info("scored %d utterances of %s -> %s", scores["n_utterances"], data_dir, decode_dir / SCORES)
    return SplitScores(decode_dir.name, scores, is_new=True)


def input_fingerprint(data_dir: Path, decode_dir: Path) -> str:
    """Hash the files that the scores of a split are made from."""
    files = {f"reference {name}": data_dir / name for name in files_of(data_dir)}
    files |= {"configuration of the data": data_dir.parent / DATA_CONFIG, "hypotheses": decode_dir / "text"}
    return content_fingerprint(files, version=f"{VERSION} languages {_languages(decode_dir)}")


def _languages(decode_dir: Path) -> str:
    """Tell where the tags of the hypotheses come from: ``given`` or ``recognised``."""
    from asr_dro.decoding.given import were_languages_given

    return GIVEN if were_languages_given(decode_dir) else RECOGNISED


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python from looking for cycles: there are none, and it takes a seventh of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(data_dir: Path, decode_dir: Path) -> tuple[DataConfig, Material]:
    """Read references and hypotheses of one split and count errors."""
    # Here, not above: a run that has nothing to do must not pay for the imports.
    from asr_dro.data.tokens import config_of_set
    from asr_dro.scoring.hypotheses import check_one_to_one, split_language_tag
    from asr_dro.scoring.material import Material
    from asr_dro.scoring.references import read_references
    from asr_dro.scoring.scores import score_utterances

    config = config_of_set(data_dir.parent)
    references = read_references(data_dir)
    lines = read_two_columns(decode_dir / "text")
    check_one_to_one((source.utt_id for source in references), lines, where=str(decode_dir / "text"))
    hypotheses = {utt: split_language_tag(line) for utt, line in lines.items()}
    utterances = score_utterances(references, hypotheses, task=config.task)
    # without text all is kept: there would be no score left
    languages = _languages(decode_dir) if config.task != "lid" else RECOGNISED
    return config, Material(utterances, lines, config.task, data_dir.parent.resolve().name, languages)


def _write(data_dir: Path, decode_dir: Path, made_from: str) -> dict[str, Any]:
    """Align, summarise and write all files of one split."""
    from asr_dro.scoring.bootstrap import intervals_of_scores, warn_about_few_units
    from asr_dro.scoring.profiles import rules_of
    from asr_dro.scoring.scores import summarise

    config, material = _read(data_dir, decode_dir)
    utterances, corpus = material.utterances, material.corpus
    summary = summarise(
        utterances,
        task=config.task,
        profile=config.text,
        corpus=corpus,
        languages=material.languages,
        cells=material.cells,
    )
    task = config.task if material.has_accuracy else "asr"
    profiles = rules_of(material)
    intervals = intervals_of_scores(utterances, task=task, corpus=corpus, profiles=profiles)
    warn_about_few_units(intervals["unit"], str(decode_dir))
    scores = {
        **summary,
        "intervals": intervals,
        "profiles": {name: rule.score() for name, rule in profiles.items()},
        "made_from": made_from,
    }
    if config.task != "lid":
        _warn_about_empty(scores)
    (decode_dir / SCORES).unlink(missing_ok=True)  # the mark of a finished scoring goes first, comes last
    write_trn(decode_dir / "ref.trn", ((item.source.utt_id, item.reference) for item in utterances))
    write_trn(decode_dir / "hyp.trn", ((item.source.utt_id, item.hypothesis.text) for item in utterances))
    write_utterances(decode_dir / UTTERANCES, utterances)
    write_scores_table(decode_dir / "scores.tsv", scores)
    write_json(decode_dir / SCORES, scores)
    return scores


def _warn_about_empty(scores: dict[str, Any]) -> None:
    """Say which languages have no error rate and so no part in the mean."""
    if empty := [name for name, rate in scores["cer"]["by_language"].items() if rate is None]:
        logger.warning("all references are empty, no error rate, not in the mean: %s", " ".join(empty))
