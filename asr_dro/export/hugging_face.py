"""Models on wav2vec 2.0 networks as Hugging Face folders: the same frames, the same text, nothing of ours needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.pieces import WORD_START
from asr_dro.data.tokens import BLANK, SOS_EOS, SPACE, UNKNOWN, UNKNOWN_SHOWN, tag_language

_WORD_DELIMITER = "|"  # what Wav2Vec2CTCTokenizer shows as a space; one that is loaded knows no other
_BARS = "\N{DIVIDES}\N{BROKEN BAR}\N{BOX DRAWINGS LIGHT VERTICAL}"  # what stands for that sign where texts have it
_NOTHING_ELSE = ("frontend", "normalize", "preencoder", "postencoder", "decoder")


def problems(arguments: Mapping[str, Any]) -> list[str]:
    """Say why a model has no form in transformers; empty if it has one.

    Args:
        arguments: ESPnet's arguments of the training.
    """
    found = []
    if arguments.get("encoder") != "wav2vec2":
        found.append(f"its encoder is {arguments.get('encoder')}; transformers can compute wav2vec2")
    for part in _NOTHING_ELSE:
        name = None if part == "frontend" and arguments.get("input_size") is not None else arguments.get(part)
        if name is not None:
            found.append(f"it has a {part}, {name}; in transformers there is none")
    return found


def write_folder(folder: Path, model: Any) -> None:
    """Write network, tokenizer and feature extractor.

    Args:
        folder: An empty folder.
        model: The trained model, its adapters merged.
    """
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    network, tokens = model.encoder.model, list(model.token_list)
    config = type(network.config).from_dict({**network.config.to_dict(), **_head_options(tokens)})
    exported: Any = Wav2Vec2ForCTC(config)
    state = {f"wav2vec2.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {f"lm_head.{name}": tensor for name, tensor in model.ctc.ctc_lo.state_dict().items()}
    exported.load_state_dict(state, strict=True)
    exported.eval().save_pretrained(folder)
    _write_feature_extractor(folder, model, Wav2Vec2FeatureExtractor)
    _write_tokenizer(folder, tokens, Wav2Vec2CTCTokenizer)


def _write_feature_extractor(folder: Path, model: Any, extractor: Any) -> None:
    extractor(
        sampling_rate=SAMPLE_RATE_HZ,
        do_normalize=model.encoder.architecture["normalize_eps"] is not None,
        return_attention_mask=model.encoder.model.config.feat_extract_norm == "layer",
    ).save_pretrained(folder)


def _write_tokenizer(folder: Path, tokens: Sequence[str], tokenizer: Any) -> None:
    names = vocabulary(tokens)
    path = folder / "vocab.json"
    path.write_text(json.dumps({name: index for index, name in enumerate(names)}, ensure_ascii=False), encoding="utf-8")
    tokenizer(
        path,
        bos_token=names[-1],
        eos_token=names[-1],
        unk_token=names[1],
        pad_token=names[0],
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def vocabulary(tokens: Sequence[str]) -> list[str]:
    """Return tokens as Wav2Vec2CTCTokenizer shows them: it joins them as they are, and strips the ends.

    A tag is followed by a space, as is what begins with SentencePiece's sign for one; ``<unk>`` is U+FFFD.

    Args:
        tokens: Our vocabulary.
    """
    taken = set(tokens)
    shown = {BLANK: BLANK, SOS_EOS: SOS_EOS}
    shown[UNKNOWN] = UNKNOWN if UNKNOWN_SHOWN in taken else UNKNOWN_SHOWN
    shown[SPACE] = _WORD_DELIMITER
    if _WORD_DELIMITER in taken:
        shown[_WORD_DELIMITER] = next(bar for bar in _BARS if bar not in taken)
    pieces = tokens[2] != SPACE
    names = []
    for token in tokens:
        if tag_language(token) is not None:
            names.append(f"{token} ")
        elif pieces:
            names.append(shown.get(token, token.replace(WORD_START, " ")))
        else:
            names.append(shown.get(token, token))
    return names


def _head_options(tokens: Sequence[str]) -> dict[str, Any]:
    """Return the options of ``Wav2Vec2Config`` that are about the vocabulary and the loss."""
    return {
        "vocab_size": len(tokens),
        "pad_token_id": tokens.index(BLANK),
        "bos_token_id": len(tokens) - 1,
        "eos_token_id": len(tokens) - 1,
        "final_dropout": 0.0,
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
        "architectures": ["Wav2Vec2ForCTC"],
    }
