"""Models of ESPnet's own classes as its model packs: a zip that ESPnet's inference loads, without anything of ours."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from asr_dro.data.tokens import PIECES_MODEL, SPACE, is_whisper_vocabulary
from asr_dro.training.checkpoints import OBJECTIVE_PREFIX

_PARTS = ("frontend", "specaug", "normalize", "preencoder", "encoder", "postencoder", "decoder")
_SAME = {"decoder": ("transformer",)}  # classes of ours that compute what ESPnet's of the same name do
_FOLDER = "exp"  # in the zip
_CONFIG, _MODEL = f"{_FOLDER}/config.yaml", f"{_FOLDER}/model.pth"
_PIECES = f"data/{PIECES_MODEL}"


def problems(arguments: Mapping[str, Any]) -> list[str]:
    """Say why a model is no ESPnet model; empty if it is one.

    Args:
        arguments: ESPnet's arguments of the training.
    """
    from asr_dro.decoding.model_loading import CLASSES

    found = []
    for part in _PARTS:
        name = None if part == "frontend" and arguments.get("input_size") is not None else arguments.get(part)
        if name is None or name in _SAME.get(part, ()):
            continue
        if CLASSES[part].get(name, "espnet2.").startswith("asr_dro."):
            found.append(f"its {part} is {name}, a class of asr_dro; ESPnet has none of that name")
    if is_whisper_vocabulary(arguments["token_list"]):
        found.append("its tokens are Whisper's, which ESPnet numbers otherwise")
    elif _has_pieces(arguments["token_list"]) and not _pieces_model(arguments).is_file():
        found.append(f"its tokens are pieces of words, and {_pieces_model(arguments)}, which ESPnet needs, is missing")
    return found


def _has_pieces(tokens: list[str]) -> bool:
    return tokens[2] != SPACE


def _pieces_model(arguments: Mapping[str, Any]) -> Path:
    return Path(str(arguments.get("data_set"))) / PIECES_MODEL


def write_pack(path: Path, arguments: Mapping[str, Any], model: Any, card: str) -> None:
    """Write the zip.

    Args:
        path: Where it goes.
        arguments: ESPnet's arguments of the training.
        model: The trained model, its adapters merged.
        card: Text of its README.md.
    """
    files = {"asr_model_file": _MODEL}
    contents: dict[str, bytes] = {"README.md": card.encode("utf-8"), _MODEL: _weights(model)}
    if _has_pieces(arguments["token_list"]):
        files["bpemodel"] = _PIECES
        contents[_PIECES] = _pieces_model(arguments).read_bytes()
    contents[_CONFIG] = _yaml(espnet_config(arguments))
    meta = {
        "files": files,
        "yaml_files": {"asr_train_config": _CONFIG},
        "espnet": metadata.version("espnet"),
        "torch": str(torch.__version__),
        "python": sys.version,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"meta.yaml": _yaml(meta), **contents}.items():
            # Times of files would make equal models unequal; 1980 is the format's first year.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def espnet_config(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ESPnet needs to build the model, and nothing of the machine that it was trained on.

    Args:
        arguments: ESPnet's arguments of the training.
    """
    config: dict[str, Any] = {name: arguments.get(name) for name in ("input_size", "token_list")}
    for part in _PARTS:
        config |= {part: arguments.get(part), f"{part}_conf": arguments.get(f"{part}_conf") or {}}
    pieces = _has_pieces(arguments["token_list"])
    config |= {"token_type": "bpe" if pieces else "char", "bpemodel": _PIECES if pieces else None}
    weights = arguments.get("model_conf") or {}
    kept = {"ctc_weight": weights.get("ctc_weight", 1.0)}
    if weights.get("lsm_weight"):
        kept["lsm_weight"] = weights["lsm_weight"]
    config |= {"model": "espnet", "model_conf": kept, "ctc_conf": arguments.get("ctc_conf") or {}}
    config |= {"init": None, "cleaner": None, "g2p": None, "non_linguistic_symbols": None}
    plain: dict[str, Any] = json.loads(json.dumps(config))  # lists in place of tuples
    return plain


def _weights(model: Any) -> bytes:
    state: dict[str, Tensor] = {
        name: tensor.cpu() for name, tensor in model.state_dict().items() if not name.startswith(OBJECTIVE_PREFIX)
    }
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(content), allow_unicode=True, sort_keys=False).encode("utf-8")
