"""Rows of a corpus -> rows of the staging database: names, text, group, and what is wrong with a row by itself."""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asr_dro.corpora.corpus import Part, Quarantined, Row
from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import SPLITS
from asr_dro.data.languages import languages
from asr_dro.data.staging import StagedRow, Staging
from asr_dro.data.text import normalize

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

_HASH_LENGTH = 16
_LONGEST_NAME = 200  # bytes; file systems take 255, and names made from it are longer
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def speaker_of(utt_id: str, language: str) -> str:
    """Return the speaker that the id of an utterance begins with."""
    return utt_id[: len(language) + 1 + _HASH_LENGTH]


def _speaker(row: Row, part: Part) -> str:
    """Return ``<language>-<hash>``; an unknown speaker has no other utterance."""
    known_by = row.speaker or f"{part.name}\t{row.clip}"  # no speaker's name has a tab
    return f"{row.language}-{hashlib.sha256(known_by.encode()).hexdigest()[:_HASH_LENGTH]}"


@functools.lru_cache(maxsize=10_000)
def _one_word(value: str) -> str:
    return _CONTROL.sub("_", "_".join(value.split())) or "unknown"


def _group(row: Row, config: DataConfig) -> str:
    columns = iter(row.columns)
    return "+".join(row.language if name == "language" else _one_word(next(columns)) for name in config.group)


def _problem(row: Row, text: str) -> str:
    """Return why a row cannot be used whatever its audio; empty if it can."""
    if _CONTROL.search(row.clip):
        return "name with control characters"
    if not row.name or len(row.name.encode()) > _LONGEST_NAME:
        return f"name longer than {_LONGEST_NAME} bytes" if row.name else "no name"
    return "" if text and not text.isspace() else "sentence is empty after normalisation"


def _staged(row: Row, where: tuple[int, int], part: Part, config: DataConfig) -> StagedRow:
    text, group, utt_id, corpus = None, None, None, ""
    try:
        text = normalize(row.sentence, row.language, config.text)
        group = _group(row, config)
        corpus = _one_word(row.corpus) if row.corpus else ""
        utt_id = f"{_speaker(row, part)}-{row.name}"
        problem = _problem(row, text)
        f"{text}{group}{corpus}".encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can bring
        problem = "not Unicode text"
    if problem:
        return StagedRow(*where, row.language, _unicode(row.clip), None, None, None, None, None, problem)
    known_s = row.duration_s
    duration_s = known_s if known_s is not None and math.isfinite(known_s) and known_s > 0 else None
    return StagedRow(*where, row.language, row.clip, utt_id, text, group, corpus, duration_s, None)


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _staged_quarantined(item: Quarantined, where: tuple[int, int], part: Part) -> StagedRow:
    first_name = part.name.split("/", maxsplit=1)[0]
    language = item.language or (first_name if first_name in languages() else "unknown")
    return StagedRow(*where, language, _unicode(item.clip), None, None, None, None, None, _unicode(item.reason))


def read_rows(
    parts: Sequence[Part], config: DataConfig, staging: Staging, bar: tqdm[Any]
) -> Mapping[tuple[int, int], int]:
    """Read all rows of a corpus into the database, and log the parts' remarks.

    Args:
        parts: Of the corpus.
        config: How they are read.
        staging: The database.
        bar: Progress over rows.

    Returns:
        Number of rows by positions of part and split; a default of 0.
    """
    counts: Counter[tuple[int, int]] = Counter()

    def staged_rows() -> Iterator[StagedRow]:
        for index, part in enumerate(parts):
            for split, name in enumerate(SPLITS):
                where = (index, split)
                for item in part.rows(name):
                    counts[where] += 1
                    bar.update()
                    if isinstance(item, Row):
                        yield _staged(item, where, part, config)
                    else:
                        yield _staged_quarantined(item, where, part)
            for remark in part.remarks():
                logger.info("%s", remark)

    staging.add(staged_rows())
    return counts
