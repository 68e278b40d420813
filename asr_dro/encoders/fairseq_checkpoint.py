"""Read wav2vec 2.0 checkpoints of fairseq without fairseq and without running what their pickles ask for.

A ``.pt`` of fairseq is a pickle, and a pickle may name any function to be called while it is read. Here it is read with
``torch.load(weights_only=True)``, and of the names that fairseq's files hold beyond tensors (``ALLOWED_GLOBALS``, found
in files that fairseq 0.12 and omegaconf 2.0 to 2.3 wrote) none is imported: each stands for an object that only keeps
what was stored. Every other name refuses the file.

Layouts that are read: configuration in ``args`` (an ``argparse.Namespace``, fairseq up to 0.10) or ``cfg`` (a dict or
an omegaconf container, since then); pretrained (``wav2vec2``) or fine-tuned with CTC (``wav2vec_ctc``, whose
pretraining's configuration is nested in ``w2v_args``); torch's zip format or the one before it; with language adapters
as in MMS.
"""

from __future__ import annotations

import functools
import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asr_dro.encoders.fairseq_config import ADAPTER_KEYS, FINE_TUNING_KEYS, KNOWN_KEYS
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

ALLOWED_GLOBALS = (
    "argparse.Namespace",
    "fairseq.data.dictionary.Dictionary",  # the symbols of a CTC model, in task_state
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean")),
    "typing.Any",
    "collections.defaultdict",
    *(
        f"builtins.{kind}" for kind in ("dict", "list", "int", "float", "bool", "str")
    ),  # omegaconf notes types of values
    *(f"numpy.{name}" for name in ("core.multiarray.scalar", "_core.multiarray.scalar", "dtype")),  # validation scores
)


@dataclass(frozen=True)
class FairseqCheckpoint:
    """What a wav2vec 2.0 checkpoint of fairseq holds.

    Attributes:
        path: The file.
        config: Options of fairseq's ``wav2vec2`` model by fairseq's names; for a fine-tuned model those of its
            pretraining with the values of the fine-tuning over them.
        state: Tensors by fairseq's names, in the file's precision; views of the file, which must stay as it is.
        fine_tuned: Whether the model is ``wav2vec_ctc``: names start with ``w2v_encoder.`` and a projection follows.
        normalize: Whether the model expects waveforms of zero mean and unit variance.
        sample_rate_hz: Sample rate of the waveforms.
        symbols: Outputs of a CTC model in order, where the file has them: ``<s>`` (the blank), ``<pad>``, ``</s>``, ...
    """

    path: Path
    config: dict[str, Any]
    state: dict[str, torch.Tensor]
    fine_tuned: bool
    normalize: bool
    sample_rate_hz: int
    symbols: tuple[str, ...]


class _Inert:
    """Stands for an object of an allowed class: keeps the state that the pickle gives it and can do nothing."""

    stored: object = None

    def __new__(cls, *arguments: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        self.stored = state

    def __setitem__(self, key: object, value: object) -> None: ...


def read_fairseq_checkpoint(path: Path, language: str | None = None) -> FairseqCheckpoint:
    """Read a wav2vec 2.0 checkpoint (wav2vec 2.0, XLSR-53, XLS-R, MMS; pretrained or fine-tuned with CTC).

    Args:
        path: File that fairseq wrote.
        language: Whose adapter and output layer to take from a file that has them for several languages (MMS).

    Raises:
        UserError: For a file that is damaged, no checkpoint of such a model, or asks for a name that is not allowed.
    """
    loaded = _load(path)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("model"), dict):
        keys = ", ".join(sorted(map(str, loaded))[:8]) if isinstance(loaded, dict) else type(loaded).__name__
        raise UserError(f"{path} is no checkpoint of fairseq: it has no 'model' but {keys}. Weights in Hugging Face's "
                        "layout are read from their folder.")  # fmt: skip
    task_state = loaded.get("task_state")
    state = dict(loaded["model"])
    if language is not None or loaded.get("adapter"):
        adapter = _adapter_of(path, loaded.get("adapter"), language)
        state |= adapter["model"]
        task_state = adapter.get("task_state")
    strange = [str(name) for name, tensor in state.items() if not isinstance(tensor, torch.Tensor)]
    if strange:
        raise UserError(f"{path}: these entries of 'model' are no tensors: {', '.join(strange[:8])}")
    try:
        model, task = _sections(path, loaded)
        return _assemble(path, model, task, state, _symbols(task_state))
    except RecursionError as error:
        raise UserError(f"{path}: its configuration contains itself; this is no file of fairseq") from error


def _load(path: Path) -> Any:
    """Return the unpickled content of ``path``; objects of allowed classes are ``_Inert``."""
    zipped = _check_kind(path)
    try:
        with _only_allowed_globals():
            # mapped: a file of a trainer is two thirds optimiser, which then stays on the disk
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except OSError:
        raise
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        refused = re.search(r"GLOBAL (\S+) ", str(error))
        if refused:
            raise UserError(
                f"{path} is refused: its pickle asks for {refused[1]!r}, which no wav2vec 2.0 checkpoint of fairseq "
                "needs and which could run any code. Nothing was run. Take the file from its publisher; if this is it, "
                "save only its 'model' and 'cfg' (plain dicts) with the software that wrote it."
            ) from error
        reason = str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} cannot be read: it is damaged or no torch checkpoint ({reason}). Compare its size and "
                        "checksum with the publisher's and fetch it again.") from error  # fmt: skip


@contextmanager
def _only_allowed_globals() -> Iterator[None]:
    """Let torch map exactly ``ALLOWED_GLOBALS`` to ``_Inert``: other libraries may have allowed real classes."""
    previous = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([(_Inert, name) for name in ALLOWED_GLOBALS])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(previous)


def _check_kind(path: Path) -> bool:
    """Return whether ``path`` is in torch's zip format; say what it is when it cannot be a checkpoint."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; a fairseq checkpoint is a file (.pt)")
    if not path.is_file():
        raise UserError(f"{path}: no such file. Published checkpoints are listed in fairseq's examples/wav2vec, "
                        "examples/wav2vec/xlsr and examples/mms.")  # fmt: skip
    with open(path, "rb") as file:
        head = file.read(64)
    kind = None
    if not head:
        kind = "is empty"
    elif head.startswith(b"version https://git-lfs"):
        kind = "is a pointer of Git LFS, not the file itself: run `git lfs pull` in its repository"
    elif head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        kind = "is a web page (often an error page saved in the file's place): fetch the file again"
    elif head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        kind = f"ends too early ({path.stat().st_size} bytes): the download was cut, fetch the file again"
    elif head[8:9] == b"{" and not head.startswith(b"\x80"):
        kind = "is a safetensors file: give the Hugging Face folder that it lies in"
    elif not head.startswith((b"PK\x03\x04", b"\x80")):
        kind = f"is no torch checkpoint: it begins with {head[:16]!r}"
    if kind:
        raise UserError(f"{path} {kind}")
    return head.startswith(b"PK")


def _plain(value: Any) -> Any:
    """Return namespaces, omegaconf containers and nodes as dicts, lists and values; interpolations stay strings."""
    if isinstance(value, _Inert):
        stored = value.stored
        if not isinstance(stored, dict):
            return None
        return _plain(stored.get("_content", stored.get("_val"))) if "_metadata" in stored else _plain(stored)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _sections(path: Path, loaded: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the model and of the task; in the old layout both are the one flat namespace."""
    whole = _plain(loaded["args"] if loaded.get("args") is not None else loaded.get("cfg"))
    if not isinstance(whole, dict):
        raise UserError(f"{path} has neither 'args' nor 'cfg': the architecture of its model is not known")
    return _split(whole)


def _split(whole: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(whole.get("model"), dict):
        return whole, whole
    task = whole.get("task")
    return whole["model"], task if isinstance(task, dict) else {}


def _assemble(
    path: Path, model: dict[str, Any], task: dict[str, Any], state: dict[str, torch.Tensor], symbols: tuple[str, ...]
) -> FairseqCheckpoint:
    """Check which model it is and merge the options of pretraining and fine-tuning."""
    kind = model.get("_name") or model.get("arch")
    if kind is None:
        kind = "wav2vec_ctc" if "w2v_encoder.proj.weight" in state else "wav2vec2"
    if kind not in {"wav2vec2", "wav2vec_ctc"}:
        raise UserError(f"{path} is a model '{kind}'; read are 'wav2vec2' (pretrained) and 'wav2vec_ctc' (fine-tuned)")
    config, inner_task = model, task
    if kind == "wav2vec_ctc":
        inner = model.get("w2v_args")
        if not isinstance(inner, dict):
            raise UserError(f"{path} is fine-tuned but lacks 'w2v_args', the options of its pretraining; they are in "
                            f"the checkpoint that it started from ({model.get('w2v_path')})")  # fmt: skip
        inner_model, inner_task = _split(inner)
        config = inner_model | {new: model[old] for old, new in FINE_TUNING_KEYS.items() if old in model}
        config |= {key: model[key] for key in ADAPTER_KEYS if model.get(key) is not None}
    unknown = sorted({str(key) for part in (model, task, config, inner_task) for key in part} - KNOWN_KEYS)
    if unknown:
        _say_once(f"{path}: these options of its configuration are not known here and not used: {', '.join(unknown)}")
    normalize = next(
        (part["normalize"] for part in (task, inner_task) if isinstance(part.get("normalize"), bool)), False
    )
    rate = task.get("sample_rate", 16_000)
    return FairseqCheckpoint(path, config, state, kind == "wav2vec_ctc", normalize, rate, symbols)


@functools.lru_cache(maxsize=64)
def _say_once(message: str) -> None:
    logger.info("%s", message)


def _symbols(task_state: object) -> tuple[str, ...]:
    """Return the symbols of the dictionary that fairseq keeps with a fine-tuned model."""
    dictionary = _plain(task_state).get("target_dictionary") if isinstance(task_state, dict) else None
    symbols = dictionary.get("symbols") if isinstance(dictionary, dict) else None
    return tuple(map(str, symbols)) if isinstance(symbols, list) else ()


def _adapter_of(path: Path, adapters: object, language: str | None) -> dict[str, Any]:
    """Return the weights and symbols of one language."""
    if not isinstance(adapters, dict) or not adapters:
        raise UserError(f"{path} has no language adapters; leave the language '{language}' out")
    chosen = adapters.get(language)
    if not isinstance(chosen, dict) or not isinstance(chosen.get("model"), dict):
        names = sorted(map(str, adapters))
        shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
        raise UserError(
            f"{path} has adapters and an output layer for each language; name one of: {shown} (given: {language})"
        )
    return chosen
