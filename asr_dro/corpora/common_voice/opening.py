"""From what was asked for to the parts that hold it; all problems are found before any work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asr_dro.corpora.common_voice.archive import copy_tables
from asr_dro.corpora.common_voice.part import LocalePart, OpenedLocale
from asr_dro.corpora.common_voice.places import Choice, Place, choose, find_places
from asr_dro.corpora.common_voice.tables import RowReader, column_names, read_fields
from asr_dro.corpora.corpus import CorpusRequest, Quarantined
from asr_dro.data.languages import label_by_code, languages
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

_LAYOUTS = "<locale>/train.tsv, cv-corpus-*/<locale>/train.tsv, train.tsv itself, or archives *-<locale>.tar.gz"


def open_corpus(request: CorpusRequest) -> Sequence[LocalePart]:
    """Find the locales of the wanted languages.

    Args:
        request: What is asked for. ``only`` may name locales, such as zh-TW alone for cmn.

    Returns:
        One part for each locale, and with ``train: validated`` one for each delta release of it.

    Raises:
        UserError: With all problems at once.
    """
    places = find_places(request.source)
    opened: dict[Place, OpenedLocale] = {}
    if len(places) == 1 and not places[0].locale:  # a bare release, or an archive of an unknown name
        places = [_with_locale(places[0], request, opened)]
    chosen, problems = _choose(request, places)
    lacking = [label for label in request.languages if label not in chosen]
    if lacking and (request.config.missing_languages == "error" or not chosen):
        problems += _about_lacking(request, lacking, places)
    _raise_if(problems, request.source)
    if lacking:
        logger.warning("%s lacks %s: left out", request.source, " ".join(lacking))
    problems = []
    for place in _places_to_open(chosen, request.config.train):
        try:
            if place not in opened:
                opened[place] = _open(place, request.cache)
        except UserError as error:
            problems.append(str(error))
    _raise_if(problems, request.source)
    parts = [part for label in sorted(chosen) for part in _parts(request, label, chosen[label], opened)]
    _raise_if([problem for part in parts for problem in part.problems()], request.source)
    return parts


def _raise_if(problems: Iterable[str], source: Path) -> None:
    problems = list(dict.fromkeys(problems))
    if problems:
        raise UserError(f"{source} cannot be used:\n  " + "\n  ".join(problems))


def _open(place: Place, cache: Path) -> OpenedLocale:
    """Make a place's tables readable."""
    delta = place.release if place.is_delta else ""
    if not place.is_archive:
        return OpenedLocale(place.locale, place.path, place.path, delta=delta)
    copied = copy_tables(place.path, cache)
    if not copied.has_clips:
        raise UserError(f"{place.path} has tables but no clips; download the archive with the audio")
    return OpenedLocale(place.locale, place.path, copied.tables, copied.inside, delta)


def _with_locale(place: Place, request: CorpusRequest, opened: dict[Place, OpenedLocale]) -> Place:
    """Name a locale that neither folder nor archive names: by its tables, or by the one language asked for."""
    nameless = _open(place, request.cache)
    for name in ("train.tsv", "validated.tsv"):
        locale = _locale_column(nameless.tables / name)
        if locale:
            break
    else:
        if len(request.languages) != 1:
            raise UserError(
                f"{place.path} does not say which language it holds; give one language in place of "
                f"{','.join(request.languages)}, or put it into a folder called as its locale"
            )
        locale = languages()[request.languages[0]].folder_names[0]
    named = replace(place, locale=locale)
    opened[named] = replace(nameless, locale=locale)
    return named


def _locale_column(table: Path) -> str:
    """Return the first locale that a table names; empty if it names none."""
    try:
        with open(table, "rb") as file:
            if "locale" not in column_names(file.readline()):
                return ""
        header = RowReader("", "", ("locale",), None).header(table)
    except (FileNotFoundError, UserError):
        return ""
    for fields in read_fields(table, header):
        if not isinstance(fields, Quarantined) and (locale := fields[header.others[0] or 0].strip()):
            return locale
    return ""


def _locales_of(label: str, only: Mapping[str, frozenset[str]]) -> list[str]:
    names = languages()[label].folder_names
    return [name for name in names if name in only.get(label, ())] or list(names)


def _choose(request: CorpusRequest, places: Sequence[Place]) -> tuple[dict[str, list[Choice]], list[str]]:
    """Return what is taken for each language that is there, and the problems."""
    chosen: dict[str, list[Choice]] = {}
    problems = []
    for label in request.languages:
        for locale in _locales_of(label, request.only):
            same = [place for place in places if place.locale == locale]
            try:
                choice = choose(same)
            except UserError as error:
                problems.append(str(error))
                chosen.setdefault(label, [])
                continue
            if choice.base or choice.deltas:
                chosen.setdefault(label, []).append(choice)
            if choice.deltas and not choice.base and request.config.train == "official":
                problems.append(
                    f"{choice.deltas[0].path} is a delta release, which has no train.tsv: set train: validated in the "
                    f"file of conf/data, or add a whole release of {locale}"
                )
    return chosen, problems


def _about_lacking(request: CorpusRequest, lacking: Sequence[str], places: Sequence[Place]) -> Iterator[str]:
    for label in lacking:
        language = languages()[label]
        owners = [
            f"Common Voice's locale {', '.join(other.locales)} is read as {other.label}"
            for other in languages().values()
            if other.locales and (other.iso639_3 == language.iso639_3 or other.name == language.name)
        ]
        reason = f"there is no folder {label}, and Common Voice has no locale of it"
        if language.locales:
            reason = f"locale {' or '.join(language.locales)} is not there"
        elif owners:
            reason = "; ".join(owners)
        yield f"no {label} ({language.name}): {reason}"
    for place in places:
        if not place.locale:
            yield f"{place.path} does not say which locale it holds: call it <locale>.tar.gz, or give it alone"
    there = sorted({place.locale for place in places if place.locale})
    known = sorted({label_by_code()[locale] for locale in there if locale in label_by_code()})
    if there:
        yield f"Locales there: {' '.join(there)} (as languages: {','.join(known)})"
    else:
        yield f"No locale is there; expected below it: {_LAYOUTS}"
    if left := [label for label in request.languages if label not in lacking]:
        yield f"To go on without: --lang-set {','.join(left)}, or missing_languages: skip in the file of conf/data"


def _places_to_open(chosen: Mapping[str, Sequence[Choice]], train: str) -> Iterator[Place]:
    for choices in chosen.values():
        for choice in choices:
            yield from [choice.base] if choice.base else []
            yield from choice.deltas if train == "validated" else []


def _parts(
    request: CorpusRequest, label: str, choices: Sequence[Choice], opened: Mapping[Place, OpenedLocale]
) -> Iterator[LocalePart]:
    held_out = [opened[choice.base] for choice in choices if choice.base]
    for choice in choices:
        is_validated = request.config.train == "validated"
        if choice.base:
            remarks = [f"{place.path} is not read: {choice.base.path} is" for place in choice.passed_over]
            if not is_validated:
                remarks += [f"{place.path} is not read: train is official" for place in choice.deltas]
            yield LocalePart(opened[choice.base], label, request.config, held_out, remarks)
        for place in choice.deltas if is_validated else ():
            yield LocalePart(opened[place], label, request.config, held_out)
