"""A fairseq wav2vec 2.0 checkpoint as a Hugging Face folder, and a folder as a checkpoint."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from asr_dro.encoders.fairseq_checkpoint import FairseqCheckpoint, read_fairseq_checkpoint
from asr_dro.encoders.fairseq_names import Head
from asr_dro.errors import UserError
from asr_dro.fileio import atomic_directory, atomic_open, write_json

if TYPE_CHECKING:
    from transformers import Wav2Vec2Config

logger = logging.getLogger(__name__)

SPECIAL_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")  # the first of every fairseq dictionary; its file leaves them out


def convert(source: Path, target: Path, *, overwrite: bool = False, language: str | None = None) -> None:
    """Write the checkpoint file ``source`` as a Hugging Face folder, or the folder ``source`` as a checkpoint file.

    Args:
        source: File of fairseq (``.pt``) or folder with ``config.json`` and weights.
        target: Folder or file (``.pt``) to write; it appears when it is complete.
        overwrite: Whether to replace a target that is there.
        language: Whose adapter and output layer to take from a checkpoint that has several (MMS).

    Raises:
        UserError: For a source that cannot be read and for a target that must not be written.
    """
    if source.is_dir():
        _check_file(source, target, overwrite)
        if language is not None:
            raise UserError("--language chooses among the adapters of a fairseq checkpoint; a folder holds one model")
        folder_to_checkpoint(source, target)
    else:
        _check_folder(source, target, overwrite)
        checkpoint_to_folder(source, target, language)


def _check_file(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix != ".pt" or target.is_dir():
        raise UserError(
            f"{source} is a folder, so that {target} becomes a fairseq checkpoint: give a name ending in .pt"
        )
    there = [str(path) for path in (target, target.with_name("dict.ltr.txt")) if path.exists()]
    if there and not overwrite:
        raise UserError(f"there already: {', '.join(there)}; choose another name or add --overwrite")


def _check_folder(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix == ".pt" or target.is_file():
        raise UserError(f"{source} is a file, so that {target} becomes a folder: give a folder's name")
    if target.resolve() in source.resolve().parents:
        raise UserError(f"{target} holds {source}; it would be replaced with its own source")
    if not target.exists() or not any(target.iterdir()):
        return
    if not overwrite:
        raise UserError(f"there already: {target}; choose another name or add --overwrite")
    if not (target / "config.json").is_file():  # --overwrite removes the folder: never one that is something else
        raise UserError(f"{target} is no Hugging Face model (no config.json) and is not replaced; choose another name")


def checkpoint_to_folder(source: Path, target: Path, language: str | None = None) -> None:
    """Write a checkpoint as config.json, model.safetensors, preprocessor_config.json and, with symbols, a tokenizer.

    Weights are written in float32: files of fairseq often hold half precision, which a folder's readers would train in.
    """
    checkpoint = read_fairseq_checkpoint(source, language)  # first: a wrong file need not wait for transformers
    from transformers import Wav2Vec2FeatureExtractor

    from asr_dro.encoders.fairseq_wav2vec2 import build, head_of, to_transformers

    config, state = to_transformers(checkpoint)
    config.dtype = torch.float32
    model = build(config, state)
    with atomic_directory(target) as folder:
        model.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(  # type: ignore[no-untyped-call]
            sampling_rate=checkpoint.sample_rate_hz,
            do_normalize=checkpoint.normalize,
            # base models were trained without masks; transformers' processors pad them with zeros alone
            return_attention_mask=config.feat_extract_norm == "layer",
        ).save_pretrained(folder)
        if checkpoint.fine_tuned:
            _write_tokenizer(folder, checkpoint, config)
    logger.info("%s: %s", target, head_of(config).value)


def _write_tokenizer(folder: Path, checkpoint: FairseqCheckpoint, config: Wav2Vec2Config) -> None:
    """Write the symbols for transformers, whose blank is called ``<pad>``: it changes names with fairseq's ``<s>``."""
    from transformers import Wav2Vec2CTCTokenizer

    symbols = checkpoint.symbols
    if symbols[:4] != SPECIAL_SYMBOLS or len(symbols) != config.vocab_size:
        logger.warning("%s has no symbols for its %s outputs: no tokenizer is written; make vocab.json of its "
                       "dict.*.txt", checkpoint.path, config.vocab_size)  # fmt: skip
        return
    ordered = ("<pad>", "<s>", *symbols[2:])
    vocabulary = folder / "vocab.json"
    write_json(vocabulary, {symbol: index for index, symbol in enumerate(ordered)})
    Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)  # type: ignore[no-untyped-call]


def folder_to_checkpoint(source: Path, target: Path) -> None:
    """Write a folder's model as a file that fairseq loads; a CTC model's symbols go to dict.ltr.txt beside it."""
    described = _described(source)
    from asr_dro.encoders.fairseq_wav2vec2 import head_of, to_fairseq

    config, state = _read_weights(source, described["architectures"][0])
    preprocessor = _read_json(source / "preprocessor_config.json")
    normalize = bool(preprocessor.get("do_normalize", True))  # transformers' own default
    checkpoint = to_fairseq(config, state, normalize=normalize, data=str(target.parent.resolve()))
    if head_of(config) is Head.CTC:
        _write_dictionary(source, target.with_name("dict.ltr.txt"), config)
    with atomic_open(target, "wb") as file:
        torch.save(checkpoint, file)
    logger.info("%s: %s", target, checkpoint["cfg"]["model"]["_name"])


def _described(source: Path) -> dict[str, Any]:
    """Return config.json of a model that can be converted."""
    described = _read_json(source / "config.json")
    names = described.get("architectures") or [None]
    known = [head.value for head in Head]
    if described.get("model_type") != "wav2vec2" or names[0] not in known:
        raise UserError(f"{source}: config.json describes {described.get('model_type')} {names[0]}; converted are "
                        f"{', '.join(known)}")  # fmt: skip
    return described


def _read_weights(source: Path, name: str) -> tuple[Wav2Vec2Config, dict[str, torch.Tensor]]:
    """Return a folder's configuration and its weights in the precision that they are stored in."""
    import transformers

    try:
        model, report = getattr(transformers, name).from_pretrained(
            source, local_files_only=True, dtype="auto", output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{source} cannot be loaded: {error}") from error
    wrong = [
        f"{kind}: {', '.join(map(str, sorted(report[kind])))}"
        for kind in ("missing_keys", "mismatched_keys")
        if report[kind]
    ]
    if wrong:
        raise UserError(f"{source}: its weights do not fit its config.json; {'; '.join(wrong)}")
    return model.config, model.state_dict()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; a Hugging Face folder has config.json, preprocessor_config.json and "
                        "weights") from error  # fmt: skip
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object")
    return value


def _write_dictionary(source: Path, target: Path, config: Wav2Vec2Config) -> None:
    """Write vocab.json as fairseq's dictionary file, which begins behind the special symbols."""
    path = source / "vocab.json"
    vocabulary = _read_json(path) if path.is_file() else {}
    ordered = sorted(vocabulary, key=lambda symbol: vocabulary[symbol])
    usual = ordered[:4] == ["<pad>", "<s>", *SPECIAL_SYMBOLS[2:]]
    if not usual or [vocabulary[symbol] for symbol in ordered] != list(range(config.vocab_size or 0)):
        logger.warning("%s does not begin as fairseq's dictionaries do or does not name all %s outputs: fairseq needs "
                       "a dict.ltr.txt of your own to load the model", path, config.vocab_size)  # fmt: skip
        return
    with atomic_open(target) as file:
        file.writelines(f"{symbol} 1\n" for symbol in ordered[4:])
