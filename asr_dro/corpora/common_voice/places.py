"""Where the locales of a corpus lie: folders, or archives as they are downloaded, of one or many releases."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_dro.corpora.common_voice.archive import ENDINGS, peek
from asr_dro.data.languages import languages
from asr_dro.errors import UserError

_RELEASES = ("cv-corpus-*", "mcv-scripted-*/cv-corpus-*")
_SPLITS_OF_CLIPS = ("train.tsv", "validated.tsv")


@dataclass(frozen=True)
class Place:
    """One locale of one release.

    Args:
        locale: The locale; empty if only its tables can tell.
        path: Folder with the tables and ``clips``, or an archive.
        release: Name of the release, such as ``cv-corpus-25.0-2026-03-06``; empty if nothing tells.
        is_archive: Whether ``path`` is an archive.
    """

    locale: str
    path: Path
    release: str
    is_archive: bool

    @property
    def is_delta(self) -> bool:
        """Whether this is what was added between two releases: validated clips without splits."""
        return "-delta-" in f"{self.release}-" and (self.is_archive or not (self.path / "train.tsv").exists())


@functools.cache
def known_locales() -> frozenset[str]:
    """Return the names under which a release may hold a language."""
    return frozenset(name for language in languages().values() for name in language.folder_names)


@functools.cache
def _locale_at_end() -> re.Pattern[str]:
    # The shortest beginning leaves the longest locale: nan-tw, not tw
    names = "|".join(map(re.escape, sorted(known_locales())))
    return re.compile(rf"(?P<release>.*?)-?(?<![A-Za-z0-9])(?P<locale>{names})(?:-v[\d.]+)?")


def find_places(source: Path) -> list[Place]:
    """Find every locale of a corpus.

    Args:
        source: A folder that is a locale or holds folders or archives of locales, itself or in folders of releases, or
            one archive.

    Returns:
        All of them, sorted by path.

    Raises:
        UserError: If ``source`` is not there or cannot be read.
    """
    try:
        if source.is_file():
            return [_archive_place(source)]
        if not source.is_dir():
            raise UserError(
                f"{source} is neither a folder nor an archive; set the corpus's variable in db.sh to a release"
            )
        if any((source / table).is_file() for table in _SPLITS_OF_CLIPS):
            release = source.name if source.name.startswith("cv-corpus-") else source.parent.name
            return [Place("", source, release, is_archive=False)]
        releases = [source, *(path for pattern in _RELEASES for path in sorted(source.glob(pattern)) if path.is_dir())]
        return [place for release in releases for place in _places_below(release)]
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}") from None


def _places_below(release: Path) -> Iterator[Place]:
    for path in sorted(release.iterdir()):
        if path.name.endswith(ENDINGS) and path.is_file():
            yield _archive_place(path)
        elif path.name in known_locales() and path.is_dir() and _holds_clips(path):
            yield Place(path.name, path, release.name, is_archive=False)


def _holds_clips(folder: Path) -> bool:
    return (folder / "clips").exists() or any((folder / table).exists() for table in _SPLITS_OF_CLIPS)


def _archive_place(archive: Path) -> Place:
    """Learn an archive's locale and release from its name, and rather from its folders."""
    stem = next((archive.name.removesuffix(ending) for ending in ENDINGS if archive.name.endswith(ending)), "")
    match = _locale_at_end().fullmatch(stem)
    locale, release = (match["locale"], match["release"]) if match else ("", "")
    try:
        parts = (peek(archive) or "").split("/")
    except UserError:
        parts = []  # whoever wants it will hear of it; a damaged archive that nobody asks for stops nobody
    if parts and parts[-1] in known_locales():
        locale, release = parts[-1], (parts[-2] if len(parts) > 1 else release)
    return Place(locale, archive, release or archive.parent.name, is_archive=True)


@dataclass(frozen=True)
class Choice:
    """What is taken of one locale.

    Args:
        base: The release with its splits; None if there are deltas only.
        deltas: Validated clips of other releases.
        passed_over: Archives in whose place a folder is read.
    """

    base: Place | None
    deltas: tuple[Place, ...] = ()
    passed_over: tuple[Place, ...] = ()


def choose(places: Iterable[Place]) -> Choice:
    """Choose among the places of one locale: a folder wins over an archive.

    Args:
        places: All of one locale, at least one.

    Raises:
        UserError: If two releases remain; the message names both.
    """
    places = list(places)
    bases = [place for place in places if not place.is_delta]
    kept, passed_over = _folders_first(bases)
    if len(kept) > 1:
        raise UserError(
            f"several releases of {kept[0].locale}: {', '.join(str(place.path) for place in kept)}; "
            "move all but one elsewhere, or give the folder of one release"
        )
    deltas = []
    for release in sorted({place.release for place in places if place.is_delta}):
        same, archives = _folders_first([place for place in places if place.is_delta and place.release == release])
        deltas.append(same[0])
        passed_over += archives
    return Choice(kept[0] if kept else None, tuple(deltas), tuple(passed_over))


def _folders_first(places: Sequence[Place]) -> tuple[list[Place], list[Place]]:
    folders = [place for place in places if not place.is_archive]
    archives = [place for place in places if place.is_archive]
    return (folders, archives) if folders else (archives, [])
