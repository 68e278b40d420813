"""What is known of one experiment, whatever it did not come to."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from asr_dro.collecting.find import Place
from asr_dro.collecting.reading import (
    UnreadableError,
    finite,
    mapping,
    one_line,
    read_epochs,
    read_json_object,
    read_yaml_mapping,
)
from asr_dro.collecting.state import describe_host, run_state
from asr_dro.corpora.registry import CORPORA
from asr_dro.experiment import CHECKPOINTS, ENVIRONMENT, EPOCHS, INPUTS, TRAIN_CONFIG

logger = logging.getLogger(__name__)

SHORT_COMMIT = 12
_HEADER = re.compile(r"^# From (.+) and --train-args\.$", re.MULTILINE)  # train.yaml names its files
_CORPUS = re.compile(rf"({'|'.join(sorted(CORPORA, key=len, reverse=True))})_(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment folder.

    Attributes:
        place: Where it lies.
        corpus: Name of the corpus, empty if unknown.
        lang_set: Label of languages, duration and data configuration, empty if unknown.
        data: Digest of the prepared set, empty if unknown.
        model: Name of the model's file, else of the encoder.
        objective: Name of the objective's file, else of the objective.
        seed: Seed of the training.
        config: ``train.yaml``, empty if absent or damaged.
        state: How far it came, not looking at hypotheses (:mod:`asr_dro.collecting.state`).
        detail: What more there is to say of that.
        audio_h: Hours of training audio in the prepared set.
        gpu_h: GPU hours of training without dev; ``None`` on a CPU.
        cpu_h: Hours of training without dev times processes; ``None`` on a GPU.
        commit: Commit of our code, shortened, ``+`` behind it where files had been changed.
        host: Class of machine.
    """

    place: Place
    corpus: str = ""
    lang_set: str = ""
    data: str = ""
    model: str = ""
    objective: str = ""
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    detail: str = ""
    audio_h: float | None = None
    gpu_h: float | None = None
    cpu_h: float | None = None
    commit: str = ""
    host: str = ""

    @property
    def tag(self) -> str:
        """Name of the experiment."""
        return self.place.tag


def read_run(place: Place) -> Run:
    """Read an experiment; damaged files are named in a warning and count as absent."""
    folder = place.folder
    text, config = _read_config(folder / TRAIN_CONFIG)
    environment, inputs = _read(folder / ENVIRONMENT), _read(folder / CHECKPOINTS / INPUTS)
    epochs, seconds = read_epochs(folder / EPOCHS)
    state, detail = run_state(folder, epochs=epochs, max_epoch=config.get("max_epoch"))
    files = _files_by_axis(text)
    corpus, lang_set = _corpus_and_languages(inputs, environment)
    seed = config.get("seed")
    on_gpu, processes = _devices(environment)
    hours = seconds * processes / 3600 if epochs else None
    audio_s = [finite(value) for value in mapping(environment.get("audio_s")).values()]
    return Run(
        place=place,
        corpus=corpus,
        lang_set=lang_set,
        data=one_line(inputs.get("fingerprint")),
        model=files.get("model") or one_line(config.get("encoder")),
        objective=files.get("objective") or one_line(config.get("objective")),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        config=config,
        state=state,
        detail=detail,
        audio_h=sum(value or 0.0 for value in audio_s) / 3600 if audio_s else None,
        gpu_h=hours if on_gpu else None,
        cpu_h=None if on_gpu else hours,
        commit=_commit(environment),
        host=describe_host(environment),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except UnreadableError as error:
        logger.warning("%s: %s", path.parent, error)
        return {}


def _read_config(path: Path) -> tuple[str, dict[str, Any]]:
    """Read ``train.yaml``: its text and what it says."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, read_yaml_mapping(text)
    except FileNotFoundError:
        return "", {}
    except (OSError, UnicodeDecodeError, UnreadableError) as error:
        logger.warning("%s cannot be read: %s", path, one_line(error))
        return "", {}


def _files_by_axis(text: str) -> dict[str, str]:
    """Read from the top of ``train.yaml`` which files it was composed of: name by folder of conf/."""
    match = _HEADER.search(text)
    paths = [PurePath(part) for part in match[1].split(", ")] if match else []
    return {path.parent.name: one_line(path.stem) for path in paths if path.suffix == ".yaml"}


def _corpus_and_languages(inputs: Mapping[str, Any], environment: Mapping[str, Any]) -> tuple[str, str]:
    """Read the name of the prepared set, else the command's options."""
    if name := PurePath(one_line(inputs.get("data_set"))).name:
        match = _CORPUS.fullmatch(name)
        return (match[1], match[2]) if match else ("", name)
    return _option(environment, "corpus"), _option(environment, "lang-set")


def _option(environment: Mapping[str, Any], name: str) -> str:
    """Read an option of the command that made a run; empty if it had none."""
    try:
        words = shlex.split(str(environment.get("command") or ""))
    except ValueError:
        return ""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    spelt = (f"--{name}", f"--{name.replace('-', '_')}")
    places = [index for index, word in enumerate(words[:-1]) if word in spelt]
    return one_line(words[places[-1] + 1]) if places else ""


def _devices(environment: Mapping[str, Any]) -> tuple[bool, int]:
    """Tell whether a training ran on GPUs, and in how many processes, one for each GPU."""
    if "device" in environment:
        processes = environment.get("processes")
        return environment["device"] == "cuda", processes if isinstance(processes, int) and processes > 0 else 1
    asked = _option(environment, "ngpu")  # older records
    count = int(asked) if asked.isdecimal() and len(asked) < 6 else 0
    return count > 0, max(count, 1)


def _commit(environment: Mapping[str, Any]) -> str:
    commit = one_line(environment.get("commit"))[:SHORT_COMMIT]
    return f"{commit}+" if commit and environment.get("dirty") else commit
