"""Names of wav2vec 2.0's tensors in fairseq and in transformers."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Wav2Vec2Config

WITH_CTC = "w2v_encoder.w2v_model."  # fairseq's prefix of the encoder in a fine-tuned model
POSITIONS = "encoder.pos_conv.0."
# Weight normalisation's magnitude (g) and direction (v) before and since torch 2.0's parametrizations.
WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
PRETRAINING_ONLY = ("quantizer.", "project_q.", "final_proj.", "target_glu.")
ADAPTER = {"W_a": "linear_1.weight", "b_a": "linear_1.bias", "W_b": "linear_2.weight", "b_b": "linear_2.bias",
           "ln_W": "norm.weight", "ln_b": "norm.bias"}  # fmt: skip
LAYER = {
    **{f"self_attn.{part}_proj": f"attention.{part}_proj" for part in ("k", "v", "q", "out")},
    "self_attn_layer_norm": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "final_layer_norm": "final_layer_norm",
}
PROJECTION = {
    "post_extract_proj.weight": "feature_projection.projection.weight",
    "post_extract_proj.bias": "feature_projection.projection.bias",
}


class Head(Enum):
    """What stands on the encoder; the value is transformers' class for it."""

    NONE = "Wav2Vec2Model"
    PRETRAINING = "Wav2Vec2ForPreTraining"
    CTC = "Wav2Vec2ForCTC"


def _both(fairseq: str, transformers: str) -> dict[str, str]:
    """Return the names of a module's weight and bias."""
    return {f"{fairseq}.{kind}": f"{transformers}.{kind}" for kind in ("weight", "bias")}


HEADS: dict[Head, dict[str, str]] = {
    Head.NONE: {},
    Head.PRETRAINING: {
        "quantizer.vars": "quantizer.codevectors",
        **_both("quantizer.weight_proj", "quantizer.weight_proj"),
        **_both("project_q", "project_q"),
        **_both("final_proj", "project_hid"),
    },
    Head.CTC: _both("w2v_encoder.proj", "lm_head"),
}


def has_projection(config: Wav2Vec2Config) -> bool:
    """Return whether fairseq projects the extractor's channels: it does not where they are the encoder's width."""
    return bool(config.conv_dim[-1] != config.hidden_size)


def tensor_names(config: Wav2Vec2Config, head: Head) -> dict[str, str]:
    """Return every tensor of a model as {fairseq's name: transformers' name}.

    Where fairseq has no projection (``has_projection``), transformers' two tensors of it are not among the names.
    """
    encoder = {"mask_emb": "masked_spec_embed"}
    encoder |= _both("layer_norm", "feature_projection.layer_norm") | _both("encoder.layer_norm", "encoder.layer_norm")
    encoder |= PROJECTION if has_projection(config) else {}
    positions = {"bias": "bias", **WEIGHT_NORM}
    encoder |= {POSITIONS + old: f"encoder.pos_conv_embed.conv.{new}" for old, new in positions.items()}
    for index in range(len(config.conv_dim)):
        encoder |= _convolution(index, config)
    for index in range(config.num_hidden_layers):
        layer = f"encoder.layers.{index}"
        for fairseq, transformers in LAYER.items():
            encoder |= _both(f"{layer}.{fairseq}", f"{layer}.{transformers}")
        if config.adapter_attn_dim is not None:
            encoder |= {f"{layer}.adapter_layer.{a}": f"{layer}.adapter_layer.{b}" for a, b in ADAPTER.items()}
    outer = WITH_CTC if head is Head.CTC else ""
    prefix = "" if head is Head.NONE else "wav2vec2."
    return {outer + old: prefix + new for old, new in encoder.items()} | HEADS[head]


def _convolution(index: int, config: Wav2Vec2Config) -> dict[str, str]:
    """Return the names of one convolution of the extractor and of its normalisation."""
    layer = f"feature_extractor.conv_layers.{index}"
    names = _both(f"{layer}.0", f"{layer}.conv")
    if not config.conv_bias:
        del names[f"{layer}.0.bias"]
    if config.feat_extract_norm == "layer":
        names |= _both(f"{layer}.2.1", f"{layer}.layer_norm")
    elif index == 0:  # one group norm, behind the first convolution
        names |= _both(f"{layer}.2", f"{layer}.layer_norm")
    return names


def unparametrized(name: str) -> str:
    """Return a name with weight normalisation's tensors called as torch called them before its parametrizations."""
    for old, new in WEIGHT_NORM.items():
        if name.endswith(f".{new}"):
            return name.removesuffix(new) + old
    return name


def parametrized(name: str) -> str:
    """Return a name with weight normalisation's tensors called as torch calls them since its parametrizations."""
    for old, new in WEIGHT_NORM.items():
        if name.endswith(f".{old}"):
            return name.removesuffix(old) + new
    return name
