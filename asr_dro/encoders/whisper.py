"""Whisper's encoder (Radford et al. 2022, arXiv 2212.04356) for audio of any length, on the model's device.

Whisper pads every utterance to a window of 30 s and attends to the padding. Here the convolutions see the same silence
after an utterance's end, but attention ends there: a tenth of the work for an utterance of 3 s, and padding never
changes an utterance's output. ``full_window`` computes what Whisper itself does. Longer audio is cut into windows.

Shapes: ``B`` utterances, ``N`` samples, ``M`` mel bands, ``F`` mel frames of 10 ms, ``T`` frames of 20 ms, ``H`` hidden
units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers.audio_utils import mel_filter_bank
from transformers.masking_utils import create_bidirectional_mask

from asr_dro.encoders import whisper_weights
from asr_dro.encoders.networks import check_dropout
from asr_dro.encoders.pretrained import find_network
from asr_dro.encoders.span_masks import SpanMask
from asr_dro.errors import UserError

SAMPLE_RATE_HZ, FFT_SAMPLES, HOP_SAMPLES = 16_000, 400, 160
FRAME_SAMPLES = 2 * HOP_SAMPLES  # the second convolution takes every other mel frame
_SEEN_FRAMES = 3  # mel frames after an utterance's end that its last frame depends on, and one to spare


class LogMel(nn.Module):
    """Log-mel features as transformers' ``WhisperFeatureExtractor`` computes them, without its padding to 30 s.

    Args:
        bands: Mel bands ``M``.
        window_samples: Longest input, 30 s for the published models.
    """

    def __init__(self, bands: int, window_samples: int) -> None:
        super().__init__()
        self.window_samples = window_samples
        bins = 1 + FFT_SAMPLES // 2
        filters = mel_filter_bank(
            bins, bands, 0.0, SAMPLE_RATE_HZ / 2, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney"
        )
        # Not persistent: they follow from the architecture.
        self.register_buffer("filters", torch.from_numpy(filters).float().T.contiguous(), persistent=False)  # (M, bins)
        self.register_buffer("hann", torch.hann_window(FFT_SAMPLES), persistent=False)
        self.filters: Tensor
        self.hann: Tensor

    def forward(self, speech: Tensor, lengths: Tensor, *, full_window: bool = False) -> Tensor:
        """Return features (B, M, F); those after an utterance's end are of silence.

        Args:
            speech: Waveforms, (B, N), padded with anything.
            lengths: Samples of each, (B,).
            full_window: Whether to give features of the whole window.
        """
        needed = HOP_SAMPLES * (-(-speech.size(1) // HOP_SAMPLES) + _SEEN_FRAMES)
        padded = self.window_samples if full_window else min(needed, self.window_samples)
        own = torch.arange(speech.size(1), device=speech.device) < lengths[:, None]
        with torch.autocast(speech.device.type, enabled=False):
            speech = speech.float().masked_fill(~own, 0.0)
            speech = functional.pad(speech, (0, padded - speech.size(1)))
            spectrum = torch.stft(speech, FFT_SAMPLES, HOP_SAMPLES, window=self.hann, return_complex=True)
            mel = self.filters @ spectrum[..., :-1].abs().square()
            log_mel = mel.clamp(min=1e-10).log10()
            loudest = log_mel.amax(dim=(1, 2), keepdim=True)
            return (torch.maximum(log_mel, loudest - 8.0) + 4.0) / 4.0


class WhisperEncoder(AbsEncoder):  # type: ignore[misc]  # ESPnet has no type information
    """The encoder of a checkpoint, from waveforms to frames of 20 ms.

    Args:
        input_size: 1: it reads samples (``frontend: null``, ``input_size: 1``, ``normalize: null``).
        checkpoint: Folder, or ``organisation/model@revision``; None: random weights.
        architecture: What the network looks like; None: what the checkpoint says.
        full_window: Pad to Whisper's window of 30 s and attend to all of it, as in its pretraining.
        masks: SpecAugment in training: ``time`` spans of mel frames, ``mel`` spans of mel bands (``SpanMask`` each),
            set to zero.
        dropout: Probabilities: ``hidden``, ``attention``, ``activation``, ``output`` (before the head). What is not
            named is 0.
        attention: ``sdpa``, ``eager``, or ``flash_attention_2`` where it is installed.
        gradient_checkpointing: Compute layers again in the backward pass: less memory, about a third more time.

    Raises:
        UserError: For options that do not exist or a checkpoint that cannot be used.
    """

    architecture_of = staticmethod(whisper_weights.architecture_of)

    def __init__(
        self,
        input_size: int = 1,
        checkpoint: str | None = None,
        architecture: Mapping[str, Any] | None = None,
        full_window: bool = False,
        masks: Mapping[str, Any] | None = None,
        dropout: Mapping[str, float] | None = None,
        attention: str = "sdpa",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if input_size != 1:
            raise UserError("encoder whisper reads samples: set frontend: null, input_size: 1 and normalize: null")
        self.time_mask, self.mel_mask = _read_masks(masks or {})
        probabilities = check_dropout(dropout or {}, (*whisper_weights.DROPOUT, "output"))
        self.output_dropout = nn.Dropout(probabilities["output"])
        path, self.architecture = find_network(checkpoint, architecture, self.architecture_of)
        self.model = whisper_weights.build_encoder(path, self.architecture, attention=attention, dropout=probabilities)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.full_window = full_window
        self.log_mel = LogMel(self.model.config.num_mel_bins, self.window_frames * FRAME_SAMPLES)

    @property
    def window_frames(self) -> int:
        """Frames in Whisper's window, 1500 for the published models."""
        return int(self.model.config.max_source_positions)

    def output_size(self) -> int:
        """Return the width ``H`` of an output frame."""
        return int(self.model.config.d_model)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return frames (B,) of waveforms of so many samples (B,): ``ceil(N / 320)``, or whole windows."""
        if self.full_window:
            return _ceil(lengths, self.window_frames * FRAME_SAMPLES) * self.window_frames
        return _ceil(lengths, FRAME_SAMPLES)

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Encode waveforms; padding never changes an utterance's output.

        Args:
            xs_pad: Waveforms at 16 kHz, (B, N).
            ilens: Samples of each, (B,).
            prev_states: Unused; part of ESPnet's interface.

        Returns:
            Output (B, T, H), lengths in frames (B,), and None.
        """
        if xs_pad.size(1) > self.log_mel.window_samples:
            hidden = self._encode_windows(xs_pad, ilens)
        else:
            hidden = self._encode(xs_pad, ilens)
        return self.output_dropout(hidden), self.output_lengths(ilens), None

    def _encode(self, speech: Tensor, lengths: Tensor) -> Tensor:
        """Encode what fits the window, (B, N) -> (B, T, H)."""
        network = self.model
        features = self.log_mel(speech, lengths, full_window=self.full_window)
        features = self._corrupt(features, _ceil(lengths, HOP_SAMPLES)).to(network.conv1.weight.dtype)
        hidden = functional.gelu(network.conv2(functional.gelu(network.conv1(features)))).transpose(1, 2)
        frames = self.output_lengths(lengths)
        width = self.window_frames if self.full_window else -(-speech.size(1) // FRAME_SAMPLES)
        hidden = hidden[:, :width] + network.embed_positions.weight[:width]
        hidden = functional.dropout(hidden, p=network.dropout, training=network.training)
        mask = None
        if not self.full_window:
            # Never looks at the values of the mask to save it, for that would wait for the device in every step.
            mask = create_bidirectional_mask(
                config=network.config,
                inputs_embeds=hidden,
                attention_mask=torch.arange(width, device=hidden.device) < frames[:, None],
                allow_is_bidirectional_skip=False,
            )
        for layer in network.layers:
            hidden = layer(hidden, mask)
        output: Tensor = network.layer_norm(hidden)
        return output

    def _encode_windows(self, speech: Tensor, lengths: Tensor) -> Tensor:
        """Encode each utterance in as few equal windows as it needs, and join them."""
        pieces: list[Tensor] = []
        counts = []
        for waveform, samples in zip(speech, lengths.tolist(), strict=True):
            frames = window_size(-(-samples // FRAME_SAMPLES), self.window_frames)
            cut = waveform[:samples].split(frames * FRAME_SAMPLES)
            pieces += cut
            counts.append(len(cut))
        sizes = torch.tensor([len(piece) for piece in pieces], device=speech.device)
        encoded = self._encode(pad_sequence(pieces, batch_first=True), sizes)
        of_pieces = [
            window[:frames] for window, frames in zip(encoded, self.output_lengths(sizes).tolist(), strict=True)
        ]
        joined, start = [], 0
        for count in counts:
            joined.append(torch.cat(of_pieces[start : start + count]))
            start += count
        return pad_sequence(joined, batch_first=True)

    def _corrupt(self, features: Tensor, frames: Tensor) -> Tensor:
        """Mask features (B, M, F) of so many frames (B,) in training."""
        if not self.training:
            return features
        bands, width = features.shape[1:]
        if self.time_mask.probability:
            features = features.masked_fill(self.time_mask.draw(frames, width)[:, None, :], 0.0)
        if self.mel_mask.probability:
            masked = self.mel_mask.draw(torch.full_like(frames, bands), bands)
            features = features.masked_fill(masked[:, :, None], 0.0)
        return features


def window_size(frames: int, longest: int) -> int:
    """Return the frames in each of the fewest equal windows that hold so many frames, the last one being shorter.

    >>> window_size(1500, 1500), window_size(1501, 1500), window_size(0, 1500)
    (1500, 751, 1)
    """
    count = max(1, -(-frames // longest))
    return max(1, -(-frames // count))


def _ceil(lengths: Tensor, step: int) -> Tensor:
    return torch.div(lengths + step - 1, step, rounding_mode="floor")


def _read_masks(values: Mapping[str, Any]) -> tuple[SpanMask, SpanMask]:
    unknown = sorted(set(values) - {"time", "mel"})
    if unknown:
        raise UserError(f"masks: {', '.join(unknown)} is not a key; allowed: time, mel")
    return SpanMask.from_mapping(values.get("time"), "masks.time"), SpanMask.from_mapping(
        values.get("mel"), "masks.mel"
    )
