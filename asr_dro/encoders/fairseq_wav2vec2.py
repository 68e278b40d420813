"""fairseq's wav2vec 2.0 checkpoints as transformers' modules, and transformers' weights as fairseq checkpoints.

The modules compute the same (tests compare every layer with what fairseq computed), so that nothing of fairseq is
needed to train on wav2vec 2.0, XLSR-53, XLS-R and MMS.

Padding, known and kept: in base models (``feat_extract_norm: group``) one group norm takes its statistics over time,
padding included. An utterance's frames therefore depend on how far its batch was padded, in fairseq as in transformers;
masks for the transformer layers do not mend that. Batches of equal lengths or single utterances avoid it. Large models
(``layer``) normalise each frame alone and have no such leak.

Waveforms: where ``FairseqCheckpoint.normalize`` is true, fairseq divides by ``sqrt(variance + 1e-5)``, while
transformers' feature extractor adds 1e-7; for a standard deviation of 0.01 the two differ by 5 %.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Wav2Vec2Config

from asr_dro.encoders.fairseq_checkpoint import FairseqCheckpoint
from asr_dro.encoders.fairseq_config import fairseq_options, transformers_options
from asr_dro.encoders.fairseq_names import (
    HEADS,
    PRETRAINING_ONLY,
    PROJECTION,
    WITH_CTC,
    Head,
    has_projection,
    parametrized,
    tensor_names,
    unparametrized,
)
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

State = dict[str, torch.Tensor]


def to_transformers(checkpoint: FairseqCheckpoint) -> tuple[Wav2Vec2Config, State]:
    """Return the checkpoint as transformers knows it.

    Args:
        checkpoint: A pretrained or fine-tuned model.

    Returns:
        The configuration, whose ``architectures`` names the class that the state is of: ``Wav2Vec2ForCTC`` for a
        fine-tuned model, ``Wav2Vec2ForPreTraining`` for a pretrained one with its quantizer, else ``Wav2Vec2Model``;
        and the state, tensors as they are in the checkpoint.

    Raises:
        UserError: With the names of all tensors that are missing, not known or of another shape than configured.
    """
    state = {unparametrized(name): tensor for name, tensor in checkpoint.state.items()}
    head = _head_of(checkpoint, state)
    config = _config_of(checkpoint, head, state)
    dropped = _pretraining_only(state, head)
    if dropped:
        logger.info("%s: leaves out %s, which only pretraining needs", checkpoint.path, ", ".join(dropped))
    names = tensor_names(config, head)
    _require_names(checkpoint.path, names, {*state} - {*dropped})
    converted = {new: _adapter_squeezed(checkpoint.path, old, state[old]) for old, new in names.items()}
    converted |= _identity_projection(config, head, converted)
    _require_shapes(checkpoint.path, config, converted)
    return config, converted


def _head_of(checkpoint: FairseqCheckpoint, state: State) -> Head:
    if checkpoint.fine_tuned:
        return Head.CTC
    complete = {*HEADS[Head.PRETRAINING]} <= {*state}
    return Head.PRETRAINING if complete and "target_glu.0.weight" not in state else Head.NONE


def _config_of(checkpoint: FairseqCheckpoint, head: Head, state: State) -> Wav2Vec2Config:
    try:
        options = transformers_options(checkpoint.config)
    except UserError as error:
        raise UserError(f"{checkpoint.path}: {error}") from error
    if head is Head.CTC and "w2v_encoder.proj.weight" in state:
        options["vocab_size"] = len(state["w2v_encoder.proj.weight"])
    # fairseq's dictionary begins with <s> <pad> </s> <unk> and its CTC takes <s> as blank; transformers takes <pad>.
    options |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return Wav2Vec2Config(**options, architectures=[head.value])


def _pretraining_only(state: State, head: Head) -> list[str]:
    if head is Head.PRETRAINING:
        return []
    return sorted(name for name in state if name.removeprefix(WITH_CTC).startswith(PRETRAINING_ONLY))


def _require_names(path: Path | str, wanted: Iterable[str], given: set[str]) -> None:
    missing, surplus = sorted({*wanted} - given), sorted(given - {*wanted})
    problems = [
        f"{kind}: {', '.join(names)}" for kind, names in (("missing", missing), ("not known", surplus)) if names
    ]
    if problems:
        raise UserError(
            f"{path}: its tensors do not fit the model that its configuration describes; {'; '.join(problems)}"
        )


def _adapter_squeezed(path: Path, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of transformers' shape: fairseq has a dimension for several adapters, of size 1 here."""
    if ".adapter_layer." not in name:
        return tensor
    if len(tensor) != 1:
        raise UserError(f"{path}: {name} holds {len(tensor)} adapters; only one is supported")
    return tensor[0]


def _identity_projection(config: Wav2Vec2Config, head: Head, converted: State) -> State:
    """Return the projection that transformers always has: the identity where fairseq has none."""
    if has_projection(config):
        return {}
    prefix = "" if head is Head.NONE else "wav2vec2."
    weight, bias = (prefix + name for name in PROJECTION.values())
    width, dtype = config.hidden_size, converted[f"{prefix}encoder.layer_norm.weight"].dtype
    return {weight: torch.eye(width, dtype=dtype), bias: torch.zeros(width, dtype=dtype)}


def _require_shapes(path: Path, config: Wav2Vec2Config, state: State) -> None:
    with torch.device("meta"):
        wanted = _class_of(config)(config).state_dict()
    _require_names(path, wanted, {*state})
    wrong = [f"{name} {tuple(state[name].shape)}, configured {tuple(tensor.shape)}"
             for name, tensor in wanted.items() if state[name].shape != tensor.shape]  # fmt: skip
    if wrong:
        raise UserError(f"{path}: shapes differ from the configuration: {'; '.join(wrong)}")


def head_of(config: Wav2Vec2Config) -> Head:
    """Return which of transformers' classes a configuration is of."""
    return Head((config.architectures or [Head.NONE.value])[0])


def _class_of(config: Wav2Vec2Config) -> Any:
    return getattr(transformers, head_of(config).value)


def build(config: Wav2Vec2Config, state: State) -> Any:
    """Return the model of ``config.architectures`` with copies of the weights in fp32, in evaluation mode.

    No memory is taken for initial weights: with two billion parameters they would be 8 GB more.
    """
    with torch.device("meta"):
        model = _class_of(config)(config)
    model.load_state_dict({name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}, assign=True)
    return model.eval()


def to_fairseq(config: Wav2Vec2Config, state: State, *, normalize: bool, data: str = ".") -> dict[str, Any]:
    """Return what ``torch.save`` writes as a checkpoint that fairseq 0.12 loads.

    Args:
        config: Configuration of transformers' model.
        state: State of a ``Wav2Vec2Model``, ``Wav2Vec2ForPreTraining`` or ``Wav2Vec2ForCTC``.
        normalize: Whether the model expects waveforms of zero mean and unit variance.
        data: Folder where fairseq finds ``dict.ltr.txt``, the symbols of a CTC model.

    Raises:
        UserError: For a configuration or tensors that fairseq's model has no place for.
    """
    state = {parametrized(name): tensor for name, tensor in state.items()}
    head = (
        Head.CTC if "lm_head.weight" in state else Head.PRETRAINING if "quantizer.codevectors" in state else Head.NONE
    )
    prefix = "wav2vec2." if any(name.startswith("wav2vec2.") for name in state) else ""
    state = {name.removeprefix(prefix) if head is Head.NONE else name: tensor for name, tensor in state.items()}
    prefix = "" if head is Head.NONE else "wav2vec2."
    if f"{prefix}masked_spec_embed" not in state:
        logger.warning("the model was never trained with masks: its mask embedding becomes zeros")
        state[f"{prefix}masked_spec_embed"] = torch.zeros(config.hidden_size)
    if not has_projection(config):
        state = _without_identity(config, state, prefix)
    names = tensor_names(config, head)
    _require_names("the model", names.values(), {*state})
    model = {old: state[new][None] if ".adapter_layer." in old else state[new] for old, new in names.items()}
    return _checkpoint(fairseq_options(config), model, config, head, {"normalize": normalize, "data": data})


def _without_identity(config: Wav2Vec2Config, state: State, prefix: str) -> State:
    weight, bias = (prefix + name for name in PROJECTION.values())
    identity = torch.eye(config.hidden_size, dtype=state[weight].dtype)
    if not torch.equal(state[weight], identity) or state[bias].any():
        raise UserError(
            "fairseq projects features only to another width: a projection of equal width has no place in it"
        )
    return {name: tensor for name, tensor in state.items() if name not in (weight, bias)}


def _checkpoint(
    options: dict[str, Any], model: State, config: Wav2Vec2Config, head: Head, task: dict[str, Any]
) -> dict[str, Any]:
    options["quantize_targets"] = head is Head.PRETRAINING
    tasks = {"_name": "audio_pretraining", "sample_rate": 16_000, **task}
    cfg: dict[str, Any] = {"model": options, "task": tasks}
    if head is Head.CTC:
        cfg = {
            "model": {
                "_name": "wav2vec_ctc",
                "w2v_path": "",
                "w2v_args": cfg,
                "final_dropout": config.final_dropout,
                **task,
            },
            "task": {**tasks, "_name": "audio_finetuning", "labels": "ltr"},
        }
        same = ("dropout", "attention_dropout", "activation_dropout", "dropout_input", "mask_prob", "mask_length")
        cfg["model"] |= {key: options[key] for key in (*same, "mask_channel_prob", "mask_channel_length")}
        cfg["model"] |= {key: options[key] for key in ("layer_type", "adp_num", "adp_dim") if key in options}
        cfg["model"] |= {"layerdrop": options["encoder_layerdrop"], "apply_mask": config.apply_spec_augment}
    history = {"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {"best": None}, "num_updates": 0}
    return {
        "args": None,
        "cfg": cfg,
        "model": {name: tensor.contiguous() for name, tensor in model.items()},
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1}},
    }
