"""Reading ML-SUPERB: the folders of releases 7 and 8, or the parquet packaging of ML-SUPERB 2.0.

A part is a language in one of the corpora, such as ``pol/M-AILABS``. A few-shot language has its five training
utterances, whatever the duration; dev and test are always the lists of 10 minutes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asr_dro.corpora.corpus import CorpusRequest, Part
from asr_dro.corpora.ml_superb_folders import FolderRelease, is_pair
from asr_dro.corpora.ml_superb_labels import KNOWN_CORPORA, chosen_repairs, corpus_of, few_shot_utterances
from asr_dro.corpora.ml_superb_parquet import ParquetRelease, split_of
from asr_dro.corpora.ml_superb_part import GROUP_COLUMNS, Pair, Release
from asr_dro.data.languages import languages
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

_DEEPEST = 5  # folders between the source and a shard: the hub's cache has datasets--*/snapshots/*/data


def open_corpus(request: CorpusRequest) -> Sequence[Part]:
    """Find the parts that hold the wanted languages, and check all of them before any work.

    Args:
        request: What is asked for; ``only`` names corpora such as ``M-AILABS``.

    Returns:
        One part for each language in each of its corpora, sorted.

    Raises:
        UserError: With all problems at once: missing languages, lists, corpora; labels that a repair removes.
    """
    repairs = chosen_repairs(request.config.label_repairs)
    problems = list(_column_problems(request))
    release = find_release(request.source)
    pairs: list[Pair] = []
    lacking: dict[str, str] = {}
    for language in request.languages:
        found = _pairs(language, release, repairs)
        reason = _why_lacking(language, found, release, repairs)
        if reason:
            lacking[language] = reason
            continue
        only = request.only.get(language, frozenset()) - set(
            languages()[language].locales
        )  # locales: not of this corpus
        problems += _only_problems(language, only, found)
        pairs += [pair for pair in found if not only or pair.corpus in only]
    if lacking and request.config.missing_languages == "error":
        problems += [*_described(lacking, repairs), *_ways_on(lacking, request.languages, release)]
    problems += [problem for pair in pairs for problem in release.problems(pair, request)]
    if not pairs and not problems:
        problems.append("no language is left; " + "; ".join(_described(lacking, repairs)))
    if problems:
        raise UserError(f"{request.source} cannot be used:\n  " + "\n  ".join(problems))
    for note in [*release.notes(request), *_few_shot_notes(pairs, release)]:
        logger.info("%s", note)
    for reason in _described(lacking, repairs):
        logger.warning("left out, as %s", reason)
    return [release.part(pair, request) for pair in sorted(pairs)]


def _column_problems(request: CorpusRequest) -> Iterator[str]:
    unknown = [column for column in request.config.group_columns if column not in GROUP_COLUMNS]
    if unknown:
        yield f"group: no column {', '.join(unknown)}; ML-SUPERB has language, {', '.join(GROUP_COLUMNS)}"


def _pairs(language: str, release: Release, repairs: Mapping[str, str]) -> list[Pair]:
    """Return what holds a language once labels are repaired."""
    labels = [language, *(label for label, target in repairs.items() if target == language)]
    return sorted(Pair(language, corpus, label) for label in labels for corpus in release.corpora.get(label, ()))


def _why_lacking(language: str, found: Sequence[Pair], release: Release, repairs: Mapping[str, str]) -> str:
    """Return why a language cannot be had; empty if it can."""
    if language in repairs:
        return "repaired to another label (label_repairs), ask for that"
    if not found:
        return "not there"
    if all(pair.label in release.untrained for pair in found):
        return "there without training utterances"
    return ""


def _described(lacking: Mapping[str, str], repairs: Mapping[str, str]) -> Iterator[str]:
    """Yield each reason once, with its languages."""
    for reason in dict.fromkeys(lacking.values()):
        names = []
        for language in [language for language, its_reason in lacking.items() if its_reason == reason]:
            known = languages().get(language)
            name = f"{language} ({known.name})" if known else language
            names.append(f"{language} -> {repairs[language]}" if language in repairs else name)
        yield f"{reason}: {', '.join(names)}"


def _ways_on(lacking: Mapping[str, str], asked: Sequence[str], release: Release) -> Iterator[str]:
    yield f"Labels there: {' '.join(sorted(set(release.corpora) - set(release.untrained))) or 'none'}"
    left = [language for language in asked if language not in lacking]
    go_on = "To go on without them: missing_languages: skip in the file of --data-conf"
    yield go_on + (f", or --lang-set {','.join(left)}" if left else "")


def _only_problems(language: str, only: frozenset[str], found: Sequence[Pair]) -> Iterator[str]:
    there = {pair.corpus for pair in found}
    unknown = sorted(only - there)
    if unknown:
        yield f"{language} is not in {', '.join(unknown)}; it is in {', '.join(sorted(there))}"


def _few_shot_notes(pairs: Sequence[Pair], release: Release) -> Iterator[str]:
    """Name the few-shot utterances whose whole corpus is not there."""
    for label in sorted({pair.label for pair in pairs} & set(few_shot_utterances())):
        there = release.corpora[label]
        gone = [name for name in sorted(few_shot_utterances()[label]) if corpus_of(name, label) not in there]
        if gone:
            yield f"{label}: few-shot utterances of corpora that are not there: {', '.join(gone)}"


def find_release(source: Path) -> Release:
    """Find a release in a folder, or one level below it.

    Raises:
        UserError: If there is none or there are several.
    """
    if not source.is_dir():
        raise UserError(f"{source} is not a folder; set ML_SUPERB in db.sh to an unpacked release of ML-SUPERB")
    try:
        below = sorted(path for path in source.iterdir() if path.is_dir())
        roots = [source] if _is_root(source) else [folder for folder in below if _is_root(folder)]
        if len(roots) > 1:
            raise UserError(f"several releases in {source}: {', '.join(path.name for path in roots)}; give one of them")
        if roots:
            return FolderRelease(roots[0])
        bases = _find_shards(source)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
    if len(bases) > 1:
        raise UserError(f"several parquet packagings in {source}: {', '.join(map(str, bases))}; give one of them")
    for base, shards in bases.items():
        return ParquetRelease(base, shards)
    raise UserError(
        f"{source} holds no release of ML-SUPERB: neither folders such as {KNOWN_CORPORA[4]}/<label> with transcript "
        "lists, nor shards such as data/train-00000-of-00027.parquet; an archive has to be unpacked"
    )


def _is_root(folder: Path) -> bool:
    """Return whether a folder holds ``<corpus>/<label>`` with lists, so that other folders beside it do not matter."""
    return any(is_pair(pair) for corpus in folder.iterdir() if corpus.is_dir() for pair in corpus.iterdir())


def _find_shards(source: Path) -> dict[Path, dict[str, list[Path]]]:
    """Return shards by the folder of their packaging and by split."""
    bases: dict[Path, dict[str, list[Path]]] = {}
    for folder, names, files in os.walk(source, followlinks=True):
        names[:] = sorted(names) if len(Path(folder).relative_to(source).parts) < _DEEPEST else []
        for path in sorted(Path(folder, file) for file in files if file.endswith(".parquet")):
            split = split_of(path)
            if split is not None:
                base = path.parent.parent if path.parent.name == split else path.parent
                bases.setdefault(base, {}).setdefault(split, []).append(path)
    return bases
