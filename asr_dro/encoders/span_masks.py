"""Masks of random spans, as wav2vec 2.0 is trained and fine-tuned with (arXiv 2006.11477, sections 3.1 and 4.3).

The number of spans is fairseq's and transformers'. The draws are torch's, on the device: a resumed training goes on
with the same ones, and no step waits for the CPU.

Shapes: ``B`` rows, ``T`` positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asr_dro.config_values import is_count, is_number, take_fields
from asr_dro.errors import UserError


@dataclass(frozen=True)
class SpanMask:
    """How much is masked.

    Attributes:
        probability: Share that would be masked if no two spans overlapped (fairseq's ``mask_prob``); 0: no masks.
        length: Positions in a span.
        min_spans: Spans in a row at least, where they fit.
    """

    probability: float = 0.0
    length: int = 10
    min_spans: int = 0

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None, option: str, *, min_spans: int = 0) -> SpanMask:
        """Build from the values of a configuration.

        Raises:
            UserError: With every mistake.
        """
        given, problems = take_fields(cls, values or {}, f"{option}.")
        mask = cls(**{"min_spans": min_spans, **given})
        if not is_number(mask.probability) or not 0 <= mask.probability <= 1:
            problems.append(f"{option}.probability must be from 0 to 1, not {mask.probability!r}")
        if not is_count(mask.length):
            problems.append(f"{option}.length must be a whole number from 1 on, not {mask.length!r}")
        if not is_count(mask.min_spans, least=0):
            problems.append(f"{option}.min_spans must be a whole number from 0 on, not {mask.min_spans!r}")
        if problems:
            raise UserError("\n".join(problems))
        return mask

    def draw(self, lengths: Tensor, width: int) -> Tensor:
        """Draw masks; spans begin at different positions of a row and may overlap.

        Args:
            lengths: Positions of each row that may be masked, (B,).
            width: Positions of each row in all, ``T``.

        Returns:
            What is masked, (B, T).
        """
        rows, device = lengths.size(0), lengths.device
        begins = max(width - self.length + 1, 0)
        most = min(begins, max(int(self.probability * width / self.length + 1), self.min_spans))
        if most == 0:
            return torch.zeros(rows, width, dtype=torch.bool, device=device)
        rounding = torch.rand(rows, device=device)  # decides about the last, broken span
        wanted = (self.probability * lengths / self.length + rounding).long().clamp(min=self.min_spans)
        possible = (lengths - self.length + 1).clamp(min=0)
        counts = torch.minimum(wanted, possible)
        noise = torch.rand(rows, begins, device=device)
        noise = noise.masked_fill(torch.arange(begins, device=device) >= possible[:, None], 2.0)
        order = noise.topk(most, largest=False).indices  # (B, most), the row's own positions first
        chosen = torch.arange(most, device=device) < counts[:, None]
        starts = torch.zeros(rows, width, device=device).scatter_(1, order, chosen.float())
        begun = starts.cumsum(dim=1)
        ended = functional.pad(begun, (self.length, 0))[:, :width]
        return begun > ended
