"""Configuration: one small file per choice (``conf/<axis>/<name>.yaml``), composed once and checked before any work.

The composed file, ``exp/<tag>/train.yaml``, is what a run records. Keys carry ESPnet's names where ESPnet has the
option, so an ESPnet user reads it at once; ``objective``, ``batching`` and the selection keys are ours.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from asr_dro.batching import BatchingConfig
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, LAST_CHECKPOINT
from asr_dro.fileio import atomic_open
from asr_dro.objectives import check_objective
from asr_dro.repository import find_repository
from asr_dro.training.augmentation import check_augmentation
from asr_dro.training.finetuning import check_finetuning
from asr_dro.training.heads import WHISPER, read_heads

REPOSITORY = find_repository()

NUMBER = (int, float)
# Key of train.yaml -> types it may have; None in a tuple means that null is allowed.
KEYS: dict[str, tuple[type | None, ...]] = {
    # the network, ESPnet's names
    "frontend": (str, None),
    "frontend_conf": (dict,),
    "input_size": (int, None),
    "specaug": (str, None),
    "specaug_conf": (dict,),
    "normalize": (str, None),
    "normalize_conf": (dict,),
    "preencoder": (str, None),
    "preencoder_conf": (dict,),
    "encoder": (str,),
    "encoder_conf": (dict,),
    "postencoder": (str, None),
    "postencoder_conf": (dict,),
    "decoder": (str, None),
    "decoder_conf": (dict,),
    "ctc_conf": (dict,),
    "model_conf": (dict,),
    "init": (str, None),
    "init_param": (list,),
    # optimisation, ESPnet's names
    "optim": (str,),
    "optim_conf": (dict,),
    "scheduler": (str, None),
    "scheduler_conf": (dict,),
    "max_epoch": (int,),
    "patience": (int, None),
    "grad_clip": NUMBER,
    "exclude_weight_decay": (bool,),
    "num_workers": (int,),
    "use_tensorboard": (bool,),
    "seed": (int,),
    # ours
    "objective": (str,),
    "objective_conf": (dict,),
    "batching": (dict,),
    "augmentation": (dict,),
    "dev_seconds_per_batch": NUMBER,
    "select_by": (str,),
    "average_best": (int,),
    "freeze": (list,),
    "freeze_updates": (int,),
    "layer_decay": NUMBER,
    "head_lr_scale": NUMBER,
    "lora": (dict, None),
    "precision": (str,),
    "save_every_updates": (int,),
}
SELECTIONS = ("mean_cer", "worst_cer", "mean_loss", "worst_loss")
AT_LEAST_ONE = ("max_epoch", "average_best", "patience")
REQUIRED = ("encoder", "optim", "max_epoch", "objective", "batching", "seed")


def _config_folders(axis: str) -> list[Path]:
    return list(dict.fromkeys([Path("conf") / axis, REPOSITORY / "conf" / axis]))


def find_config(axis: str, name: str) -> Path:
    """Find ``conf/<axis>/<name>.yaml`` in the current directory (a recipe's own file wins) or in the repository.

    Raises:
        UserError: If there is none; the message lists those that exist.
    """
    folders = _config_folders(axis)
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    raise UserError(f"no {axis} is called {name!r}; there are: {', '.join(names_of(axis)) or 'none'}")


def names_of(axis: str) -> list[str]:
    """List the names of an axis's files, a recipe's own and the repository's."""
    return sorted({path.stem for folder in _config_folders(axis) for path in folder.glob("*.yaml")})


def load_yaml(path: Path, *, interpolate: bool = True) -> dict[str, Any]:
    """Read a YAML mapping with OmegaConf, which takes ``1e-4`` for a number (PyYAML reads a string).

    Args:
        path: The file.
        interpolate: Whether ``${key}`` stands for another key's value; otherwise it is text.

    Raises:
        UserError: If the file cannot be read as a mapping.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=interpolate)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} is not a readable YAML file: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping (key: value lines), not a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def parse_overrides(arguments: str) -> dict[str, Any]:
    """Parse ``--train-args``: ESPnet's style, e.g. ``--max_epoch 2 --optim_conf lr=1e-3 --batching.kind mixed``.

    Args:
        arguments: One string, split as a shell splits words; nothing in it is executed.

    Returns:
        A nested mapping of the options given.

    Raises:
        UserError: If a word is neither an option nor the value of one.
    """
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        raise UserError(f"--train-args {arguments!r} cannot be split into words: {error}") from error
    pairs: list[str] = []
    while words:
        option, *words = words
        if not option.startswith("--") or option == "--":
            raise UserError(f"--train-args: {option!r} is not an option; write --key value or --key_conf name=value")
        key, equals, value = option[2:].partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise UserError(f"--train-args: {option} needs a value")
            value, *words = words
        inner, equals, inner_value = value.partition("=")
        pairs.append(f"{key}.{inner}={inner_value}" if equals and dict in KEYS.get(key, ()) else f"{key}={value}")
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist(pairs), resolve=True)
    except (YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"--train-args {arguments!r} cannot be understood: {error}") from error
    assert isinstance(parsed, dict)
    return {str(key): value for key, value in parsed.items()}


def compose(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge mappings, later ones winning key by key at every depth, and check the result.

    Whisper's decoder without a checkpoint of its own takes the encoder's.

    Raises:
        UserError: With every problem found, one a line.
    """
    composed: dict[str, Any] = {}
    for part in parts:
        composed = _merge(composed, part)
    encoder, decoder = composed.get("encoder_conf", {}), composed.get("decoder_conf", {})
    if composed.get("decoder") == WHISPER and isinstance(encoder, Mapping) and isinstance(decoder, Mapping):
        composed["decoder_conf"] = {key: encoder[key] for key in ("checkpoint",) if key in encoder} | {**decoder}
    problems = find_problems(composed)
    problems += _problems_of(lambda: check_objective(composed["objective"], composed.get("objective_conf", {})))
    problems += _problems_of(lambda: BatchingConfig.from_mapping(composed["batching"]))
    problems += _problems_of(lambda: check_augmentation({**composed.get("augmentation", {})}))
    problems += _problems_of(lambda: check_finetuning(composed))
    problems += _problems_of(lambda: read_heads(composed))
    if problems:
        raise UserError("the configuration has mistakes:\n  " + "\n  ".join(problems))
    return composed


def _problems_of(check: Callable[[], object]) -> list[str]:
    """Return the message of a check that fails; what it needs and is missing has been reported already."""
    try:
        check()
    except UserError as error:
        return [str(error)]
    except (KeyError, TypeError):
        return []
    return []


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def find_problems(config: Mapping[str, Any]) -> list[str]:
    """List every mistake of a composed configuration that can be seen without importing torch or ESPnet."""
    problems = [f"{key} is missing" for key in REQUIRED if key not in config]
    for key, value in config.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            problems.append(f"{key} is not a key" + (f"; did you mean {near[0]}?" if near else ""))
        elif not _has_type(value, KEYS[key]):
            allowed = " or ".join("null" if type_ is None else type_.__name__ for type_ in KEYS[key])
            problems.append(f"{key} must be {allowed}, not {value!r}")
        elif key in AT_LEAST_ONE and value is not None and value < 1:
            problems.append(f"{key} must be at least 1, not {value}")
    if config.get("select_by", SELECTIONS[0]) not in SELECTIONS:
        problems.append(f"select_by is {config['select_by']!r}; allowed: {', '.join(SELECTIONS)}")
    return problems


def _has_type(value: object, allowed: tuple[type | None, ...]) -> bool:
    if isinstance(value, bool):  # bool is an int to Python, but `max_epoch: true` is a mistake
        return bool in allowed
    return any(value is None if type_ is None else isinstance(value, type_) for type_ in allowed)


def run_config_files(model: str, objective: str, languages: Sequence[str] = ()) -> list[Path]:
    """Return the files of a run's configuration, later ones winning: of the model, the language, the objective.

    Args:
        model: Name of a file in conf/model.
        objective: Name of a file in conf/objective.
        languages: Labels of the run's languages; exactly one takes ``conf/lang/<label>.yaml`` where there is one.

    Raises:
        UserError: If there is no such model or objective.
    """
    files = [find_config("model", model)]
    if len(languages) == 1:
        overlays = [folder / f"{languages[0]}.yaml" for folder in _config_folders("lang")]
        files += [path for path in overlays if path.is_file()][:1]
    return [*files, find_config("objective", objective)]


def compose_run(
    model: str, objective: str, *, seed: int, train_args: str = "", languages: Sequence[str] = ()
) -> dict[str, Any]:
    """Compose the configuration of a run from the names of its choices.

    Args:
        model: Name of a file in conf/model.
        objective: Name of a file in conf/objective.
        seed: Seed of the run.
        train_args: ``--train-args``; wins over the files.
        languages: Labels of the run's languages (see :func:`run_config_files`).

    Raises:
        UserError: With every problem found.
    """
    files = run_config_files(model, objective, languages)
    return compose([*map(load_yaml, files), {"seed": seed}, parse_overrides(train_args)])


def write_run_config(path: Path, config: Mapping[str, Any], files: Sequence[Path] = ()) -> None:
    """Write ``exp/<tag>/train.yaml``; never change the configuration of a training that has begun.

    Args:
        path: The file.
        config: Composed configuration.
        files: What it was composed of, noted at its top.

    Raises:
        UserError: If the experiment has checkpoints of another configuration; the message names the keys that differ.
    """
    if path.exists():
        old = load_yaml(path)
        if old == config:
            return
        if (path.parent / CHECKPOINTS / LAST_CHECKPOINT).exists():
            differing = sorted(key for key in old.keys() | config.keys() if old.get(key) != config.get(key))
            lines = "\n".join(f"  {key}: {old.get(key)} -> {config.get(key)}" for key in differing)
            raise UserError(
                f"{path.parent} was trained with another configuration:\n{lines}\n"
                f"Give this run a name of its own (--exp-tag NAME), or remove {path.parent} to train it anew."
            )
    with atomic_open(path) as file:
        file.write("# Composed configuration of this run; change conf/ or --train-args, not this file.\n")
        if files:
            file.write(f"# From {', '.join('/'.join(one.parts[-3:]) for one in files)} and --train-args.\n")
        file.write(OmegaConf.to_yaml(OmegaConf.create(dict(config))))
