"""An encoder that changes nothing: the head stands on the front end itself.

Shapes: ``B`` utterances, ``T`` frames, ``F`` features.
"""

from __future__ import annotations

from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor


class IdentityEncoder(AbsEncoder):  # type: ignore[misc]  # ESPnet has no type information
    """Hands features on as they are.

    Args:
        input_size: Number of features ``F``.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.width = input_size

    def output_size(self) -> int:
        """Return the width of an output frame."""
        return self.width

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return ``lengths`` (B,)."""
        return lengths

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return features (B, T, F), lengths (B,), and None.

        Args:
            xs_pad: Features, (B, T, F).
            ilens: Frames of each utterance, (B,).
            prev_states: Unused; part of ESPnet's interface.
        """
        return xs_pad, ilens, None
