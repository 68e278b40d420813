"""Tiny Whisper networks with random weights, large enough in value that mistakes show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

WINDOW_FRAMES = 50  # one second, where the published models have 30
# A vocabulary as Whisper's, but short, so that searches are quick and end at many lengths.
LETTERS = "abcdefghijklmnopqrst"
TOKENS = [
    *LETTERS,
    *("<|endoftext|>", "<|startoftranscript|>", "[fin]", "<|sv|>", "[kat]", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|notimestamps|>", "<|0.00|>"),
]
END, START = 20, 21


def write_whisper(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Write a network whose window is a second and return its folder."""
    config = WhisperConfig(
        **{
            "vocab_size": len(TOKENS),
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 20,
            "max_source_positions": WINDOW_FRAMES,
            "max_target_positions": 40,
            "init_std": 0.3,
            "bos_token_id": END,
            "eos_token_id": END,
            "pad_token_id": END,
            "decoder_start_token_id": START,
            "suppress_tokens": None,
            "begin_suppress_tokens": None,
            **changes,
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WhisperForConditionalGeneration(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias") or "norm" in name:  # not the zeros and ones that they begin with
                    parameter.add_(0.2 * torch.randn_like(parameter))
            embedding = model.model.decoder.embed_tokens.weight
            embedding[config.pad_token_id] = embedding.std() * torch.randn(config.d_model)  # not the zeros of padding
    model.save_pretrained(folder)
    return folder


def read_whisper(folder: Path) -> WhisperForConditionalGeneration:
    """Return transformers' own network, in eval mode."""
    model: WhisperForConditionalGeneration = WhisperForConditionalGeneration.from_pretrained(folder)
    model.train(False)
    return model


def waveforms(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return noise that rises and falls, (B, N), with garbage as padding, and lengths (B,)."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    speech = torch.randn(len(lengths), longest, generator=generator)
    speech *= 0.1 * (1.5 + torch.sin(torch.arange(longest) / 2000.0))
    return speech, torch.tensor(lengths)
