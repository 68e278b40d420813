"""ML-SUPERB's labels: the few-shot utterances, the repairs of labels, the names of the corpora inside it."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.errors import UserError

# Fourteen folders of the public releases 7 and 8; a release may hold further ones.
KNOWN_CORPORA = (
    "ALFFA",
    "LAD",
    "M-AILABS",
    "NST",
    "commonvoice",
    "fleurs",
    "googlei18n_asr",
    "googlei18n_tts",
    "mexico-el",
    "mls",
    "nchlt",
    "swc",
    "voxforge",
    "voxpopuli",
)
UNKNOWN_CORPUS = "unknown"
_UTTERANCE = re.compile(r"([A-Za-z0-9][\w-]*?)_(?:org_)?[a-z]{3}_", re.ASCII)
_DIALECT_UTTERANCE = re.compile(r"ms_speech_(tam|tel|guj)_")


@dataclass(frozen=True)
class Repair:
    """A label that names the wrong language, or a language that has two labels.

    Args:
        label: The benchmark's label, which is also the repair's name.
        target: The label in its place.
        reason: Why.
        source: Who says so.
    """

    label: str
    target: str
    reason: str
    source: str


def _table(name: str) -> list[list[str]]:
    with open(Path(__file__).with_name(name), encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


@functools.cache
def repairs() -> dict[str, Repair]:
    """Return every repair by its name, from ``ml_superb_repairs.tsv``."""
    return {row[0]: Repair(*row) for row in _table("ml_superb_repairs.tsv")}


@functools.cache
def few_shot_utterances() -> dict[str, frozenset[str]]:
    """Return the five training utterances of each few-shot label, from ``ml_superb_fewshot.tsv``.

    Source: ESPnet, recipe ml_superb, ``data_prep.py``.
    """
    utterances: dict[str, set[str]] = {}
    for label, utterance in _table("ml_superb_fewshot.tsv"):
        utterances.setdefault(label, set()).add(utterance)
    return {label: frozenset(names) for label, names in utterances.items()}


def chosen_repairs(names: Sequence[str]) -> Mapping[str, str]:
    """Return the new label by the old one.

    Args:
        names: ``DataConfig.label_repairs``: names of repairs, or ``all``.

    Raises:
        UserError: If a name is unknown.
    """
    unknown = [name for name in names if name != "all" and name not in repairs()]
    if unknown:
        allowed = "\n".join(f"  {name}: to {repair.target}; {repair.reason}" for name, repair in repairs().items())
        raise UserError(f"label_repairs: {', '.join(unknown)} is unknown; allowed are all and:\n{allowed}")
    return {name: repair.target for name, repair in repairs().items() if name in names or "all" in names}


def corpus_of(utterance: str, label: str) -> str:
    """Return the corpus that an utterance's id names, such as ``commonvoice`` for ``cv_lit_000026``.

    Args:
        utterance: Id of the form ``<corpus>_<label>_<number>``.
        label: The utterance's label; the id may hold another one, as ``cv_jpn_000106`` does for ``org_jpn``.

    Returns:
        The folder's name where it is known, else the id's own prefix; ``unknown`` for an id of another form.
    """
    match = re.match(rf"([A-Za-z0-9][\w-]*?)_{re.escape(label)}_", utterance, re.ASCII) or _UTTERANCE.match(utterance)
    if match is None:
        return UNKNOWN_CORPUS
    return _folder_by_prefix().get(_letters(match[1]), match[1])


@functools.cache
def _folder_by_prefix() -> dict[str, str]:
    return {"cv": "commonvoice"} | {_letters(corpus): corpus for corpus in KNOWN_CORPORA}


def _letters(name: str) -> str:
    """Return what all spellings of a corpus have in common: ``googlei18n_tts`` is ``googlei18n-tts`` in ids."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def label_of(utterance: str, label: str) -> str:
    """Return an utterance's label, mended where the parquet packaging is known to be wrong.

    The language varieties ``ms_speech_*`` all carry ``hin``; their id names Tamil, Telugu or Gujarati.
    Source: ESPnet, recipe ml_superb2, ``download.py``.
    """
    match = _DIALECT_UTTERANCE.match(utterance)
    return match[1] if match else label
