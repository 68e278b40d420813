from __future__ import annotations

import pytest
import torch

from asr_dro.encoders.separable_conv import SeparableConvEncoder


def make_encoder(stack: int = 3) -> SeparableConvEncoder:
    torch.manual_seed(0)
    encoder = SeparableConvEncoder(input_size=5, channels=8, blocks=3, kernel_size=5, stack=stack)
    encoder.eval()
    return encoder


@pytest.mark.parametrize("stack", [1, 2, 3])
def test_padding_never_changes_an_utterance(stack: int) -> None:
    encoder = make_encoder(stack)
    lengths = torch.tensor([31, 30, 17, 1])
    batch = torch.randn(4, 40, 5)  # what stands beyond the lengths is noise, not zeros
    together, out_lengths, _ = encoder(batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, alone_lengths, _ = encoder(batch[row : row + 1, :length], torch.tensor([length]))
        assert out_lengths[row] == alone_lengths[0] == -(-length // stack)
        torch.testing.assert_close(together[row, : out_lengths[row]], alone[0], atol=1e-5, rtol=0)


def test_width_of_output() -> None:
    encoder = make_encoder()
    output, _, states = encoder(torch.randn(2, 12, 5), torch.tensor([12, 9]))
    assert output.shape == (2, 4, encoder.output_size())
    assert states is None


def test_no_batch_statistics() -> None:
    """BatchNorm would see one language at a time with group-pure batches."""
    assert not any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in make_encoder().modules())


@pytest.mark.parametrize(("option", "value"), [("kernel_size", 4), ("channels", 0), ("blocks", 0), ("stack", 0)])
def test_impossible_sizes_are_refused(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=r"kernel_size|at least 1"):
        SeparableConvEncoder(input_size=5, **{option: value})
