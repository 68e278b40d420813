"""wav2vec 2.0 networks of transformers, from a Hugging Face folder, a fairseq checkpoint, or a description alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from asr_dro.encoders.networks import load_folder, usable_attention
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

DROPOUT = {  # ours: transformers'
    "projection": "feat_proj_dropout",
    "hidden": "hidden_dropout",
    "attention": "attention_dropout",
    "activation": "activation_dropout",
}
# Added to the variance before a waveform is divided by its root: by transformers' feature extractor, by fairseq.
HUGGING_FACE_EPS, FAIRSEQ_EPS = 1e-7, 1e-5
# Keys of config.json that decide about shapes and computation; the others are of pretraining, or options of ours.
_STRUCTURE = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps"),
    *("feat_extract_norm", "feat_extract_activation", "conv_dim", "conv_stride", "conv_kernel", "conv_bias"),
    *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "do_stable_layer_norm", "adapter_attn_dim"),
    "initializer_range",
)


def architecture_of(checkpoint: Path) -> dict[str, Any]:
    """Describe a checkpoint without its weights.

    Args:
        checkpoint: Folder of transformers, or file of fairseq.

    Returns:
        ``config``: options of ``Wav2Vec2Config``; ``normalize_eps``: added to the variance of
        waveforms, null if the network takes them as they are.

    Raises:
        UserError: If it is not of a wav2vec 2.0 network.
    """
    if checkpoint.is_dir():
        described = _read_json(checkpoint / "config.json")
        if described.get("model_type") != "wav2vec2":
            raise UserError(f"{checkpoint} is of a {described.get('model_type')} network, not of wav2vec2")
        config = Wav2Vec2Config.from_dict(described)
        eps = HUGGING_FACE_EPS if _normalizes(checkpoint) else None
    else:
        from asr_dro.encoders.fairseq_checkpoint import read_fairseq_checkpoint
        from asr_dro.encoders.fairseq_wav2vec2 import to_transformers

        fairseq = read_fairseq_checkpoint(checkpoint)
        config, _ = to_transformers(fairseq)
        eps = FAIRSEQ_EPS if fairseq.normalize else None
    if config.add_adapter:
        raise UserError(f"{checkpoint} ends in layers that shorten its output (add_adapter), which is not supported")
    kept = {key: getattr(config, key) for key in _STRUCTURE}
    return {"config": json.loads(json.dumps(kept)), "normalize_eps": eps}  # lists in place of tuples: it goes to YAML


def _normalizes(folder: Path) -> bool:
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        logger.warning("%s is missing: waveforms get zero mean and unit variance, as nearly all networks expect", path)
        return True
    return bool(_read_json(path).get("do_normalize", True))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold an object")
    return content


def build_network(
    checkpoint: Path | None,
    architecture: Mapping[str, Any],
    *,
    attention: str = "sdpa",
    dropout: Mapping[str, float] | None = None,
    time_masks: bool = False,
) -> Wav2Vec2Model:
    """Build the network, in training mode and fp32.

    Args:
        checkpoint: Where its weights come from; None: random ones.
        architecture: What ``architecture_of`` returned.
        attention: Implementation of attention; one that is not there is replaced by ``sdpa``.
        dropout: Probabilities by the names of ``DROPOUT``; what is not named is 0.
        time_masks: Whether it has a vector that stands for masked frames.

    Raises:
        UserError: If tensors are missing, or are of another shape than described.
    """
    probabilities = {name: (dropout or {}).get(ours, 0.0) for ours, name in DROPOUT.items()}
    nothing_random = {"final_dropout": 0.0, "layerdrop": 0.0, "apply_spec_augment": False, "mask_feature_prob": 0.0}
    # transformers' network has the vector where this is above 0; what is masked is drawn elsewhere.
    masks = {"mask_time_prob": 1.0 if time_masks else 0.0}
    config = Wav2Vec2Config.from_dict({**architecture["config"], **probabilities, **nothing_random, **masks})
    config._attn_implementation = usable_attention(attention)
    if checkpoint is None:
        return Wav2Vec2Model(config)
    network: Wav2Vec2Model
    if checkpoint.is_dir():
        # Networks that were never trained with masks have no embedding of them; new ones begin like this.
        network = load_folder(Wav2Vec2Model, checkpoint, config, dispensable={"masked_spec_embed": nn.init.uniform_})
        return network
    from asr_dro.encoders.fairseq_checkpoint import read_fairseq_checkpoint
    from asr_dro.encoders.fairseq_wav2vec2 import to_transformers

    _, state = to_transformers(read_fairseq_checkpoint(checkpoint))
    model: Any = Wav2Vec2Model(config)
    inner = {name.removeprefix("wav2vec2."): tensor for name, tensor in state.items()}
    # What pretraining or another vocabulary needed has no place here; everything that has a place must be there.
    model.load_state_dict({name: inner[name] for name in model.state_dict()}, strict=True)
    network = model.train()
    return network
