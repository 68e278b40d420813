"""ESPnet's transformer decoder with a short vocabulary, and what it is tried on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from asr_dro.data.tokens import build_token_list
from asr_dro.decoders.transformer import TransformerDecoder

TOKENS = build_token_list("ab", ["fin", "kat"])  # <blank> <unk> <space> a b [fin] [kat] <sos/eos>
PLAIN = build_token_list("ab", [])
WIDTH = 8
SMALL: dict[str, Any] = {"attention_heads": 2, "linear_units": 12, "num_blocks": 2}


def build(tokens: Sequence[str] = TOKENS, *, seed: int = 0, **options: Any) -> TransformerDecoder:
    """Return a decoder in eval mode whose random weights are large enough that mistakes show."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = TransformerDecoder(len(tokens), WIDTH, **{**SMALL, **options})
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.mul_(1.5).add_(0.3 * torch.randn_like(parameter))
    decoder.use_tokens(tokens)
    decoder.train(False)
    return decoder


def encoded(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return frames (B, T, WIDTH) with garbage as padding, and lengths (B,)."""
    frames = torch.randn(len(lengths), max(lengths), WIDTH, generator=torch.Generator().manual_seed(seed))
    return frames, torch.tensor(lengths)


def log_probability(decoder: Any, frames: Tensor, labels: Sequence[int], *, ended: bool = True) -> float:
    """Return log p(labels, end | frames) by the decoder's own forward pass over one utterance (1, T, WIDTH)."""
    targets = [*labels, decoder.end] if ended else list(labels)
    inputs = torch.tensor([[decoder.start, *targets[:-1]]])
    with torch.no_grad():
        scores, _ = decoder(frames, torch.tensor([frames.size(1)]), inputs, torch.tensor([inputs.size(1)]))
    log_probs = scores[0].double().log_softmax(dim=-1)
    return float(log_probs[torch.arange(len(targets)), torch.tensor(targets)].sum())
