"""Whisper's networks of transformers, each half by itself, from a Hugging Face folder or a description alone.

A model that uses one half neither reads nor holds the weights of the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperDecoder, WhisperEncoder, WhisperPreTrainedModel

from asr_dro.encoders.networks import load_folder, usable_attention
from asr_dro.errors import UserError

DROPOUT = {
    "hidden": "dropout",
    "attention": "attention_dropout",
    "activation": "activation_dropout",
}  # ours: transformers'
# Keys of config.json that say what the network looks like; probabilities and what generation does are options of ours.
_DESCRIBING = (
    *("vocab_size", "num_mel_bins", "d_model", "activation_function", "max_source_positions", "max_target_positions"),
    *("encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"),
    *("decoder_layers", "decoder_attention_heads", "decoder_ffn_dim"),
)


class _EncoderHalf(WhisperPreTrainedModel):  # type: ignore[no-untyped-call]
    """What ``from_pretrained`` fills: the encoder under the name that it has in a checkpoint."""

    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?decoder\.", r"^proj_out\."]  # noqa: RUF012

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        self.post_init()  # type: ignore[no-untyped-call]


class _DecoderHalf(WhisperPreTrainedModel):  # type: ignore[no-untyped-call]
    """What ``from_pretrained`` fills: the decoder under the name that it has in a checkpoint."""

    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?encoder\.", r"^proj_out\."]  # noqa: RUF012

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.decoder = WhisperDecoder(config)
        self.post_init()  # type: ignore[no-untyped-call]


def architecture_of(checkpoint: Path) -> dict[str, Any]:
    """Describe a checkpoint without its weights.

    Args:
        checkpoint: Folder of transformers.

    Returns:
        ``config``: the values of ``WhisperConfig`` that say what the network looks like.

    Raises:
        UserError: If it is not of a Whisper network.
    """
    path = checkpoint / "config.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{checkpoint} is no folder of a Whisper model in Hugging Face's form (config.json and weights): {error}"
        ) from error
    kind = described.get("model_type") if isinstance(described, dict) else None
    if kind != "whisper":
        raise UserError(f"{checkpoint} is of a {kind} network, not of whisper")
    config = WhisperConfig.from_dict(described)
    return {"config": {key: getattr(config, key) for key in _DESCRIBING}}


def build_encoder(
    checkpoint: Path | None, architecture: Mapping[str, Any], *, attention: str, dropout: Mapping[str, float]
) -> WhisperEncoder:
    """Build the encoder, in training mode and fp32.

    Args:
        checkpoint: Where its weights come from; None: random ones.
        architecture: What ``architecture_of`` returned.
        attention: Implementation of attention.
        dropout: What ``check_dropout`` returned.

    Raises:
        UserError: If tensors are missing, or are of another shape than described.
    """
    network: WhisperEncoder = _build(_EncoderHalf, checkpoint, _config(architecture, attention, dropout)).encoder
    network.embed_positions.requires_grad_(False)  # sinusoids; from_pretrained forgets that they do not learn
    return network


def build_decoder(
    checkpoint: Path | None, architecture: Mapping[str, Any], *, attention: str, dropout: Mapping[str, float]
) -> WhisperDecoder:
    """Build the decoder, with the vocabulary of its checkpoint; see :func:`build_encoder`."""
    network: WhisperDecoder = _build(_DecoderHalf, checkpoint, _config(architecture, attention, dropout)).decoder
    return network


def _config(architecture: Mapping[str, Any], attention: str, dropout: Mapping[str, float]) -> WhisperConfig:
    settings = {name: dropout.get(kind, 0.0) for kind, name in DROPOUT.items()}
    config = WhisperConfig.from_dict({**architecture["config"], **settings, "pad_token_id": None})
    config._attn_implementation = usable_attention(attention)
    return config


def _build(half: type[Any], checkpoint: Path | None, config: WhisperConfig) -> Any:
    return half(config).train() if checkpoint is None else load_folder(half, checkpoint, config)
