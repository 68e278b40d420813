"""s3prl's route to pretrained features (upstream ``hf_wav2vec2_custom`` and its ``Featurizer``), made safe.

What differs from ESPnet's ``s3prl`` front end with the same upstream: weights from a folder are never replaced by
others that are fetched; no layer is dropped in training, which s3prl cannot bear; a frozen network is in evaluation
mode (the freezing of ours); no second copy of the weights is kept; and lengths are the true ones, where s3prl repeats
a frame to have one for every 320 samples begun.

Shapes: ``B`` utterances, ``N`` samples, ``T`` frames, ``H`` hidden units.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from espnet2.asr.frontend.abs_frontend import AbsFrontend
from torch import Tensor, nn
from torch.nn import functional

from asr_dro.encoders import wav2vec2_weights
from asr_dro.encoders.wav2vec2_states import frame_lengths, shortest_input
from asr_dro.encoders.weighted_sum import load_frontend_network

logger = logging.getLogger(__name__)

SAMPLES_PER_FRAME = 320  # s3prl's figure for all wav2vec 2.0 networks


class S3prlUpstreamFrontend(AbsFrontend):  # type: ignore[misc]  # ESPnet has no type information
    """Weighted sum of all layers of a wav2vec 2.0 network, computed by s3prl.

    Base networks (one group norm over time) see the padding of their batch here, as they do in s3prl and fairseq;
    ``weighted_sum`` gives the same features without that, and without the detour of waveforms through the CPU.

    Args:
        checkpoint: Folder, file of fairseq, or ``organisation/model@revision``; None: random weights.
        architecture: What the network looks like; None: what the checkpoint says.
        layer_norm: Normalise each layer's frames before the sum.
        attention: ``sdpa``, ``eager``, or ``flash_attention_2`` where it is installed.
        dropout: Probabilities: ``projection``, ``hidden``, ``attention``, ``activation``; 0 where not named.

    Raises:
        UserError: For a checkpoint that cannot be used.
    """

    architecture_of = staticmethod(wav2vec2_weights.architecture_of)

    def __init__(
        self,
        checkpoint: str | None = None,
        architecture: Mapping[str, Any] | None = None,
        layer_norm: bool = False,
        attention: str = "sdpa",
        dropout: Mapping[str, float] | None = None,
    ) -> None:
        from s3prl.nn import Featurizer  # 5 seconds, which other routes need not wait for

        super().__init__()
        self.architecture, network = load_frontend_network(checkpoint, architecture, attention, dropout)
        if network.config.feat_extract_norm == "group":
            logger.warning(
                "a base network sees the padding of its batch in s3prl; frontend weighted_sum has no such leak"
            )
        self.upstream: Any = _upstream(network, normalize=self.architecture["normalize_eps"] is not None)
        shape = SimpleNamespace(
            num_layers=network.config.num_hidden_layers + 1,
            hidden_sizes=[network.config.hidden_size],
            downsample_rates=[SAMPLES_PER_FRAME],
        )
        self.featurizer = Featurizer(shape, normalize=layer_norm)

    def output_size(self) -> int:
        """Return the width ``H`` of a frame."""
        return int(self.featurizer.output_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return frames (B,) of waveforms of so many samples (B,)."""
        return frame_lengths(self.upstream.model.config, lengths)

    def forward(self, input: Tensor, input_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of waveforms.

        Args:
            input: Waveforms at 16 kHz, (B, N).
            input_lengths: Samples of each, (B,).

        Returns:
            Features (B, T, H) and lengths in frames (B,).
        """
        shortest = shortest_input(self.upstream.model.config)
        if input.size(1) < shortest:
            input = functional.pad(input, (0, shortest - input.size(1)))
        samples = input_lengths.clamp(min=shortest).tolist()
        states = self.upstream([speech[:length] for speech, length in zip(input, samples, strict=True)])
        lengths = self.output_lengths(input_lengths)
        features, _ = self.featurizer(states["hidden_states"], [lengths] * len(states["hidden_states"]))
        return features, lengths


def _upstream(network: Any, *, normalize: bool) -> Any:
    """Return s3prl's upstream around a network that is loaded already.

    Its own constructor catches every error of a folder and goes on with another model from the network.
    """
    from s3prl.upstream.hf_wav2vec2.expert import UpstreamExpert
    from transformers import Wav2Vec2FeatureExtractor

    extractor: Any = Wav2Vec2FeatureExtractor

    # The last state is the one after the final norm, as in fairseq and in transformers before release 5.
    network.config.tie_last_hidden_states = True
    upstream: Any = UpstreamExpert.__new__(UpstreamExpert)
    nn.Module.__init__(upstream)
    upstream.extracter = extractor(do_normalize=normalize, return_attention_mask=True)
    upstream.model = network
    return upstream
