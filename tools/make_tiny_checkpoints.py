#!/usr/bin/env python3
"""Make tiny checkpoints with random weights, one of each kind that models can start from, for tests and dry runs.

  DIR/xlsr        like XLS-R, XLSR-53 and MMS: layer norm, pre-norm            (Hugging Face folder)
  DIR/base        like wav2vec 2.0 base: one group norm, post-norm             (Hugging Face folder)
  DIR/xlsr.pt     the network of DIR/xlsr                                      (fairseq)
  DIR/whisper     like Whisper, with its vocabulary                            (Hugging Face folder)

A model trains on them when it is told to: --train-args "--encoder_conf checkpoint=DIR/xlsr".
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from asr_dro.errors import run_main

logger = logging.getLogger(__name__)

WHISPER_VOCABULARY = 51_865  # of the multilingual models before large-v3


def make_all(folder: Path, seed: int = 0) -> None:
    """Write all checkpoints.

    Args:
        folder: Where they go; made if it is not there.
        seed: Of the weights; equal seeds give equal weights.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        make_wav2vec2(folder / "xlsr", large=True)
        make_wav2vec2(folder / "base", large=False)
        make_fairseq(folder / "xlsr", folder / "xlsr.pt")
        make_whisper(folder / "whisper")


def make_wav2vec2(folder: Path, *, large: bool, layers: int = 3, width: int = 32) -> None:
    """Write a wav2vec 2.0 network as pretraining leaves it, quantizer included.

    Args:
        folder: Hugging Face folder to write.
        large: Normalisation of the large networks; False: of the base network.
        layers: Number of layers.
        width: Hidden units.
    """
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

    config = Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        conv_dim=(width // 2,) * 7,  # kernels and strides are the published ones
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        do_stable_layer_norm=large,
        feat_extract_norm="layer" if large else "group",
        conv_bias=large,
        num_codevectors_per_group=4,
        codevector_dim=width,
        proj_codevector_dim=width,
    )
    model = Wav2Vec2ForPreTraining(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:  # not the ones and zeros they begin with: mistakes with them would not show
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=large).save_pretrained(folder)  # type: ignore[no-untyped-call]


def make_fairseq(folder: Path, path: Path) -> None:
    """Write the network of a Hugging Face folder as a checkpoint of fairseq."""
    import torch
    from transformers import Wav2Vec2ForPreTraining

    from asr_dro.encoders.fairseq_wav2vec2 import to_fairseq

    model = Wav2Vec2ForPreTraining.from_pretrained(folder)
    torch.save(to_fairseq(model.config, model.state_dict(), normalize=True), path)


def make_whisper(folder: Path, *, layers: int = 2, width: int = 16) -> None:
    """Write a Whisper network of 80 mel bands; nearly all of it are the embeddings of its vocabulary.

    Args:
        folder: Hugging Face folder to write.
        layers: Layers of the encoder, and of the decoder.
        width: Hidden units.
    """
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=WHISPER_VOCABULARY,
        num_mel_bins=80,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width,
    )
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)  # type: ignore[no-untyped-call]


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write them to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights (default: 0)")
    arguments = parser.parse_args()
    make_all(arguments.out, arguments.seed)
    logger.info("tiny checkpoints: %s", arguments.out)


if __name__ == "__main__":
    run_main(main)
