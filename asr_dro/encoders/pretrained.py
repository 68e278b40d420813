"""Where pretrained weights come from: a folder, a file, or a model of the Hugging Face hub with its revision.

A class that can start from pretrained weights has the options ``checkpoint`` (their name, see ``find_checkpoint``) and
``architecture`` (what the network looks like, as plain values) and a method ``architecture_of(checkpoint)``. Training
writes the architecture beside the name, so that decoding rebuilds the network and never needs the pretrained weights.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

CONFIGS = ("frontend_conf", "encoder_conf", "decoder_conf")  # options that may name a checkpoint
DESCRIPTIONS = ("config.json", "preprocessor_config.json")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_KINDS = (
    "a folder with config.json and weights, a fairseq checkpoint (.pt), or organisation/model@revision of the Hugging "
    "Face hub"
)
_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Checkpoint:
    """Pretrained weights on this machine.

    Attributes:
        name: As they were asked for.
        path: Folder (``config.json`` and weights) or file.
        commit: Commit of the hub's repository; None for what was given as a path.
    """

    name: str
    path: Path
    commit: str | None = None


def find_checkpoint(name: str, option: str = "encoder_conf", *, cache: Path | None = None) -> Checkpoint:
    """Find pretrained weights, and fetch them if they are of the hub and not in its cache.

    What is in the cache is taken as it is, so a run needs no network once its weights are there; a name without a
    revision means whatever revision was fetched first.

    Args:
        name: A folder, a file, or ``organisation/model``, best with ``@revision`` (the full commit).
        option: The configuration's key that holds the name, for messages.
        cache: Cache of the hub; None: where its library keeps it (``HF_HOME``).

    Raises:
        UserError: If there is nothing of that name; it says which files to fetch and how to name their folder.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return Checkpoint(name, path)
    if path.is_dir():
        missing = _missing(path)
        if missing:
            raise UserError(f"{option}: {path} is no complete model: it lacks {' and '.join(missing)}")
        return Checkpoint(name, path)
    matched = _HUB_ID.fullmatch(name)
    if matched is None or name.endswith((".pt", ".pth", ".bin", ".safetensors")):
        raise UserError(f"{option}: checkpoint {name!r} does not exist; give {_KINDS}")
    return _of_hub(name, matched["repository"], matched["revision"], option, cache)


def _missing(folder: Path) -> list[str]:
    missing = [name for name in DESCRIPTIONS[:1] if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHTS):
        missing.append(f"weights ({WEIGHTS[0]} or {WEIGHTS[2]})")
    return missing


def _of_hub(name: str, repository: str, revision: str | None, option: str, cache: Path | None) -> Checkpoint:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(huggingface_hub.snapshot_download(repository, revision=revision, cache_dir=cache,
                                                        local_files_only=True))  # fmt: skip
        if not _missing(folder):
            return Checkpoint(name, folder, folder.name)
    except LocalEntryNotFoundError:
        pass
    reason = "the library is told to be offline, HF_HUB_OFFLINE"
    if not constants.HF_HUB_OFFLINE:
        logger.info("fetching %s from the Hugging Face hub", name)
        try:
            files = huggingface_hub.HfApi().list_repo_files(repository, revision=revision)
            wanted = wanted_files(files)
            folder = Path(huggingface_hub.snapshot_download(repository, revision=revision, cache_dir=cache,
                                                            allow_patterns=wanted))  # fmt: skip
            return Checkpoint(name, folder, folder.name)
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__
    raise UserError(
        _how_to_fetch(name, repository, revision or "main", option, reason, cache or constants.HF_HUB_CACHE)
    )


def find_network(
    checkpoint: str | None,
    architecture: Mapping[str, Any] | None,
    architecture_of: Callable[[Path], dict[str, Any]],
    *,
    option: str = "encoder_conf",
) -> tuple[Path | None, dict[str, Any]]:
    """Find what a class with the options ``checkpoint`` and ``architecture`` builds its network from.

    Args:
        checkpoint: Name of the pretrained weights; None: random ones.
        architecture: What the network looks like; None: what the checkpoint says.
        architecture_of: Describes a checkpoint.
        option: The configuration's key that holds both, for messages.

    Returns:
        Path of the weights, None for random ones, and the description.

    Raises:
        UserError: If there is nothing of that name, or neither option is given.
    """
    path = None if checkpoint is None else find_checkpoint(checkpoint, option).path
    if architecture is not None:
        return path, dict(architecture)
    if path is None:
        raise UserError(f"{option} needs a checkpoint: {_KINDS}")
    return path, architecture_of(path)


def wanted_files(files: Iterable[str]) -> list[str]:
    """Return which files of a repository to fetch: descriptions and the weights once, though many have them twice.

    Raises:
        ValueError: If there are no weights in a form that can be read.

    >>> wanted_files(["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"])
    ['config.json', 'model.safetensors']
    """
    there = sorted(files)
    found = next((name for name in WEIGHTS if name in there), None)
    if found is None:
        raise ValueError(f"it has no {WEIGHTS[0]} or {WEIGHTS[2]}")
    weights = [found]
    if found.endswith(".index.json"):
        stem, ending = found.removesuffix(".index.json").split(".")
        weights += [name for name in there if re.fullmatch(rf"{stem}-\d+-of-\d+\.{ending}", name)]
    return [name for name in DESCRIPTIONS if name in there] + weights


def _how_to_fetch(name: str, repository: str, revision: str, option: str, reason: str, cache: Path | str) -> str:
    address = f"https://huggingface.co/{repository}/tree/{revision}"
    return (
        f"{option}: {name} is no file or folder here, is not in the cache of the Hugging Face hub ({cache}), and "
        f"cannot be fetched ({reason}).\n"
        f"Where there is a network, fetch {DESCRIPTIONS[0]}, {DESCRIPTIONS[1]} and {WEIGHTS[0]} (or {WEIGHTS[2]}) from "
        f'{address}, put them in one folder, and give it: --train-args "--{option} checkpoint=FOLDER". '
        f"Or run `hf download {repository} --revision {revision}` and copy that cache here."
    )


def find_checkpoints(config: Mapping[str, Any]) -> dict[str, Checkpoint]:
    """Find all pretrained weights that a run's configuration names, before any work.

    Args:
        config: Composed configuration.

    Returns:
        Checkpoints by the key that names them, e.g. ``encoder_conf``.

    Raises:
        UserError: With every one that is not there.
    """
    found, problems = {}, []
    for key in CONFIGS:
        name = config.get(key, {}).get("checkpoint")
        if name is None:
            continue
        try:
            found[key] = find_checkpoint(str(name), key)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    return found


def add_architectures(
    config: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]], checkpoints: Mapping[str, Checkpoint]
) -> dict[str, Any]:
    """Return a configuration that says of each network with pretrained weights what it looks like, and how wide it is.

    Args:
        config: Composed configuration.
        classes: For each option of a kind of class (``encoder``), the classes by name.
        checkpoints: What ``find_checkpoints`` found.
    """
    described = dict(config)
    for key, checkpoint in checkpoints.items():
        option = key.removesuffix("_conf")
        describe = getattr(classes.get(option, {}).get(config.get(option, "")), "architecture_of", None)
        if describe is not None:
            described[key] = {**config[key], "architecture": describe(checkpoint.path)}
    width = described.get("frontend_conf", {}).get("architecture", {}).get("config", {}).get("hidden_size")
    if described.get("preencoder") == "linear" and width is not None:  # the only class that does not ask its neighbour
        described["preencoder_conf"] = {"input_size": width, **described.get("preencoder_conf", {})}
    return described


def without_checkpoints(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a training so that networks are built without weights, which the trained model brings."""
    bare = dict(arguments)
    for key in CONFIGS:
        options = bare.get(key) or {}
        if "architecture" in options:
            bare[key] = {name: value for name, value in options.items() if name != "checkpoint"}
    return bare
