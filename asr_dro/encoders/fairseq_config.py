"""Options of fairseq's wav2vec 2.0: what they mean in transformers' ``Wav2Vec2Config``, and back.

Names and defaults: ``fairseq/models/wav2vec/wav2vec2.py``, ``wav2vec2_asr.py`` and ``fairseq/tasks/audio_*.py`` of
fairseq 0.12.3. Everything that decides a tensor's shape or the computation comes from the checkpoint.
"""

from __future__ import annotations

import ast
from typing import Any

from asr_dro.errors import UserError

SAME_MEANING = {  # fairseq: transformers
    "encoder_layers": "num_hidden_layers",
    "encoder_embed_dim": "hidden_size",
    "encoder_ffn_embed_dim": "intermediate_size",
    "encoder_attention_heads": "num_attention_heads",
    "layer_norm_first": "do_stable_layer_norm",
    "conv_bias": "conv_bias",
    "conv_pos": "num_conv_pos_embeddings",
    "conv_pos_groups": "num_conv_pos_embedding_groups",
    "dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "encoder_layerdrop": "layerdrop",
    "dropout_input": "feat_proj_dropout",
    "dropout_features": "feat_quantizer_dropout",
    "mask_prob": "mask_time_prob",
    "mask_length": "mask_time_length",
    "mask_channel_prob": "mask_feature_prob",
    "mask_channel_length": "mask_feature_length",
    "latent_vars": "num_codevectors_per_group",
    "latent_groups": "num_codevector_groups",
    "num_negatives": "num_negatives",
    "logit_temp": "contrastive_logits_temperature",
}
DEFAULTS: dict[str, Any] = {  # what fairseq assumes where a file is silent
    "encoder_layers": 12,
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12,
    "layer_norm_first": False,
    "conv_bias": False,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "dropout_input": 0.0,
    "dropout_features": 0.0,
    "mask_prob": 0.65,
    "mask_length": 10,
    "mask_channel_prob": 0.0,
    "mask_channel_length": 10,
    "latent_vars": 320,
    "latent_groups": 2,
    "num_negatives": 100,
    "logit_temp": 0.1,
    "conv_feature_layers": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
    "extractor_mode": "default",
    "activation_fn": "gelu",
    "layer_type": "transformer",
    "final_dim": 0,
    "latent_dim": 0,
    "apply_mask": True,
    "final_dropout": 0.0,
}
ONLY_VALUE: dict[str, Any] = {  # options that change the computation in ways transformers has no module for
    "pos_conv_depth": 1,
    "conv_pos_batch_norm": False,
    "quantize_input": False,
    "crop_seq_to_multiple": 1,
    "blank_weight": 0,
}
ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_accurate": "gelu_new", "gelu_fast": "gelu_new", "tanh": "tanh"}
EXTRACTOR_MODES = {"default": "group", "layer_norm": "layer"}
FINE_TUNING_KEYS = {  # options of wav2vec_ctc that replace those of the pretraining
    **{key: key for key in ("dropout", "attention_dropout", "activation_dropout", "dropout_input", "final_dropout")},
    **{key: key for key in ("apply_mask", "mask_prob", "mask_length", "mask_channel_prob", "mask_channel_length")},
    "layerdrop": "encoder_layerdrop",
    "blank_weight": "blank_weight",
}
ADAPTER_KEYS = ("layer_type", "adp_num", "adp_dim", "adp_act_fn", "adp_trf_idx")
_WITHOUT_EFFECT_HERE = """
_name arch model task criterion optimizer lr seed data w2v_path w2v_args no_pretrained_weights normalize labels
sample_rate mask_selection mask_other no_mask_overlap mask_min_space require_same_masks mask_dropout
mask_channel_before mask_channel_selection mask_channel_other no_mask_channel_overlap mask_channel_min_space
quantize_targets same_quantizer target_glu feature_grad_mult quantizer_depth quantizer_factor
negatives_from_everywhere cross_sample_negatives codebook_negatives latent_temp max_positions
checkpoint_activations required_seq_len_multiple depthwise_conv_kernel_size attn_type pos_enc_type fp16
freeze_finetune_updates layerdrop drop_path update_alibi offload_activations min_params_to_wrap ddp_backend
zero_mask load_ema layer_decay freeze_regex blank_mode multi_corpus_keys multi_corpus_sampling_weights
binarized_dataset enable_padding max_sample_size min_sample_size num_batch_buckets tpu text_compression_level
rebuild_batches precompute_mask_config post_save_script subsample eval_wer eval_wer_config eval_wer_tokenizer
eval_wer_post_process eval_bleu eval_bleu_detok eval_bleu_detok_args eval_tokenized_bleu eval_bleu_remove_bpe
eval_bleu_args eval_bleu_print_samples autoregressive target_dictionary
"""
KNOWN_KEYS = frozenset(_WITHOUT_EFFECT_HERE.split()) | {*DEFAULTS, *ONLY_VALUE, *ADAPTER_KEYS}
MAX_CONV_LAYERS = 64


def parse_conv_layers(value: Any) -> list[tuple[int, int, int]]:
    """Return (channels, kernel, stride) of each convolution; fairseq writes Python such as ``[(512, 3, 2)] * 4``.

    Raises:
        UserError: For anything but lists of triples of positive numbers, added and multiplied (fairseq would run it).
    """
    try:
        layers = _evaluate(ast.parse(value.strip(), mode="eval").body) if isinstance(value, str) else value
        triples = [tuple(map(int, layer)) for layer in layers]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        triples = []
    if not triples or any(len(layer) != 3 or min(layer) < 1 for layer in triples):
        raise UserError(f"conv_feature_layers: '{str(value)[:200]}' is no list of (channels, kernel, stride)")
    return [(channels, kernel, stride) for channels, kernel, stride in triples]


def _evaluate(node: ast.expr) -> Any:
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(element) for element in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return list(_evaluate(node.left)) + list(_evaluate(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        layers, times = _evaluate(node.left), _evaluate(node.right)
        if isinstance(layers, list) and isinstance(times, int) and len(layers) * times <= MAX_CONV_LAYERS:
            return layers * times
    raise ValueError


def transformers_options(config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Wav2Vec2Config`` that mean what a fairseq configuration says.

    The masking carries over: both libraries mask ``mask_prob * frames / mask_length`` spans. Where fairseq does not
    mask, ``apply_spec_augment`` is false and ``mask_time_prob`` stays positive, since transformers would otherwise have
    no place for the mask embedding, which every fairseq checkpoint has.

    Raises:
        UserError: With every option that transformers' modules cannot follow.
    """
    whole = DEFAULTS | {key: value for key, value in config.items() if value is not None}
    problems = [
        f"{key}={whole[key]!r} (only {value!r})" for key, value in ONLY_VALUE.items() if whole.get(key, value) != value
    ]
    allowed = {
        "activation_fn": ACTIVATIONS,
        "extractor_mode": EXTRACTOR_MODES,
        "layer_type": ("transformer", "trf_adp"),
    }
    problems += [
        f"{key}={whole[key]!r} (only {', '.join(values)})"
        for key, values in allowed.items()
        if whole[key] not in values
    ]
    problems += _adapter_problems(whole)
    problems += [f"{key}={whole[key]!r} (a {kind})" for key, kind in _wrong_kinds(whole)]
    if problems:
        raise UserError(f"not supported: {'; '.join(problems)}")
    channels, kernels, strides = zip(*parse_conv_layers(whole["conv_feature_layers"]), strict=True)
    final_dim = whole["final_dim"] if whole["final_dim"] > 0 else whole["encoder_embed_dim"]
    options = {name: whole[key] for key, name in SAME_MEANING.items()} | {
        "conv_dim": channels,
        "conv_kernel": kernels,
        "conv_stride": strides,
        "feat_extract_norm": EXTRACTOR_MODES[whole["extractor_mode"]],
        "hidden_act": ACTIVATIONS[whole["activation_fn"]],
        "final_dropout": whole["final_dropout"],
        "proj_codevector_dim": final_dim,
        "codevector_dim": whole["latent_dim"] if whole["latent_dim"] > 0 else final_dim,
        "apply_spec_augment": bool(whole["apply_mask"] and (whole["mask_prob"] > 0 or whole["mask_channel_prob"] > 0)),
        "adapter_attn_dim": whole["adp_dim"] if whole["layer_type"] == "trf_adp" else None,
    }
    if not options["apply_spec_augment"] and not options["mask_time_prob"]:
        options["mask_time_prob"] = DEFAULTS["mask_prob"]
    return options


def _wrong_kinds(whole: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the options that are no number or switch where fairseq's default is one."""
    kinds: dict[type, tuple[tuple[type, ...], str]] = {
        bool: ((bool,), "switch"), int: ((int,), "whole number"), float: ((int, float), "number"),
    }  # fmt: skip
    wanted = {key: kinds[type(value)] for key, value in DEFAULTS.items() if type(value) in kinds}
    return [(key, name) for key, (types, name) in wanted.items() if type(whole[key]) not in types]


def _adapter_problems(whole: dict[str, Any]) -> list[str]:
    """Return how adapters differ from those of MMS, the only ones that transformers has: one in every layer."""
    if whole["layer_type"] != "trf_adp":
        return []
    wanted = {"adp_num": 1, "adp_act_fn": "relu", "adp_trf_idx": "all", "layer_norm_first": True}
    return [
        f"{key}={whole.get(key)!r} with adapters (only {value!r})"
        for key, value in wanted.items()
        if whole.get(key) != value
    ]


def fairseq_options(config: Any) -> dict[str, Any]:
    """Return fairseq's options of a transformers ``Wav2Vec2Config``.

    Raises:
        UserError: With every setting that fairseq's model cannot follow.
    """
    fixed = {"layer_norm_eps": 1e-5, "feat_extract_activation": "gelu", "add_adapter": False}
    problems = [f"{key}={getattr(config, key)!r}" for key, value in fixed.items() if getattr(config, key) != value]
    activations = {name: key for key, name in ACTIVATIONS.items()}
    if config.hidden_act not in activations:
        problems.append(f"hidden_act={config.hidden_act!r}")
    if problems:
        raise UserError(f"fairseq's wav2vec 2.0 cannot follow {'; '.join(problems)}")
    options = {key: getattr(config, name) for key, name in SAME_MEANING.items()}
    layers = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
    options |= {
        "_name": "wav2vec2",
        "conv_feature_layers": str(list(layers)),
        "extractor_mode": {name: key for key, name in EXTRACTOR_MODES.items()}[config.feat_extract_norm],
        "activation_fn": activations[config.hidden_act],
        "final_dim": config.proj_codevector_dim,
        "latent_dim": config.codevector_dim,
    }
    if config.adapter_attn_dim is not None:
        options |= {"layer_type": "trf_adp", "adp_num": 1, "adp_dim": config.adapter_attn_dim}
    return options
