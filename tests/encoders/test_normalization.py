from __future__ import annotations

import torch

from asr_dro.encoders.normalization import PerUtteranceNormalization


def test_equals_plain_statistics_of_each_utterance_alone() -> None:
    torch.manual_seed(0)
    features = 5 + 3 * torch.randn(3, 20, 4)
    lengths = torch.tensor([20, 13, 2])
    normalised, out_lengths = PerUtteranceNormalization()(features, lengths)
    assert torch.equal(out_lengths, lengths)
    for row, length in enumerate(lengths.tolist()):
        own = features[row, :length]
        expected = (own - own.mean(dim=0)) / own.std(dim=0, correction=0)
        torch.testing.assert_close(normalised[row, :length], expected, atol=1e-5, rtol=1e-5)
        assert (normalised[row, length:] == 0).all()


def test_silence_stays_finite() -> None:
    normalised, _ = PerUtteranceNormalization()(torch.zeros(1, 5, 4))
    assert (normalised == 0).all()
