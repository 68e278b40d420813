"""What --compare is given: trainings, or groups of trainings that differ in their seed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from asr_dro.collecting.find import Place, choose_experiment, find_experiments, is_experiment
from asr_dro.errors import UserError
from asr_dro.experiment import DECODE_PREFIX, UTTERANCES

SEPARATOR = ","
_SEED = re.compile(r"_s\d+")  # end of a tag, as run.sh makes it


def find_systems(names: Sequence[str], roots: Sequence[Path], *, split: str, decode: str | None) -> list[list[Path]]:
    """Find the scored splits that names stand for, each of one training or of several seeds.

    Args:
        names: Each a training (:func:`find_system`), trainings with commas between them, or a tag without its seed.
        roots: Where experiments are looked for.
        split: Name of the split.
        decode: Name of the decoding; not needed where there is only one.

    Returns:
        For each name the folders with ``utterances.tsv``, in the order of seeds.

    Raises:
        UserError: If something is not found, is there twice, or seeds are to be compared with a single training; all
            problems at once.
    """
    found: list[list[Path]] = []
    problems: list[str] = []
    for name in names:
        folders: list[Path] = []
        try:
            members = _members(name, roots)
        except UserError as error:
            members = []
            problems.append(str(error))
        for member in members:
            try:
                folders.append(find_system(member, roots, split=split, decode=decode))
            except UserError as error:
                problems.append(str(error))
        real = Counter(folder.resolve() for folder in folders)
        if twice := [str(folder) for folder in dict.fromkeys(folders) if real[folder.resolve()] > 1]:
            problems.append(f"{name}: there twice, and a seed counts once: {', '.join(twice)}")
        found.append(folders)
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    counts = [len(folders) for folders in found]
    if min(counts) == 1 and max(counts) > 1:
        given = ", ".join(f"{name}: {_counted(n)}" for name, n in zip(names, counts, strict=True))
        raise UserError(f"{given}; compare one training with one, or two and more seeds with two and more")
    return found


def _members(name: str, roots: Sequence[Path]) -> list[str]:
    """Return the trainings that a name stands for: itself, its parts between commas, or the seeds of a tag."""
    if Path(name).exists():
        return [name]
    if SEPARATOR in name:
        parts = [part.strip() for part in name.split(SEPARATOR)]
        if not all(parts):
            raise UserError(f"{name}: nothing between two commas; give trainings, as in a_s1,a_s2")
        return parts
    places = _search(roots, name)
    if any(place.tag == name for place in places):
        return [name]
    seeds = [place for place in places if place.tag.startswith(name) and _SEED.fullmatch(place.tag[len(name) :])]
    seeds.sort(key=lambda place: (int(place.tag[len(name) + 2 :]), place))
    tags = [place.tag for place in seeds]
    if twice := [place for place in seeds if tags.count(place.tag) > 1]:
        folders = ", ".join(str(place.folder) for place in twice)
        raise UserError(f"{name}: a seed is there twice; give the folders that count, with commas: {folders}")
    return [str(place.folder) for place in seeds] or [name]


def find_system(name: str, roots: Sequence[Path], *, split: str, decode: str | None) -> Path:
    """Find the scored split that a name stands for.

    Args:
        name: An experiment's tag or folder, or the folder of a decoding or of a scored split.
        roots: Where experiments are looked for.
        split: Name of the split.
        decode: Name of the decoding; not needed where there is only one.

    Returns:
        The folder with ``utterances.tsv``.

    Raises:
        UserError: If there is none, or more than one.
    """
    path = Path(name)
    if (path / UTTERANCES).is_file():
        return path
    if path.name.startswith(DECODE_PREFIX) and path.is_dir():
        return _scored(path / split)
    folder = path if is_experiment(path) else choose_experiment(name, _search(roots, name)).folder
    if decode is not None:
        return _scored(folder / f"{DECODE_PREFIX}{decode}" / split)
    found = sorted(path.parent for path in folder.glob(f"{DECODE_PREFIX}*/{split}/{UTTERANCES}"))
    if len(found) > 1:
        names = ", ".join(one.parent.name.removeprefix(DECODE_PREFIX) for one in found)
        raise UserError(f"{name}: {split} was decoded in several ways ({names}); choose one by --decode or its folder")
    return found[0] if found else _scored(folder / f"{DECODE_PREFIX}*" / split)


def _search(roots: Sequence[Path], name: str) -> list[Place]:
    try:
        return find_experiments(roots)
    except UserError as error:
        raise UserError(f"{name} is no experiment's folder, and no tag: {error}") from error


def _scored(folder: Path) -> Path:
    if not (folder / UTTERANCES).is_file():
        raise UserError(f"{folder / UTTERANCES}: no scored split there; run stages 5 and 6 (decode, score) first")
    return folder


def _counted(n: int) -> str:
    return "1 training" if n == 1 else f"{n} seeds"
