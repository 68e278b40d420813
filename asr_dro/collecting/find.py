"""Where experiments lie: folders at any depth that hold what a run leaves behind."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asr_dro.errors import UserError
from asr_dro.experiment import DECODE_PREFIX, FAILURE, TRAIN_CONFIG

logger = logging.getLogger(__name__)

MARKS = frozenset({TRAIN_CONFIG, FAILURE})  # one of them, or a decoding, makes a folder an experiment


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An experiment folder.

    Attributes:
        root: The folder that was searched, as given.
        folder: The experiment, by the way it was found.
    """

    root: Path
    folder: Path

    @property
    def tag(self) -> str:
        """Name of the experiment: that of its folder."""
        return self.folder.name or self.folder.resolve().name


def find_experiments(roots: Iterable[Path]) -> list[Place]:
    """Search folders and all that lies below them; symbolic links are followed, each folder is visited once.

    A folder that cannot be read is named in a warning and left out. Nothing is looked for inside an experiment.

    Args:
        roots: Folders to search; an experiment itself is one, too.

    Returns:
        Experiments, sorted by root and path.

    Raises:
        UserError: If a root is no folder, or no experiment is found.
    """
    roots = list(roots)
    if wrong := [str(root) for root in roots if not root.is_dir()]:
        raise UserError(f"not a folder: {', '.join(wrong)}; give folders that hold experiments, such as exp")
    visited: set[tuple[int, int]] = set()
    places = [Place(root, folder) for root in roots for folder in _walk(root, visited)]
    if not places:
        raise UserError(
            f"no experiment in {', '.join(map(str, roots))}: looked for folders with {TRAIN_CONFIG}, which stage 4 "
            f"(train) writes, {FAILURE}, or a folder {DECODE_PREFIX}<name>"
        )
    return sorted(places)


def is_experiment(folder: Path) -> bool:
    """Tell whether a folder is an experiment."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
    except OSError:
        return False
    return bool(MARKS & names) or any(name.startswith(DECODE_PREFIX) for name in names)


def _walk(root: Path, visited: set[tuple[int, int]]) -> Iterator[Path]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in visited:  # a loop of links, or roots inside each other
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                files, folders = _split(entries)
        except OSError as error:
            logger.warning("%s cannot be read and is left out (%s)", folder, error.strerror or error)
            continue
        if MARKS & files or any(name.startswith(DECODE_PREFIX) for name in folders):
            yield folder
        else:
            waiting.extend(folder / name for name in folders)


def _split(entries: Iterable[os.DirEntry[str]]) -> tuple[set[str], list[str]]:
    """Tell files from folders; hidden folders and what cannot be told are left out."""
    files, folders = set(), []
    for entry in entries:
        try:
            if entry.is_dir():
                if not entry.name.startswith("."):
                    folders.append(entry.name)
            elif entry.is_file():
                files.add(entry.name)
        except OSError:  # a link that leads in a circle
            continue
    return files, folders


def choose_experiment(name: str, places: Iterable[Place]) -> Place:
    """Find the one experiment of a tag.

    Args:
        name: A tag, or the path of an experiment folder.
        places: The experiments there are.

    Raises:
        UserError: If there is none of this name, or more than one.
    """
    places = list(places)
    path = Path(name)
    found = [place for place in places if place.tag == name]
    found = found or [place for place in places if path.is_dir() and path.resolve() == place.folder.resolve()]
    if len(found) == 1:
        return found[0]
    if found:
        folders = ", ".join(str(place.folder) for place in found)
        raise UserError(f"{name}: several experiments have this tag; give the folder of one: {folders}")
    near = difflib.get_close_matches(name, sorted({place.tag for place in places}), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"searched {len(places)} experiments"
    raise UserError(f"{name}: no experiment has this tag, and it is no experiment's folder; {hint}")
