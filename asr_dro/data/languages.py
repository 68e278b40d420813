"""Languages: ISO 639-3 codes, Common Voice locales, and the sets of languages that a run may ask for."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.errors import UserError

_TABLE = Path(__file__).with_name("languages.tsv")
_LONGEST_LABEL = 40  # characters; labels become folder names


@dataclass(frozen=True)
class Language:
    """One row of ``languages.tsv``.

    Args:
        iso639_3: ISO 639-3 code; the language's name in every file.
        name: English name.
        script: ISO 15924 code of the usual script.
        locales: Common Voice locales, none for a language that Common Voice lacks.
        espeak_voice: eSpeak NG voice; empty if there is none.
        cldr_locale: Babel's locale with text that the voice can read; empty if there is none.
    """

    iso639_3: str
    name: str
    script: str
    locales: tuple[str, ...]
    espeak_voice: str
    cldr_locale: str

    @property
    def can_be_spoken(self) -> bool:
        """Whether the mini corpus can be made for this language."""
        return bool(self.espeak_voice and self.cldr_locale)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """Names under which a release may hold this language: its locales, or its code if it has none."""
        return self.locales or (self.iso639_3,)


@functools.cache
def languages() -> dict[str, Language]:
    """Return every known language by its ISO 639-3 code."""
    table = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        iso639_3, name, script, locales, voice, cldr = line.split("\t")
        table[iso639_3] = Language(iso639_3, name, script, tuple(filter(None, locales.split(","))), voice, cldr)
    return table


@functools.cache
def _iso639_3_by_code() -> dict[str, str]:
    """Map every accepted code (ISO 639-3 or Common Voice locale) to ISO 639-3."""
    codes = {locale: language.iso639_3 for language in languages().values() for locale in language.locales}
    return codes | {iso639_3: iso639_3 for iso639_3 in languages()}


def _repository_root() -> Path:
    return Path(os.environ.get("ASR_DRO_ROOT") or Path(__file__).resolve().parents[2])


def _lang_set_files() -> dict[str, Path]:
    """Return the language sets by name; one in the current directory wins over the repository's of the same name."""
    files = {}
    for folder in (_repository_root(), Path()):
        files.update({path.stem: path for path in sorted((folder / "conf/lang_sets").glob("*.txt"))})
    return files


def _resolve(codes: Sequence[str], origin: str, hint: str) -> list[str]:
    known = _iso639_3_by_code()
    unknown = [code for code in codes if code not in known]
    if unknown:
        described = []
        for code in unknown:
            near = difflib.get_close_matches(code, known, n=3, cutoff=0.5)
            described.append(f"{code!r}" + (f" (nearest: {', '.join(near)})" if near else ""))
        raise UserError(
            f"{origin}: unknown language {', '.join(described)}; "
            f"allowed are ISO 639-3 codes and Common Voice locales. {hint}"
        )
    return sorted({known[code] for code in codes})


def parse_lang_set(value: str) -> list[str]:
    """Resolve what ``--lang-set`` was given.

    Args:
        value: Name of a file ``conf/lang_sets/<name>.txt`` (current directory first, then the repository), or a comma
            list of ISO 639-3 codes and Common Voice locales.

    Returns:
        Sorted unique ISO 639-3 codes, at least one.

    Raises:
        UserError: If a code is unknown or nothing is named; the message has the nearest codes and the existing sets.
    """
    files = _lang_set_files()
    hint = f"Sets in conf/lang_sets: {', '.join(sorted(files)) or 'none'}"
    if value in files:
        lines = (line.split("#")[0].strip() for line in files[value].read_text(encoding="utf-8").splitlines())
        codes, origin = [line for line in lines if line], str(files[value])
    else:
        codes, origin = [code.strip() for code in value.split(",") if code.strip()], f"--lang-set {value}"
        near_sets = difflib.get_close_matches(value, files, n=1, cutoff=0.6)
        if near_sets and len(codes) == 1:
            hint += f" (nearest: {near_sets[0]})"
    if not codes:
        raise UserError(f"{origin}: names no language. {hint}")
    return _resolve(codes, origin, hint)


def lang_set_label(value: str) -> str:
    """Return what stands for ``--lang-set`` in names of folders: the set's name, or sorted codes joined by ``+``."""
    label = "+".join(sorted({code.strip() for code in value.split(",") if code.strip()}))
    if "," not in value or len(label) <= _LONGEST_LABEL:
        return label
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    return f"{label.count('+') + 1}languages_{digest}"
