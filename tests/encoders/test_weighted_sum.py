"""The weighted sum of all layers: against transformers, and against s3prl on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2Model

from asr_dro.encoders.identity import IdentityEncoder
from asr_dro.encoders.weighted_sum import WeightedSumFrontend
from asr_dro.errors import UserError
from asr_dro.training.freezing import FreezeSchedule

LENGTHS = (16_000, 12_345, 4_000, 300)


def batch() -> tuple[Tensor, Tensor]:
    speech = 0.1 * torch.randn(len(LENGTHS), max(LENGTHS), generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor(LENGTHS)
    return speech.masked_fill(torch.arange(max(LENGTHS)) >= lengths[:, None], 0.0), lengths


def set_weights(frontend: Any) -> None:
    """Let every layer count differently; all weights begin equal."""
    weights = frontend.weights if isinstance(frontend, WeightedSumFrontend) else frontend.featurizer.weights
    weights.data = torch.linspace(-1.0, 2.0, len(weights))


@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_sum_is_that_of_transformers_layers(tiny_wav2vec2: Path, layer_norm: bool) -> None:
    frontend = WeightedSumFrontend(str(tiny_wav2vec2 / "xlsr"), layer_norm=layer_norm).eval()
    set_weights(frontend)
    network: Any = Wav2Vec2Model.from_pretrained(tiny_wav2vec2 / "xlsr")
    network.eval()
    speech = batch()[0][:1]
    normalized = (speech - speech.mean()) / (speech.var(correction=0) + 1e-7).sqrt()
    with torch.no_grad():
        output, frames = frontend(speech, torch.tensor([16_000]))
        found = network(normalized, output_hidden_states=True)
    states = torch.stack([*found.hidden_states[:-1], found.last_hidden_state])
    states = functional.layer_norm(states, states.shape[-1:]) if layer_norm else states
    expected = torch.einsum("l,lbth->bth", torch.linspace(-1.0, 2.0, 4).softmax(0), states)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0.0)
    assert frames.tolist() == [49]


@pytest.mark.parametrize("layer_norm", [False, True])
def test_s3prl_gives_the_same(tiny_wav2vec2: Path, layer_norm: bool) -> None:
    from asr_dro.encoders.s3prl_upstream import S3prlUpstreamFrontend

    speech, lengths = batch()
    outputs = []
    for frontend_class in (WeightedSumFrontend, S3prlUpstreamFrontend):
        frontend = frontend_class(str(tiny_wav2vec2 / "xlsr"), layer_norm=layer_norm).eval()
        set_weights(frontend)
        with torch.no_grad():
            outputs.append(frontend(speech, lengths))
    (ours, our_frames), (theirs, their_frames) = outputs
    assert our_frames.tolist() == their_frames.tolist() == [49, 38, 12, 1]
    assert ours.shape == theirs.shape
    for row, frames in enumerate(our_frames.tolist()):
        torch.testing.assert_close(ours[row, :frames], theirs[row, :frames], atol=1e-5, rtol=0.0)


def test_gradients_through_s3prl_are_the_same(tiny_wav2vec2: Path) -> None:
    from asr_dro.encoders.s3prl_upstream import S3prlUpstreamFrontend

    gradients = []
    for frontend_class, part in ((WeightedSumFrontend, "model"), (S3prlUpstreamFrontend, "upstream.model")):
        frontend = frontend_class(str(tiny_wav2vec2 / "xlsr")).train()
        output, frames = frontend(*batch())
        mask = torch.arange(output.size(1)) < frames[:, None]
        (output * mask[:, :, None]).square().sum().backward()
        gradients.append({
            name: parameter.grad for name, parameter in frontend.get_submodule(part).named_parameters()
        })  # fmt: skip
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-3, rtol=1e-3, msg=name)


def test_s3prl_in_training_drops_no_layer_and_keeps_no_copy(tiny_wav2vec2: Path) -> None:
    from asr_dro.encoders.s3prl_upstream import S3prlUpstreamFrontend

    frontend = S3prlUpstreamFrontend(str(tiny_wav2vec2 / "xlsr")).train()
    outputs = [frontend(*batch())[0] for _ in range(20)]  # with layer drop, every third would fail
    assert all(torch.equal(outputs[0], output) for output in outputs)
    held = [value for value in vars(frontend).values() if isinstance(value, dict) and len(value) > 20]
    assert held == [], "ESPnet's front end keeps the state of the network a second time"


def test_dropout_is_on_in_training_unless_frozen(tiny_wav2vec2: Path) -> None:
    from asr_dro.encoders.s3prl_upstream import S3prlUpstreamFrontend

    for frontend_class, pattern in ((WeightedSumFrontend, "f.model.*"), (S3prlUpstreamFrontend, "f.upstream.*")):
        frontend = frontend_class(str(tiny_wav2vec2 / "xlsr"), dropout={"hidden": 0.3})
        model = torch.nn.ModuleDict({"f": frontend}).train()
        assert not torch.equal(frontend(*batch())[0], frontend(*batch())[0])
        FreezeSchedule(model, [pattern]).apply(0)
        assert torch.equal(frontend(*batch())[0], frontend(*batch())[0])
        assert frontend.training, "the weights of the layers still learn"


def test_checkpointing_gives_the_same_gradients(tiny_wav2vec2: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        frontend = WeightedSumFrontend(str(tiny_wav2vec2 / "xlsr"), gradient_checkpointing=checkpointing).train()
        frontend(*batch())[0].square().sum().backward()
        gradients.append([parameter.grad for parameter in frontend.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_layers_cannot_be_left_out(tiny_wav2vec2: Path) -> None:
    with pytest.raises(UserError, match=r"dropout\.layer is not a key"):
        WeightedSumFrontend(str(tiny_wav2vec2 / "xlsr"), dropout={"layer": 0.1})


def test_a_base_network_through_s3prl_is_warned_about(tiny_wav2vec2: Path, caplog: pytest.LogCaptureFixture) -> None:
    from asr_dro.encoders.s3prl_upstream import S3prlUpstreamFrontend

    S3prlUpstreamFrontend(str(tiny_wav2vec2 / "base"))
    assert "sees the padding of its batch" in caplog.text


def test_identity_hands_on() -> None:
    features, lengths = torch.randn(2, 5, 3), torch.tensor([5, 2])
    encoder = IdentityEncoder(3)
    output, frames, states = encoder(features, lengths)
    assert torch.equal(output, features)
    assert torch.equal(frames, lengths)
    assert states is None
    assert encoder.output_size() == 3
