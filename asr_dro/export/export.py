"""A trained model in the form of another toolkit, with its card."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL
from asr_dro.fileio import atomic_directory
from asr_dro.logs import errors_of_others_only

logger = logging.getLogger(__name__)

FORMATS = ("hf", "espnet")
_CARD = "README.md"
# What a Hugging Face folder of ours may hold; one with anything else in it is never replaced.
_OURS = frozenset(
    (_CARD, "config.json", "model.safetensors", "vocab.json", "tokenizer_config.json", "preprocessor_config.json",
     "processor_config.json", "special_tokens_map.json", "added_tokens.json", "model.safetensors.index.json")
)  # fmt: skip
_HF_USAGE = """
from transformers import pipeline

recognize = pipeline("automatic-speech-recognition", model="NAME")
print(recognize("speech.wav")["text"])  # files need the program ffmpeg; arrays at 16 kHz do not
"""
_ESPNET_USAGE = """
from pathlib import Path

import soundfile
from espnet2.bin.asr_inference import Speech2Text
from espnet2.main_funcs.pack_funcs import unpack

recognize = Speech2Text(**unpack("NAME", Path("unpacked")), ctc_weight=1.0, beam_size=5)
samples, rate_hz = soundfile.read("speech.wav", dtype="float32")  # 16 kHz, one channel
print(recognize(samples)[0][0])
"""


@dataclass(frozen=True)
class _Form:
    """How a form is made.

    Attributes:
        library: Its toolkit, as the hub names it.
        problems: Says why a model cannot have it.
        usage: Python code that uses it.
    """

    library: str
    problems: Callable[[Mapping[str, Any]], list[str]]
    usage: str


def export(experiment: Path, out: Path, form: str, *, overwrite: bool = False) -> None:
    """Write a model in another form.

    Args:
        experiment: Folder of a finished training.
        out: Folder for ``hf``, a file that ends in ``.zip`` for ``espnet``.
        form: One of ``FORMATS``.
        overwrite: Replace ``out`` if it is there.

    Raises:
        UserError: If there is no model, the form has no place for it, or ``out`` is in the way.
    """
    _check(experiment, out, form, overwrite=overwrite)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from asr_dro.decoding import model_loading
    from asr_dro.export import espnet_pack, hugging_face, model_card

    arguments = model_loading.read_arguments(experiment)
    chosen = {
        "hf": _Form("transformers", hugging_face.problems, _HF_USAGE),
        "espnet": _Form("espnet", espnet_pack.problems, _ESPNET_USAGE),
    }[form]
    problems = chosen.problems(arguments)
    if problems:
        raise UserError(f"{experiment} cannot be exported as {form}:\n  " + "\n  ".join(problems) + _advice(form))
    facts = model_card.read_facts(experiment, arguments)
    if facts.scores is None:
        logger.warning("%s has no scores of test; the card says so. Stages 5 and 6 make them.", experiment)
    text = model_card.card(facts, library=chosen.library, usage=chosen.usage.replace("NAME", out.name))
    with errors_of_others_only():
        model = _merged(model_loading, experiment)
        if form == "hf":
            with atomic_directory(out) as folder:
                hugging_face.write_folder(folder, model)
                (folder / _CARD).write_text(text, encoding="utf-8")
        else:
            _write_pack(out, lambda path: espnet_pack.write_pack(path, arguments, model, text))
    logger.info("%s -> %s; its card says that licences are unknown: set them before you publish it", experiment, out)


def _check(experiment: Path, out: Path, form: str, *, overwrite: bool) -> None:
    """Check everything that needs no model."""
    problems = []
    if form not in FORMATS:
        problems.append(f"--format is {form!r}; allowed: {', '.join(FORMATS)}")
    missing = [name for name in (ESPNET_CONFIG, f"{CHECKPOINTS}/{MODEL}") if not (experiment / name).is_file()]
    if missing:
        problems.append(f"{experiment} holds no trained model: {' and '.join(missing)} missing; run stage 4 first")
    if form == "espnet" and out.suffix != ".zip":
        problems.append(f"{out}: the name of a model pack ends in .zip")
    if os.path.lexists(out):
        if not overwrite:
            problems.append(f"{out} is there already; --overwrite replaces it")
        elif form == "hf" and not _is_ours(out):
            problems.append(f"{out} holds more than an exported model, so it is not replaced; remove it yourself")
        elif form == "espnet" and not out.is_file():
            problems.append(f"{out} is no file, so it is not replaced")
    if problems:
        raise UserError("\n".join(problems))


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and {path.name for path in folder.iterdir()} <= _OURS


def _advice(form: str) -> str:
    if form == "hf":
        return "\nModels of conf/model/xlsr, mms, mms_1b and wav2vec2_fairseq can be."
    return "\nEvery model works with python -m asr_dro.bin.transcribe; those on wav2vec 2.0 can be exported as hf."


def _merged(model_loading: Any, experiment: Path) -> Any:
    """Load the model, and add its adapters to its weights."""
    import torch

    from asr_dro.training.adapters import merge_adapters

    model = model_loading.load_model(experiment, torch.device("cpu"))
    count = merge_adapters(model)
    if count:
        logger.info("%d LoRA adapters are added to the weights", count)
    return model


def _write_pack(out: Path, write: Callable[[Path], None]) -> None:
    """Write a file whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.tmp.{os.getpid()}")
    try:
        write(temporary)
        shutil.move(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
