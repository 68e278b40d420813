"""ESPnet's transformer decoder: its losses, and its steps against its own forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from espnet.nets.pytorch_backend.transformer.mask import subsequent_mask
from torch.nn.utils.rnn import pad_sequence

from asr_dro.errors import UserError
from tests.decoders.transformer_decoder import PLAIN, TOKENS, build, encoded, log_probability
from tests.encoders.whisper_models import TOKENS as WHISPER_TOKENS

KINDS: list[dict[str, Any]] = [{}, {"normalize_before": False}, {"concat_after": True}, {"qk_norm": True}]
END = len(TOKENS) - 1


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_steps_are_the_forward_pass(kind: dict[str, Any]) -> None:
    """Rows multiply, change places, and leave; the frames of each utterance end where it ends."""
    decoder = build(**kind)
    frames, lengths = encoded(9, 4, 6)
    steps = decoder.begin(frames, lengths)
    histories = [(utterance, [END]) for utterance in range(3)]
    for rows, kept in [([0, 0, 1, 1, 2, 2], None), ([1, 0, 2, 2, 5, 4], None), ([4, 5, 0, 1], [2, 0])]:
        found = steps.step(torch.tensor([history[-1] for _, history in histories]))
        for row, (utterance, history) in enumerate(histories):
            own = frames[utterance : utterance + 1, : lengths[utterance]]
            for token in range(len(TOKENS)):
                whole = log_probability(decoder, own, [*history[1:], token], ended=False)
                before = log_probability(decoder, own, history[1:], ended=False) if history[1:] else 0.0
                assert found[row, token].item() == pytest.approx(whole - before, abs=1e-4)
        steps.select(torch.tensor(rows), None if kept is None else torch.tensor(kept))
        histories = [(histories[row][0], [*histories[row][1], (row + place) % END]) for place, row in enumerate(rows)]
    assert [utterance for utterance, _ in histories] == [2, 2, 0, 0]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_steps_are_those_of_espnet(kind: dict[str, Any]) -> None:
    decoder = build(**kind)
    frames, lengths = encoded(7)
    steps, cache = decoder.begin(frames, lengths), None
    written = torch.tensor([[END]])
    for token in (5, 3, 2, 4, 4):
        expected, cache = decoder.forward_one_step(written, subsequent_mask(written.size(1))[None], frames, cache=cache)
        torch.testing.assert_close(steps.step(written[:, -1]), expected, atol=1e-5, rtol=1e-5)
        written = torch.cat([written, torch.tensor([[token]])], dim=1)


def test_a_loss_is_the_log_probability_of_labels_and_end() -> None:
    decoder = build()
    frames, lengths = encoded(9, 4, 6)
    texts = [[5, 3, 4, 3], [], [6]]
    labels = pad_sequence([torch.tensor(text, dtype=torch.long) for text in texts], True, -1)
    counts = torch.tensor([len(text) for text in texts])
    losses, unfit = decoder.utterance_losses(frames, lengths, labels, counts)
    assert not unfit.any()
    for row, text in enumerate(texts):
        expected = -log_probability(decoder, frames[row : row + 1, : lengths[row]], text)
        assert losses[row].item() == pytest.approx(expected, rel=1e-5)
    longer = torch.nn.functional.pad(labels, (0, 3), value=2)  # padding may hold any token
    torch.testing.assert_close(decoder.utterance_losses(frames, lengths, longer, counts)[0], losses)


def test_smoothing_is_for_training_alone() -> None:
    decoder = build(dropout_rate=0.0, positional_dropout_rate=0.0)
    frames, lengths = encoded(5)
    labels, counts = torch.tensor([[5, 3]]), torch.tensor([2])
    plain = decoder.utterance_losses(frames, lengths, labels, counts)[0]
    decoder.label_smoothing = 0.2
    assert torch.equal(decoder.utterance_losses(frames, lengths, labels, counts)[0], plain)
    decoder.train()
    scores, _ = decoder(frames, lengths, torch.tensor([[END, 5, 3]]), torch.tensor([3]))
    log_probs = scores[0].log_softmax(dim=-1)
    targets = torch.tensor([5, 3, END])
    expected = -(0.8 * log_probs[torch.arange(3), targets] + 0.2 * log_probs.mean(dim=-1)).sum()
    found = decoder.utterance_losses(frames, lengths, labels, counts)[0]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.autograd.backward(found.sum())
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def test_the_first_label_is_a_tag_and_no_other_is() -> None:
    decoder = build()
    allowed = [[token for token, no in zip(TOKENS, row, strict=True) if not no] for row in decoder.forbidden.tolist()]
    assert allowed == [["[fin]", "[kat]"], ["<unk>", "<space>", "a", "b", "<sos/eos>"]]
    plain = build(PLAIN).forbidden.tolist()
    assert [[token for token, no in zip(PLAIN, row, strict=True) if not no] for row in plain] == [PLAIN[1:]]


def test_greedy_search_is_the_likeliest_token_each_time_alone_as_in_a_batch() -> None:
    decoder = build(seed=4)
    lengths = [1, 12, 3, 25, 7, 18]
    frames, sizes = encoded(*lengths)
    together = decoder.greedy(frames, sizes)
    for row, length in enumerate(lengths):
        own = frames[row : row + 1, :length]
        expected: list[int] = []
        while len(expected) < length + 2:
            inputs = torch.tensor([[END, *expected]])
            with torch.no_grad():
                scores, _ = decoder(own, sizes[row : row + 1], inputs, torch.tensor([inputs.size(1)]))
            place = min(len(expected), 1)
            best = int(scores[0, -1].masked_fill(decoder.forbidden[place], -torch.inf).argmax())
            if best == END:
                break
            expected.append(best)
        assert together[row] == expected == decoder.greedy(own, sizes[row : row + 1])[0]
    assert len({len(hypothesis) for hypothesis in together}) > 2


def test_whispers_tokens_are_refused() -> None:
    with pytest.raises(UserError, match="decoder transformer has no use for Whisper's tokens"):
        build().use_tokens(WHISPER_TOKENS)
