"""Languages of manifests and saved datasets: rows say them by any code, and some that were asked for may be lacking."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asr_dro.corpora.corpus import CorpusRequest
from asr_dro.corpora.manifest_values import RowError
from asr_dro.data.data_dir import SPLITS
from asr_dro.data.done import fingerprint
from asr_dro.data.languages import label_by_code, languages, nearest_codes
from asr_dro.errors import UserError
from asr_dro.fileio import write_json

_VERSION = 1  # raise it when equal files give another census
_MOST_CODES = 1000  # a column of free text must not fill the memory
SPLIT_NAMES = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "test": "test"}


@functools.cache
def _label_by_name() -> dict[str, str]:
    labels: dict[str, set[str]] = {}
    for language in languages().values():
        labels.setdefault(language.name.casefold(), set()).add(language.label)
    return {name: next(iter(of_name)) for name, of_name in labels.items() if len(of_name) == 1}  # two are called Odia


def label_of(code: str) -> str:
    """Return the label for a label, an ISO 639-3 code, a Common Voice locale or an English name; empty if unknown."""
    return label_by_code().get(code) or _label_by_name().get(code.casefold(), "")


def part_name(source: Path) -> str:
    """Return a name for the audio folder of ``source``: two corpora in folders of the same name differ in it."""
    real = os.path.realpath(source)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(real).stem)[:40] or "corpus"
    return f"{stem}-{hashlib.sha256(real.encode(errors='surrogateescape')).hexdigest()[:8]}"


@dataclass
class Census:
    """What the first reading of a corpus found; kept in ``CorpusRequest.cache``.

    Args:
        rows: ``{split: {label: rows}}``; rows without a language are counted under ``""``.
        unknown: Codes that nobody knows and their rows.
        columns: Names of the columns.
        problems: The first few reasons why rows cannot be used.
        notes: What else the reader found out.
    """

    rows: dict[str, dict[str, int]] = field(default_factory=lambda: {split: {} for split in SPLITS})
    unknown: dict[str, int] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, split: str, codes: Mapping[str, int]) -> None:
        """Count rows of a split by their codes; an empty code is that of rows without a language."""
        known = self.rows[split]
        for code, rows in codes.items():
            if (label := label_of(code)) or not code:
                known[label] = known.get(label, 0) + rows
            else:
                name = code if code in self.unknown or len(self.unknown) < _MOST_CODES else "others"
                self.unknown[name] = self.unknown.get(name, 0) + rows

    @property
    def has_languages(self) -> bool:
        """Whether any row says its language."""
        return bool(self.unknown) or any(label for counts in self.rows.values() for label in counts)

    def total(self, split: str) -> int:
        """Return the number of rows of a split whose language is known or not given."""
        return sum(self.rows[split].values())


def read_census(path: Path, inputs: Sequence[Path]) -> Census | None:
    """Return what :func:`write_census` kept, None if there is none or an input has changed since."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Census(**kept["census"]) if kept["made_from"] == _made_from(inputs) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_census(path: Path, census: Census, inputs: Sequence[Path]) -> None:
    """Keep a census for as long as its inputs stay as they are."""
    write_json(path, {"made_from": _made_from(inputs), "census": asdict(census)})


def _made_from(inputs: Sequence[Path]) -> dict[str, Any]:
    return {"version": _VERSION, "files": fingerprint(inputs), "languages": sorted(label_by_code())}


@dataclass(frozen=True)
class LanguageOfRows:
    """Which language a row is of, and whether it was asked for.

    Args:
        wanted: Labels that were asked for and are there.
        default: Label of all rows where no row says its language; else empty.
    """

    wanted: frozenset[str]
    default: str

    def label(self, code: str) -> str:
        """Return the label for a row's code (empty: none is given).

        Raises:
            RowError: If nobody knows the code, or the row has none where others have.
        """
        if not code:
            if self.default:
                return self.default
            raise RowError("no language")
        if label := label_of(code):
            return label
        raise RowError(f"unknown language {ascii(code)[:40]}")


def choose_languages(request: CorpusRequest, census: Census) -> LanguageOfRows:
    """Decide which of the wanted languages a corpus has.

    Args:
        request: What was asked for.
        census: What is there.

    Raises:
        UserError: If there is nothing to train on, if no row says its language and several were asked for, if the
            corpus lacks all of them, or if it lacks some and ``missing_languages`` is ``error``; the message says what
            is there and how to go on.
    """
    if not census.total("train"):
        reasons = "".join(f"\n  {problem}" for problem in [*census.problems, unknown_codes(census)] if problem)
        raise UserError(f"{request.source} has no usable row for training{reasons}")
    if not census.has_languages:
        if len(request.languages) > 1:
            raise UserError(
                f"{request.source} does not say the language of its rows (no `lang`), and several were asked for: "
                f"{' '.join(request.languages)}. Add the language to each row, or ask for a single one"
            )
        return LanguageOfRows(frozenset(request.languages), request.languages[0])
    there = census.rows["train"]
    lacking = [label for label in request.languages if not there.get(label)]
    wanted = frozenset(request.languages) - frozenset(lacking)
    if lacking and (request.config.missing_languages == "error" or not wanted):
        raise UserError(_lacking_message(request, census, lacking, sorted(wanted)))
    return LanguageOfRows(wanted, "")


def _lacking_message(request: CorpusRequest, census: Census, lacking: Sequence[str], wanted: Sequence[str]) -> str:
    named = ", ".join(f"{label} ({languages()[label].name})" for label in lacking)
    found = ", ".join(f"{label} ({rows})" for label, rows in sorted(census.rows["train"].items()) if label)
    lines = [f"{request.source} has no training row of {named}", f"Training rows there: {found or 'none'}"]
    if unknown := unknown_codes(census):
        lines.append(unknown)
    if wanted:
        lines.append(f"To go on without: --lang-set {','.join(wanted)}, or `missing_languages: skip` in conf/data")
    elif found:
        there = ",".join(sorted(label for label in census.rows["train"] if label))
        lines.append(f"To take what is there: --lang-set {there}")
    return "\n  ".join(lines)


def unknown_codes(census: Census) -> str:
    """Return a sentence about the codes that nobody knows; empty if there are none."""
    if not census.unknown:
        return ""
    described = []
    for code, rows in sorted(census.unknown.items(), key=lambda item: (-item[1], item[0]))[:5]:
        near = nearest_codes(code)
        described.append(f"{code!a} ({rows} rows" + (f"; nearest: {', '.join(near)})" if near else ")"))
    more = "" if len(census.unknown) <= 5 else f" and {len(census.unknown) - 5} more"
    return f"Unknown languages, whose rows are in quarantine: {', '.join(described)}{more}"


def check_group_columns(request: CorpusRequest, columns: Sequence[str]) -> None:
    """Check that the columns that make the group are there.

    Raises:
        UserError: Naming those that are not, and those that are.
    """
    absent = [column for column in request.config.group_columns if column not in columns]
    if absent:
        raise UserError(
            f"{request.source} has no column {', '.join(absent)}, which `group` in conf/data names; "
            f"columns there: {', '.join(columns) or 'none'}"
        )


def common_remarks(request: CorpusRequest, census: Census, chosen: LanguageOfRows) -> list[str]:
    """Return what a user should read about languages and splits."""
    remarks = [f"no {split} rows" for split in SPLITS if not census.total(split)]
    if unknown := unknown_codes(census):
        remarks.append(unknown)
    lacking = [label for label in request.languages if label not in chosen.wanted]
    if lacking:
        remarks.append(f"left out, because there is no training row: {' '.join(lacking)}")
    other = sorted({label for counts in census.rows.values() for label in counts} - set(request.languages) - {""})
    if other and census.has_languages:
        remarks.append(f"also there, but not asked for: {' '.join(other)}")
    if request.only:
        remarks.append("the sub-corpora that the language set names are not known here; all rows are taken")
    return remarks
