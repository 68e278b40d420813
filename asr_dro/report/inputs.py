"""What the report is made from: found, fingerprinted, read. Whatever is optional may be absent."""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.analysis.state import ANALYSIS, find_scored_splits, main_split
from asr_dro.data import out_of_vocabulary
from asr_dro.data.lengths import read_together
from asr_dro.errors import UserError
from asr_dro.experiment import (
    DECODE_PREFIX,
    ENVIRONMENT,
    EPOCHS,
    GROUP_UPDATES,
    REPORT,
    SCORES,
    TRAIN_CONFIG,
    UTTERANCES,
)
from asr_dro.fileio import read_log
from asr_dro.fingerprint import content_fingerprint
from asr_dro.report.group_log import read_updates
from asr_dro.report.page import TEMPLATES
from asr_dro.scoring.files import iterate_tsv, read_scores, read_tsv

VERSION = "4"  # raise it when the same inputs and templates would give another report


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything lies.

    Attributes:
        data_dir: The prepared set.
        exp_dir: The experiment folder; the report goes there.
        decode: Name of the decoding.
        splits: Scored splits, dev and test first.
        other_scores: ``scores.json`` of the same split of the other runs in the folder of experiments.
    """

    data_dir: Path
    exp_dir: Path
    decode: str
    splits: tuple[str, ...]
    other_scores: tuple[Path, ...] = ()

    @property
    def report(self) -> Path:
        """The file to write."""
        return self.exp_dir / REPORT

    @property
    def main_split(self) -> str:
        """The split that the headline is about: test, if it was decoded."""
        return main_split(self.splits)

    def decoded(self, split: str, name: str) -> Path:
        """Path of a file of a decoded split."""
        return self.exp_dir / f"{DECODE_PREFIX}{self.decode}" / split / name

    def files(self) -> dict[str, Path]:
        """All inputs by role, whether they exist or not; the templates count as inputs."""
        named = {name: self.exp_dir / name for name in (TRAIN_CONFIG, ENVIRONMENT, EPOCHS, GROUP_UPDATES)}
        for name in ("quarantine.tsv", out_of_vocabulary.FILE_NAME):
            named[name] = self.data_dir / name
        for name in ("utt2dur", "utt2lang"):
            named[f"train {name}"] = self.data_dir / "train" / name
        for split in self.splits:
            named[f"scores {split}"] = self.decoded(split, SCORES)
        named["utterances"] = self.decoded(self.main_split, UTTERANCES)
        named["analysis"] = self.decoded(self.main_split, ANALYSIS)
        named.update({f"scores of {path}": path for path in self.other_scores})
        named.update({f"template {path.name}": path for path in sorted(TEMPLATES.iterdir())})
        return named


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that the report shows, as read.

    Attributes:
        sources: Where it comes from.
        scores: What ``scores.json`` holds, by split.
        utterances: Rows of ``utterances.tsv`` of the main split.
        train_s: Seconds of training audio by language; empty if unknown.
        config_text: ``train.yaml`` verbatim, empty if absent.
        config: The same, parsed.
        environment: ``environment.json``, empty if absent.
        epochs: Lines of ``train.jsonl``.
        updates: Lines of ``groups.jsonl``; of a long log, neighbours are merged.
        quarantine: Rows of ``quarantine.tsv`` by language, split and reason; ``None`` if absent.
        out_of_vocabulary: Rows of ``oov.tsv``, ``None`` if absent.
    """

    sources: Sources
    scores: Mapping[str, Mapping[str, Any]]
    utterances: list[dict[str, str]]
    train_s: Mapping[str, float] = field(default_factory=dict)
    config_text: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    quarantine: Counter[tuple[str, str, str]] | None = None
    out_of_vocabulary: list[dict[str, str]] | None = None

    @property
    def main_scores(self) -> Mapping[str, Any]:
        """Scores of the split that the headline is about."""
        return self.scores[self.sources.main_split]


def find_sources(data_dir: Path, exp_dir: Path, decode: str) -> Sources:
    """Find what there is to report on.

    Args:
        data_dir: The prepared set.
        exp_dir: The experiment folder.
        decode: Name of the decoding.

    Returns:
        The places of all inputs.

    Raises:
        UserError: If no split is scored.
    """
    decode_dir = exp_dir / f"{DECODE_PREFIX}{decode}"
    splits = find_scored_splits(decode_dir)
    other_scores = _find_other_scores(exp_dir, decode_dir / main_split(splits) / SCORES)
    return Sources(data_dir, exp_dir, decode, tuple(splits), other_scores)


def _find_other_scores(exp_dir: Path, own: Path) -> tuple[Path, ...]:
    """Find the scores of the same split in the experiment folders beside this one and in its other decodings."""
    siblings = exp_dir.resolve().parent
    found = siblings.glob(f"*/{DECODE_PREFIX}*/{glob.escape(own.parent.name)}/{SCORES}")
    return tuple(sorted(path for path in found if path != own.resolve() and os.access(path, os.R_OK)))


def fingerprint(sources: Sources) -> str:
    """Hash everything that the report is made from, and which of the other runs have a report to link to."""
    linked = {str(path.parents[2]) for path in sources.other_scores if (path.parents[2] / REPORT).exists()}
    return content_fingerprint(sources.files(), version=" ".join([VERSION, *sorted(linked)]))


def read_inputs(sources: Sources) -> Inputs:
    """Read all inputs.

    Args:
        sources: Their places.

    Returns:
        What they hold; absent optional files give empty values.

    Raises:
        UserError: If a file is there but cannot be understood; the message names it.
    """
    files = sources.files()
    scores = {}
    for split in sources.splits:
        read = read_scores(files[f"scores {split}"])
        if read is None:
            raise UserError(f"{files[f'scores {split}']}: not a score file; run stage 6 (score) again")
        scores[split] = read
    quarantine, unknown = files["quarantine.tsv"], files[out_of_vocabulary.FILE_NAME]
    config_text = _read_text(files[TRAIN_CONFIG])
    return Inputs(
        sources=sources,
        scores=scores,
        utterances=read_tsv(files["utterances"], ("utt_id", "language", "reference", "hypothesis", "cer")),
        train_s=_training_seconds(files["train utt2dur"], files["train utt2lang"]),
        config_text=config_text,
        config=_parse_yaml(config_text, files[TRAIN_CONFIG]),
        environment=_read_json(files[ENVIRONMENT]),
        epochs=read_log(files[EPOCHS]),
        updates=read_updates(files[GROUP_UPDATES]),
        quarantine=_count_quarantined(quarantine) if quarantine.exists() else None,
        out_of_vocabulary=read_tsv(unknown, out_of_vocabulary.COLUMNS) if unknown.exists() else None,
    )


def _count_quarantined(path: Path) -> Counter[tuple[str, str, str]]:
    """Count rows, which may be millions: only their language, split and reason are told apart."""
    rows = iterate_tsv(path, ("language", "split", "reason"))
    return Counter((row["language"], row["split"], row["reason"]) for row in rows)


def _training_seconds(utt2dur: Path, utt2lang: Path) -> dict[str, float]:
    """Add up the durations of each language."""
    if not (utt2dur.exists() and utt2lang.exists()):
        return {}
    seconds: dict[str, float] = {}
    for _, language, duration in read_together(utt2dur.parent, utt2lang.name, utt2dur.name):
        seconds[language] = seconds.get(language, 0.0) + float(duration)
    return seconds


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, empty if the file is absent."""
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error}); remove it or make it again") from error
    return value if isinstance(value, dict) else {}


def _parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Parse the configuration; what is not a mapping counts as empty, for it is shown verbatim anyway."""
    import yaml  # a report that is up to date does not need it

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({error})") from error
    return value if isinstance(value, dict) else {}
