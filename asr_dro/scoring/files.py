"""Files of a scored split: ``hyp.trn ref.trn utterances.tsv scores.tsv scores.json``."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_dro.data.data_dir import format_duration
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_open

if TYPE_CHECKING:
    from asr_dro.scoring.error_rate import ErrorCounts
    from asr_dro.scoring.scores import ScoredUtterance

UTTERANCE_COLUMNS = (
    *("utt_id", "language", "corpus", "group", "speaker", "duration_s", "wav"),
    *("reference", "hypothesis", "hypothesis_language"),
    *("ref_chars", "char_sub", "char_del", "char_ins", "ref_words", "word_sub", "word_del", "word_ins", "cer", "wer"),
)
SCORE_COLUMNS = (
    *("language", "cer", "wer", "lid_accuracy", "n_utterances"),
    *("ref_chars", "char_sub", "char_del", "char_ins", "ref_words", "word_sub", "word_del", "word_ins"),
)
SUMMARY_ROWS = ("mean", "sd", "worst", "micro", "best", "worst15")
_METRICS = ("cer", "wer", "lid_accuracy")
RECOGNISED, GIVEN = "recognised", "given"  # where the language tags of hypotheses come from


def write_trn(path: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Write sclite's transcript format, ``text (utt_id)`` per line.

    Args:
        path: The file to write.
        texts: Pairs of utterance id and text without language tag.
    """
    with atomic_open(path) as file:
        file.writelines(f"{text} ({utt})\n" if text else f"({utt})\n" for utt, text in texts)


def write_utterances(path: Path, utterances: Sequence[ScoredUtterance]) -> None:
    """Write one row per utterance; rates are fractions, empty where the reference is empty."""
    with atomic_open(path) as file:
        file.write("\t".join(UTTERANCE_COLUMNS) + "\n")
        file.writelines(map(_utterance_line, utterances))


def write_scores_table(path: Path, scores: dict[str, Any]) -> None:
    """Write one row per language, then one for each of ``SUMMARY_ROWS``; rates are fractions.

    Where there are intervals, columns with their ends come last: ``cer_low cer_high wer_low ...``.
    """
    rows = [_language_row(scores, language) for language in scores["cer"]["by_language"]]
    for name in SUMMARY_ROWS:
        rates = [format_number(scores[metric].get(name)) for metric in _METRICS]
        n_utterances = str(scores["n_utterances"]) if name == "micro" else ""
        rows.append([name, *rates, n_utterances] + [""] * (len(SCORE_COLUMNS) - 5))
    columns = [*SCORE_COLUMNS]
    intervals = scores.get("intervals") or {}
    for metric in [metric for metric in _METRICS if metric in intervals]:
        columns += [f"{metric}_low", f"{metric}_high"]
        ends = intervals[metric]
        of_rows = [*map(ends["by_language"].get, scores["cer"]["by_language"]), *map(ends.get, SUMMARY_ROWS)]
        rows = [[*row, *map(format_number, pair or (None, None))] for row, pair in zip(rows, of_rows, strict=True)]
    write_tsv(path, columns, rows)


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write an unquoted TSV file; no value may hold a tab or a line break."""
    with atomic_open(path) as file:
        file.write("\t".join(columns) + "\n")
        file.writelines("\t".join(row) + "\n" for row in rows)


def read_tsv(path: Path, required: Iterable[str] = ()) -> list[dict[str, str]]:
    """Read an unquoted TSV file with a header line, as :func:`iterate_tsv` does, into a list."""
    return list(iterate_tsv(path, required))


def iterate_tsv(path: Path, required: Iterable[str] = ()) -> Iterator[dict[str, str]]:
    """Read an unquoted TSV file with a header line, row by row.

    Args:
        path: The file, UTF-8.
        required: Columns that must be there.

    Yields:
        One dict per row, by column name.

    Raises:
        UserError: If a required column is missing or a row has more or fewer values than the header.
    """
    with open(path, encoding="utf-8", newline="\n") as file:
        columns = file.readline().removesuffix("\n").split("\t")
        if missing := [name for name in required if name not in columns]:
            raise UserError(f"{path}: no column {', '.join(missing)}; it has {', '.join(columns)}")
        for number, line in enumerate(file, start=2):
            if line == "\n":
                continue
            values = line.removesuffix("\n").split("\t")
            if len(values) != len(columns):
                raise UserError(f"{path}:{number}: {len(values)} values for {len(columns)} columns")
            yield dict(zip(columns, values, strict=True))


def read_scores(path: Path) -> dict[str, Any] | None:
    """Read ``scores.json``; ``None`` if it is absent or not whole."""
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return scores if isinstance(scores, dict) else None


def format_number(value: float | int | None) -> str:
    """Write a number so that reading it gives the same number back; nothing for ``None`` and ``nan``."""
    return "" if value is None or math.isnan(value) else repr(value)


def _utterance_line(utterance: ScoredUtterance) -> str:
    # in one piece: of 143,000 rows made of lists, the file took a tenth of the time of scoring
    source, hypothesis = utterance.source, utterance.hypothesis
    characters, words = utterance.characters, utterance.words
    return (
        f"{source.utt_id}\t{source.language}\t{source.corpus}\t{source.group}\t{source.speaker}\t"
        f"{format_duration(source.duration_s)}\t{source.wav}\t"
        f"{utterance.reference}\t{hypothesis.text}\t{hypothesis.language or ''}\t"
        f"{_format_counts(characters)}\t{_format_counts(words)}\t"
        f"{_format_rate(characters.errors, characters.reference_length)}\t"
        f"{_format_rate(words.errors, words.reference_length)}\n"
    )


def _format_counts(counts: ErrorCounts) -> str:
    return f"{counts.reference_length}\t{counts.substitutions}\t{counts.deletions}\t{counts.insertions}"


@functools.lru_cache(maxsize=1 << 14)  # many utterances have the same
def _format_rate(errors: int, length: int) -> str:
    return format_number(errors / length) if length else ""


def _language_row(scores: dict[str, Any], language: str) -> list[str]:
    counts = scores["counts"]["by_language"][language]
    row = [language]
    row += [format_number(scores[metric]["by_language"][language]) for metric in ("cer", "wer", "lid_accuracy")]
    row.append(str(counts["n_utterances"]))
    for metric in ("cer", "wer"):
        row += [str(value) for value in counts[metric].values()]
    return row
