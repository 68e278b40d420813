"""Languages: one table of names and codes, and the sets of languages that a run may ask for.

A language is known by its label, which is its ISO 639-3 code. Only two labels are not: ML-SUPERB holds some Japanese as
``org_jpn`` and the Luganda of Common Voice as ``lga``, which ISO gives to another language.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.errors import UserError
from asr_dro.repository import find_repository

_TABLE = Path(__file__).with_name("languages.tsv")
_LONGEST_LABEL = 40  # characters; labels become folder names


@dataclass(frozen=True)
class Language:
    """One row of ``languages.tsv``.

    Args:
        label: The language's name in every file; unique.
        iso639_3: ISO 639-3 code.
        name: English name.
        script: ISO 15924 code of the usual script.
        locales: Common Voice locales; none for a language that Common Voice lacks. A locale belongs to one label only.
        espeak_voice: eSpeak NG voice; empty if there is none.
        cldr_locale: Babel's locale with text that the voice can read; empty if there is none.
        ml_superb: The label's part in ML-SUPERB: ``normal``, ``fewshot`` (5 training utterances); empty if it has none.
    """

    label: str
    iso639_3: str
    name: str
    script: str
    locales: tuple[str, ...]
    espeak_voice: str
    cldr_locale: str
    ml_superb: str

    @property
    def can_be_spoken(self) -> bool:
        """Whether the mini corpus can be made for this language."""
        return bool(self.espeak_voice and self.cldr_locale)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """Names under which a release may hold this language: its locales, or its label if it has none."""
        return self.locales or (self.label,)


@functools.cache
def languages() -> dict[str, Language]:
    """Return every known language by its label."""
    table = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        label, iso639_3, name, script, locales, voice, cldr, ml_superb = line.split("\t")
        locale_names = tuple(filter(None, locales.split(",")))
        table[label] = Language(label, iso639_3, name, script, locale_names, voice, cldr, ml_superb)
    return table


@functools.cache
def label_by_code() -> dict[str, str]:
    """Map every accepted code (label, ISO 639-3 or Common Voice locale) to its label."""
    codes = {locale: language.label for language in languages().values() for locale in language.locales}
    return codes | {label: label for label in languages()}


def _lang_set_files() -> dict[str, Path]:
    """Return the language sets by name; one in the current directory wins over the repository's of the same name."""
    files = {}
    for folder in (find_repository(), Path()):
        files.update({path.stem: path for path in sorted((folder / "conf/lang_sets").glob("*.txt"))})
    return files


def _lang_set_rows(path: Path) -> Iterator[list[str]]:
    """Yield the columns of each line that names a language; ``#`` begins a comment."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if columns := line.split("#")[0].split():
            yield columns


def nearest_codes(code: str) -> list[str]:
    """Return up to three known codes that may have been meant, the likeliest first.

    Args:
        code: What is not a code, such as ``FIN``, ``de-DE``, ``zh`` or ``english``.
    """
    known = label_by_code()
    wanted = code.casefold()
    by_case = [one for one in known if one.casefold() == wanted]
    by_name = [one.label for one in languages().values() if one.name.casefold() == wanted]
    by_base = sorted(one for one in known if one.split("-")[0] == wanted.replace("_", "-").split("-")[0])
    if by_case or by_name or by_base:
        return list(dict.fromkeys(by_case + by_name + by_base))[:3]
    spellings = {one.name.casefold(): one.label for one in languages().values()} | {one: one for one in known}
    alike = difflib.get_close_matches(wanted, spellings, n=3, cutoff=0.5)
    return list(dict.fromkeys(spellings[spelling] for spelling in alike))


def _resolve(codes: Sequence[str], origin: str, hint: str) -> list[str]:
    known = label_by_code()
    unknown = [code for code in codes if code not in known]
    if unknown:
        described = []
        for code in unknown:
            near = nearest_codes(code)
            described.append(f"{code!r}" + (f" (nearest: {', '.join(near)})" if near else ""))
        raise UserError(
            f"{origin}: unknown language {', '.join(described)}; "
            f"allowed are ISO 639-3 codes and Common Voice locales (asr_dro/data/languages.tsv). {hint}"
        )
    return sorted({known[code] for code in codes})


def parse_lang_set(value: str) -> list[str]:
    """Resolve what ``--lang-set`` was given.

    Args:
        value: Name of a file ``conf/lang_sets/<name>.txt`` (current directory first, then the repository), or a comma
            list of labels, ISO 639-3 codes and Common Voice locales.

    Returns:
        Sorted unique labels, at least one.

    Raises:
        UserError: If a code is unknown or nothing is named; the message has the nearest codes and the existing sets.
    """
    files = _lang_set_files()
    hint = f"Sets in conf/lang_sets: {', '.join(sorted(files)) or 'none'}"
    if value in files:
        codes, origin = [columns[0] for columns in _lang_set_rows(files[value])], str(files[value])
    else:
        codes, origin = [code.strip() for code in value.split(",") if code.strip()], f"--lang-set {value}"
        near_sets = difflib.get_close_matches(value, files, n=1, cutoff=0.6)
        if near_sets and len(codes) == 1:
            hint += f" (nearest: {near_sets[0]})"
    if not codes:
        raise UserError(f"{origin}: names no language. {hint}")
    return _resolve(codes, origin, hint)


def lang_set_corpora(value: str) -> dict[str, frozenset[str]]:
    """Return which sub-corpora ``--lang-set`` limits its languages to.

    A line of a set's file may name them in a second column, separated by commas: ``spa voxforge,mls``. A language that
    has several lines takes the sub-corpora of all of them. A locale, where its language has several, stands for itself
    alone: ``zh-TW`` is no request for zh-CN.

    Args:
        value: As for :func:`parse_lang_set`.

    Returns:
        Names of sub-corpora by label; a language that is asked for as a whole is not in it.

    Raises:
        UserError: As :func:`parse_lang_set`.
    """
    parse_lang_set(value)
    limits: dict[str, frozenset[str]] = {}
    unlimited = set()
    path = _lang_set_files().get(value)
    rows = _lang_set_rows(path) if path else ([code.strip()] for code in value.split(",") if code.strip())
    for code, *columns in rows:
        label = label_by_code()[code]
        names = frozenset(filter(None, ",".join(columns).split(",")))
        locales = languages()[label].locales
        if not names and code != label and code in locales and len(locales) > 1:
            names = frozenset({code})
        if names:
            limits[label] = limits.get(label, frozenset()) | names
        else:
            unlimited.add(label)
    return {label: names for label, names in limits.items() if label not in unlimited}


def lang_set_label(value: str) -> str:
    """Return what stands for ``--lang-set`` in names of folders: the set's name, or sorted codes joined by ``+``."""
    label = "+".join(sorted({code.strip() for code in value.split(",") if code.strip()}))
    if "," not in value or len(label) <= _LONGEST_LABEL:
        return label
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    return f"{label.count('+') + 1}languages_{digest}"
