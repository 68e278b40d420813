"""A trained model, rebuilt from its experiment's folder alone, and quickly.

ESPnet's task imports every network that ESPnet has, which takes seconds. Here the classes that a model is made of
are imported one by one; a class that is not in the table below is looked up in ESPnet's own tables, at that price.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import yaml
from espnet2.asr.ctc import CTC
from numpy.typing import NDArray

from asr_dro.encoders.pretrained import without_checkpoints
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL
from asr_dro.training import checkpoints
from asr_dro.training.adapters import add_adapters
from asr_dro.training.finetuning import LoraOptions
from asr_dro.training.model import GroupRobustASRModel

# Where the classes of ESPnet's configuration are, by option and name; tests compare it with ESPnet's tables.
CLASSES: Mapping[str, Mapping[str, str]] = {
    "model": {"group_robust": "asr_dro.training.model.GroupRobustASRModel"},
    "frontend": {
        "default": "espnet2.asr.frontend.default.DefaultFrontend",
        "s3prl_upstream": "asr_dro.encoders.s3prl_upstream.S3prlUpstreamFrontend",
        "weighted_sum": "asr_dro.encoders.weighted_sum.WeightedSumFrontend",
    },
    "specaug": {"specaug": "espnet2.asr.specaug.specaug.SpecAug"},
    "normalize": {
        "per_utterance": "asr_dro.encoders.normalization.PerUtteranceNormalization",
        "utterance_mvn": "espnet2.layers.utterance_mvn.UtteranceMVN",
    },
    "preencoder": {"linear": "espnet2.asr.preencoder.linear.LinearProjection"},
    "encoder": {
        "conformer": "espnet2.asr.encoder.conformer_encoder.ConformerEncoder",
        "e_branchformer": "espnet2.asr.encoder.e_branchformer_encoder.EBranchformerEncoder",
        "identity": "asr_dro.encoders.identity.IdentityEncoder",
        "separable_conv": "asr_dro.encoders.separable_conv.SeparableConvEncoder",
        "transformer": "espnet2.asr.encoder.transformer_encoder.TransformerEncoder",
        "wav2vec2": "asr_dro.encoders.wav2vec2.Wav2Vec2Encoder",
        "whisper": "asr_dro.encoders.whisper.WhisperEncoder",
    },
    "postencoder": {},
    "decoder": {
        "transformer": "asr_dro.decoders.transformer.TransformerDecoder",
        "whisper": "asr_dro.decoders.whisper.WhisperDecoder",
    },
}

_PATCHING = threading.Lock()
_LONGEST_MESSAGE = 500  # characters of what torch says about weights that do not fit, which may be a line per tensor


def read_arguments(experiment: Path) -> dict[str, Any]:
    """Read the arguments that a finished training began with.

    Raises:
        UserError: If the folder holds no trained model; the message says what it lacks.
    """
    if not experiment.is_dir():
        raise UserError(f"{experiment} is no folder; give the experiment of a finished training, exp/<tag>")
    needed = (experiment / ESPNET_CONFIG, experiment / CHECKPOINTS / MODEL)
    missing = [str(path) for path in needed if not path.is_file()]
    if missing:
        raise UserError(f"{experiment} holds no trained model: {' and '.join(missing)} missing; run stage 4 first")
    # ESPnet wrote the file with PyYAML; it is read back with the same dialect.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, and long are the lists of tokens
    try:
        arguments = yaml.load(needed[0].read_text(encoding="utf-8"), Loader=loader)  # safe, both of them
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{needed[0]} cannot be read: {error}") from error
    if not isinstance(arguments, dict) or not isinstance(arguments.get("token_list"), list):
        raise UserError(f"{needed[0]} is not the configuration of a trained model: it has no token_list")
    return arguments


def load_model(experiment: Path, device: torch.device) -> GroupRobustASRModel:
    """Rebuild a trained model and load its final weights, strictly.

    Args:
        experiment: Folder of a finished training.
        device: Where the model goes.

    Raises:
        UserError: If there is no trained model, or the weights are of another one.
    """
    arguments = read_arguments(experiment)
    with _mel_bands_come_with_the_weights():
        model = build_model(arguments)
    path = experiment / CHECKPOINTS / MODEL
    try:
        model.load_state_dict(checkpoints.load(path), strict=True)
    except RuntimeError as error:
        shown = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        raise UserError(f"{path} does not fit {experiment / ESPNET_CONFIG}: {shown} ...") from error
    model.to(device).eval()
    return model


@contextlib.contextmanager
def _mel_bands_come_with_the_weights() -> Iterator[None]:
    """Let ESPnet's front end begin with a matrix of zeros: librosa, which computes it, takes a second to import.

    The matrix is in the checkpoint, which is loaded strictly. One thread at a time: of two that overlap, the second
    would take the first one's zeros for what was there before, and leave them to every model built later.
    """
    from espnet2.layers import log_mel

    def zeros(n_fft: int, n_mels: int, **_: Any) -> NDArray[np.float32]:
        return np.zeros((n_mels, 1 + n_fft // 2), dtype=np.float32)

    with _PATCHING:
        whole = log_mel.librosa
        log_mel.librosa = SimpleNamespace(filters=SimpleNamespace(mel=zeros))
        try:
            yield
        finally:
            log_mel.librosa = whole


def build_model(arguments: Mapping[str, Any]) -> GroupRobustASRModel:
    """Build the network that a configuration describes, with random weights and its adapters if it has any.

    Args:
        arguments: ESPnet's arguments, with the tokens as a list.
    """
    bare = without_checkpoints(arguments)
    names = {option: bare.get(option) for option in CLASSES}
    if bare.get("input_size") is not None:
        names["frontend"] = None
    if any(name is not None and name not in CLASSES[option] for option, name in names.items()):
        from asr_dro.task import GroupRobustASRTask, register

        register()
        through_espnet: GroupRobustASRModel = GroupRobustASRTask.build_model(argparse.Namespace(**bare))
        return through_espnet
    model = _chain(bare, names)
    if bare.get("lora") is not None:
        add_adapters(model, LoraOptions.from_mapping(bare["lora"]))
    return model


def _chain(arguments: Mapping[str, Any], names: Mapping[str, str | None]) -> GroupRobustASRModel:
    """Build the parts, each as wide as the one before says, and the model of them."""
    tokens = list(arguments["token_list"])

    def build(option: str, **more: Any) -> Any:
        name = names[option]
        if name is None:
            return None
        return find_class(option, name)(**more, **(arguments.get(f"{option}_conf") or {}))

    frontend = build("frontend")
    width = arguments["input_size"] if frontend is None else frontend.output_size()
    specaug, normalize, preencoder = build("specaug"), build("normalize"), build("preencoder")
    width = width if preencoder is None else preencoder.output_size()
    encoder = build("encoder", input_size=width)
    width = width if encoder is None else encoder.output_size()
    postencoder = build("postencoder", input_size=width)
    width = width if postencoder is None else postencoder.output_size()
    decoder = build("decoder", vocab_size=len(tokens), encoder_output_size=width)
    model: GroupRobustASRModel = build(
        "model",
        vocab_size=len(tokens),
        token_list=tokens,
        frontend=frontend,
        specaug=specaug,
        normalize=normalize,
        preencoder=preencoder,
        encoder=encoder,
        postencoder=postencoder,
        decoder=decoder,
        ctc=CTC(odim=len(tokens), encoder_output_size=width, **(arguments.get("ctc_conf") or {})),
        joint_network=None,
    )
    return model


def find_class(option: str, name: str) -> Any:
    """Import a class of the table."""
    module, _, attribute = CLASSES[option][name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)
