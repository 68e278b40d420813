"""The golden utterances in ``data/``, and what public scorers say of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.hypotheses import split_language_tag
from asr_dro.scoring.material import Material
from asr_dro.scoring.scores import score_utterances

DATA = Path(__file__).with_name("data")

# utterance, language, reference, hypothesis line
Row = tuple[str, str, str, str]


def golden_rows() -> list[Row]:
    lines = (DATA / "golden.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = []
    for line in lines:
        utterance, language, reference, hypothesis = line.split("\t")
        rows.append((utterance, language, reference, hypothesis))
    return rows


def golden_scores() -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((DATA / "golden.json").read_text(encoding="utf-8"))
    return scores


def material_of(rows: Iterable[Row], task: str = "lid+asr") -> Material:
    """Score rows; the corpus is what the utterance's id begins with."""
    listed = list(rows)
    lines = {utt: line for utt, _, _, line in listed}
    references = [
        Utterance(utt, "x.flac", text, utt, language, language, 1.0, utt.split("_")[0])
        for utt, language, text, _ in listed
    ]
    hypotheses = {utt: split_language_tag(line) for utt, line in lines.items()}
    return Material(score_utterances(references, hypotheses, task=task), lines, task)
