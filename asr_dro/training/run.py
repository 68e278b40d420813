"""Stage 4: from ``train.yaml`` and a prepared set to ESPnet's arguments, and off."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import logging
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from asr_dro.config import REPOSITORY, compose, load_yaml
from asr_dro.data.config import check_tokens
from asr_dro.data.tokens import config_of_set
from asr_dro.encoders.pretrained import Checkpoint, add_architectures, find_checkpoints
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, ENVIRONMENT, INPUTS, LAST_CHECKPOINT, MODEL, TRAIN_CONFIG, TRAIN_LOG
from asr_dro.fileio import write_json
from asr_dro.fingerprint import content_fingerprint
from asr_dro.lock import locked
from asr_dro.training.augmentation import check_augmentation
from asr_dro.training.heads import read_heads
from asr_dro.training.interruption import CURRENT

logger = logging.getLogger(__name__)

SPLITS = {"train": "train", "valid": "dev"}


def train(data_set: Path, experiment: Path, *, ngpu: int) -> Path:
    """Train, or go on from the last checkpoint, or find that all is done.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        experiment: Folder ``exp/<tag>`` that holds ``train.yaml``.
        ngpu: Number of GPUs; 0 is the CPU.

    Returns:
        The path of the final model.

    Raises:
        UserError: For mistakes in the configuration, a set that is not the one the training began with, or another run
            in the same folder.
        TrainingInterrupted: If a signal asked it to stop; the checkpoint is written.
    """
    config = compose([load_yaml(experiment / TRAIN_CONFIG)])
    model = experiment / CHECKPOINTS / MODEL
    check_inputs(data_set, experiment)
    if model.exists():
        logger.info("%s is trained already", experiment)
        return model
    with CURRENT.listening(), contextlib.ExitStack() as held:
        if int(os.environ.get("RANK", "0")) == 0:  # the first of several processes holds it for all
            held.enter_context(locked(experiment))
        _train(config, data_set, experiment, ngpu=ngpu)
    return model


def _train(config: Mapping[str, Any], data_set: Path, experiment: Path, *, ngpu: int) -> None:
    check_tokens(config_of_set(data_set), decoder=config.get("decoder"))
    check_audio(config, data_set)
    checkpoints = find_checkpoints(config)
    from asr_dro.logs import chatter_to_file, log_to_file

    log = experiment / TRAIN_LOG
    with log_to_file(log):
        with chatter_to_file(log):  # ESPnet costs seconds to import: only now
            from asr_dro.task import GroupRobustASRTask, choices
            from asr_dro.training.environment import describe_environment, describe_training
            from asr_dro.training.precision import check_precision

        check_precision(config.get("precision", "fp32"), ngpu=ngpu)
        problems = find_unknown_options(config, {name: table.classes for name, table in choices().items()})
        if problems:
            raise UserError("the configuration has mistakes:\n  " + "\n  ".join(problems))
        used = {key: {**vars(found), "path": str(found.path)} for key, found in checkpoints.items()}
        made_of = {**describe_environment(REPOSITORY), **describe_training(data_set, ngpu=ngpu)}
        write_json(experiment / ENVIRONMENT, {**made_of, "checkpoints": used})
        arguments = espnet_arguments(config, data_set, experiment, ngpu=ngpu, checkpoints=checkpoints)
        if ngpu > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1:  # spawned by ESPnet, or started by torchrun
            GroupRobustASRTask.main(args=arguments)
        else:  # what main() does for one process, without printing the command line
            arguments.distributed = False
            arguments.version = metadata.version("espnet")
            GroupRobustASRTask.main_worker(arguments)


def check_inputs(data_set: Path, experiment: Path) -> None:
    """Refuse to go on with a training whose data have changed under it.

    Raises:
        UserError: If a file of stages 1 to 3 is missing or differs from the one that the training began with.
    """
    files = {name: data_set / name for name in ("tokens.txt", "groups.txt", "train/utt2num_samples", "train/token_ids")}
    missing = [str(path) for path in files.values() if not path.exists()]
    if missing:
        raise UserError(f"missing: {', '.join(missing)}; run stages 1 to 3 first")
    inputs = {"data_set": str(data_set), "fingerprint": content_fingerprint(files, version="1")}
    record = experiment / CHECKPOINTS / INPUTS
    if not (experiment / CHECKPOINTS / LAST_CHECKPOINT).exists() or not record.exists():  # nothing is trained yet
        write_json(record, inputs)
    elif load_yaml(record)["fingerprint"] != inputs["fingerprint"]:
        raise UserError(
            f"{experiment} was trained on other data than {data_set} holds now (tokens, groups or lengths differ). "
            f"Give this run a name of its own (--exp-tag NAME), or remove {experiment} to train it anew."
        )


def check_audio(config: Mapping[str, Any], data_set: Path) -> None:
    """Look for the audio of train and dev, and open all noise, before anything costs time.

    Raises:
        UserError: If a split has no audio, or noise cannot be read.
    """
    from asr_dro.data.audio_reading import check_audio_is_there
    from asr_dro.data.packed_columns import read_strings
    from asr_dro.training.noise import check_noise, find_noise

    for split in SPLITS.values():
        scp = data_set / split / "wav.scp"
        check_audio_is_there(read_strings(scp)[1], scp)
    noise = check_augmentation(config.get("augmentation", {})).noise
    if noise is not None:
        check_noise(find_noise(Path(noise.folder)))


def find_unknown_options(config: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List classes that do not exist and options that a class does not have.

    ESPnet notices neither before the model is built, and then only the first.

    Args:
        config: Composed configuration.
        classes: For each option of a kind of class (``encoder``), the classes by name.
    """
    problems = []
    for key, table in classes.items():
        name = config.get(key)
        if name is None:
            continue
        if name not in table:
            problems.append(f"{key}: {name!r} is unknown; allowed: {', '.join(sorted(table))}")
            continue
        parameters = inspect.signature(table[name]).parameters
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            continue
        known = sorted(set(parameters) - {"input_size", "vocab_size", "encoder_output_size"})
        for option in sorted(set(config.get(f"{key}_conf", {})) - set(known)):
            problems.append(f"{key}_conf: {name} has no option {option!r}; it has: {', '.join(known)}")
    return problems


def espnet_arguments(
    config: Mapping[str, Any],
    data_set: Path,
    experiment: Path,
    *,
    ngpu: int,
    checkpoints: Mapping[str, Checkpoint] | None = None,
) -> argparse.Namespace:
    """Return ESPnet's arguments for a run; everything derived (tokens, groups, number of updates) is filled in here.

    Raises:
        UserError: If a network cannot be made of its checkpoint, or only the head would ever learn.
    """
    from asr_dro.task import GroupRobustASRTask, choices
    from asr_dro.training.utterances import UtteranceTable

    arguments: argparse.Namespace = GroupRobustASRTask.get_parser().parse_args([])
    found = find_checkpoints(config) if checkpoints is None else checkpoints
    config = add_architectures(config, {name: table.classes for name, table in choices().items()}, found)
    own = {"objective", "objective_conf"}
    for key, value in config.items():
        if key not in own:
            setattr(arguments, key, value)
    table = UtteranceTable.read(data_set, "train")
    batches = table.training_batches(config["batching"], config["seed"])
    logger.info("batches: %s", ", ".join(f"{key} {value:.4g}" for key, value in batches.describe().items()))
    arguments.accum_grad = batches.batches_per_update
    total = batches.updates_per_epoch * config["max_epoch"]
    _check_freezing(config.get("freeze_updates", 0), total)
    if config.get("scheduler") == "tri_stage":
        arguments.scheduler_conf = {**config.get("scheduler_conf", {}), "total_updates": total}
    arguments.model_conf = {
        "objective": config["objective"],
        "objective_conf": config.get("objective_conf", {}),
        "group_names": list(table.group_names),
        **read_heads(config),
        "precision": config.get("precision", "fp32"),
    }
    _set_data(arguments, data_set)
    arguments.output_dir = str(experiment)
    arguments.resume = True
    arguments.use_matplotlib = False  # ESPnet's default draws after each epoch, before it writes the checkpoint
    _set_devices(arguments, ngpu)
    return arguments


def _set_data(arguments: argparse.Namespace, data_set: Path) -> None:
    """Name the files of a prepared set."""
    for mode, split in SPLITS.items():
        files = [("wav.scp", "speech", "sound"), ("token_ids", "text", "text_int"), ("group_ids", "group", "text_int")]
        triples = [(str(data_set / split / file), name, kind) for file, name, kind in files]
        setattr(arguments, f"{mode}_data_path_and_name_and_type", triples)
    arguments.data_set = str(data_set)
    arguments.token_list = str(data_set / "tokens.txt")


def _set_devices(arguments: argparse.Namespace, ngpu: int) -> None:
    arguments.ngpu = ngpu
    arguments.multiprocessing_distributed = ngpu > 1
    arguments.dist_backend = "nccl" if ngpu else "gloo"


def _check_freezing(freeze_updates: int, total: int) -> None:
    """Refuse a training that ends before anything but the head learns."""
    if freeze_updates >= total:
        raise UserError(
            f"freeze_updates is {freeze_updates}, but the training has {total} updates in all: only the head would "
            "learn. Lower it, raise max_epoch, or freeze the rest for good (freeze)."
        )
