"""Beam search over labels against all label sequences, against ESPnet's search, and against itself in other batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from espnet.nets.batch_beam_search import BatchBeamSearch
from espnet.nets.scorer_interface import BatchScorerInterface
from espnet.nets.scorers.ctc import CTCPrefixScorer
from espnet.nets.scorers.length_bonus import LengthBonus
from torch import Tensor
from torch.nn import functional

from asr_dro.decoding.ctc_prefixes import CtcPrefixes
from asr_dro.decoding.label_beam import BeamOptions, Ended, Heard, search_labels
from tests.decoders import whisper_decoder
from tests.decoders.transformer_decoder import PLAIN, TOKENS, WIDTH, build, encoded, log_probability
from tests.encoders.whisper_models import write_whisper

FIN, KAT, END = TOKENS.index("[fin]"), TOKENS.index("[kat]"), TOKENS.index("<sos/eos>")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return whisper_decoder.build(write_whisper(tmp_path_factory.mktemp("whisper")))


def ctc_scores(frames: Tensor, tokens: Sequence[str], *, seed: int = 0) -> Tensor:
    """Return log-probabilities of CTC (B, T, V) that follow from the frames."""
    weight = torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(seed))
    return functional.linear(frames, weight).log_softmax(dim=-1)


def heard(frames: Tensor, lengths: Tensor, limits: Sequence[int], **more: Any) -> Heard:
    return Heard(frames, lengths, limits, **more)


def ctc_log_probability(log_probs: Tensor, labels: Sequence[int]) -> float:
    """Return log p(labels) of frames (T, V) as PyTorch has it."""
    size = log_probs.size(0)
    targets = torch.tensor([list(labels)], dtype=torch.long)
    sizes = torch.tensor([size]), torch.tensor([len(labels)])
    loss = functional.ctc_loss(log_probs.double()[:, None], targets, *sizes, reduction="sum")
    return -float(loss)


def ctc_prefix_log_probability(log_probs: Tensor, prefix: Sequence[int]) -> float:
    """Return the log-probability that a transcript begins with a prefix: the sum over all paths of frames (T, V)."""
    total = 0.0
    for path in itertools.product(range(log_probs.size(1)), repeat=log_probs.size(0)):
        labels = [label for label, _ in itertools.groupby(path) if label != 0]
        if labels[: len(prefix)] == list(prefix):
            total += math.exp(sum(log_probs[frame, label].item() for frame, label in enumerate(path)))
    return math.log(total) if total else -math.inf


def all_ended(decoder: Any, frames: Tensor, limit: int, log_probs: Tensor | None, options: BeamOptions) -> list[Ended]:
    """Score every label sequence that the decoder may write, best first."""
    found = []
    for size in range(1, limit + 1):
        for labels in itertools.product(range(len(TOKENS) - 1), repeat=size):
            rows = [decoder.forbidden[min(place, 1), label] for place, label in enumerate(labels)]
            if any(rows):
                continue
            ended = size < limit  # one as long as allowed counts as it stands
            for finished in {ended, True} if size == limit else {True}:
                if size == limit and finished:
                    continue
                score = log_probability(decoder, frames, labels, ended=finished)
                if log_probs is not None:
                    measure = ctc_log_probability if finished else ctc_prefix_log_probability
                    score = (1 - options.ctc_weight) * score + options.ctc_weight * measure(log_probs, labels)
                found.append(Ended(score + options.length_penalty * (size + finished), list(labels)))
    return sorted((one for one in found if one.score > -math.inf), key=lambda one: -one.score)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4])
@pytest.mark.parametrize("length_penalty", [0.0, 1.5, -0.7])
def test_a_wide_beam_finds_the_best_of_all_sequences(ctc_weight: float, length_penalty: float) -> None:
    decoder = build(seed=4)
    options = BeamOptions(beam_size=200, nbest=5, length_penalty=length_penalty, ctc_weight=ctc_weight)
    frames, lengths = encoded(5, 4, seed=1)
    log_probs = ctc_scores(frames, TOKENS) if ctc_weight else None
    found = search_labels(decoder, heard(frames, lengths, [3, 2], ctc=log_probs), options)
    for row, limit in enumerate([3, 2]):
        size = int(lengths[row])
        own = None if log_probs is None else log_probs[row, :size]
        expected = all_ended(decoder, frames[row : row + 1, :size], limit, own, options)[:5]
        assert [one.labels for one in found[row]] == [one.labels for one in expected]
        assert [one.score for one in found[row]] == pytest.approx([one.score for one in expected], abs=1e-4)


def test_ctc_allows_as_many_labels_as_frames_and_scores_their_end() -> None:
    decoder, options = build(seed=4), BeamOptions(beam_size=300, nbest=20, ctc_weight=0.4)
    with torch.no_grad():
        decoder.output_layer.bias[END] -= 4.0  # writes as much as it may
    frames, lengths = encoded(3, 1, 2, seed=1)
    log_probs = ctc_scores(frames, TOKENS)
    found = search_labels(decoder, heard(frames, lengths, [5, 3, 4], ctc=log_probs), options)
    for row, limit in enumerate([4, 3, 4]):
        size = int(lengths[row])
        expected = all_ended(decoder, frames[row : row + 1, :size], limit, log_probs[row, :size], options)[:20]
        assert [one.labels for one in found[row]] == [one.labels for one in expected]
        assert [one.score for one in found[row]] == pytest.approx([one.score for one in expected], abs=1e-4)
        assert max(len(one.labels) for one in found[row]) == size


def test_ctc_prefixes_are_sums_over_all_paths() -> None:
    """Equal neighbours, more labels than frames, utterances of other lengths, and rows that change places."""
    tokens = 4
    log_probs = (2 * torch.randn(2, 4, tokens, generator=torch.Generator().manual_seed(0))).log_softmax(dim=-1)
    lengths = torch.tensor([4, 2])
    prefixes = CtcPrefixes(log_probs, lengths, blank=0, end=3)
    everything = torch.arange(tokens).repeat(2, 1)
    found = prefixes.step(torch.tensor([3, 3]), everything)
    histories: list[tuple[int, list[int]]] = [(0, []), (1, [])]
    chosen = [([0, 0, 1, 1], [1, 2, 1, 2], None), ([0, 1, 3, 2], [1, 1, 1, 1], None), ([2, 3], [2, 1], [1])]
    for rows, labels, kept in chosen:
        for row, (utterance, prefix) in enumerate(histories):
            own = log_probs[utterance, : lengths[utterance]]
            before = ctc_prefix_log_probability(own, prefix)
            for token in (1, 2):
                after = ctc_prefix_log_probability(own, [*prefix, token])
                expected = after - before if after > -math.inf else -math.inf
                assert found[row, token].item() == pytest.approx(expected, abs=1e-4), (utterance, prefix, token)
            whole = ctc_log_probability(own, prefix)
            expected = whole - before if whole > -math.inf else -math.inf
            assert found[row, 3].item() == pytest.approx(expected, abs=1e-4)
            assert found[row, 0] == -torch.inf
        prefixes.select(torch.tensor(rows), torch.tensor(labels), None if kept is None else torch.tensor(kept))
        histories = [(histories[row][0], [*histories[row][1], label]) for row, label in zip(rows, labels, strict=True)]
        if kept is None:
            found = prefixes.step(torch.tensor(labels), torch.arange(tokens).repeat(len(rows), 1))


class NoBlank(BatchScorerInterface):  # type: ignore[misc]  # ESPnet has no type information
    """Forbid the blank: ESPnet's CTC scores it with -1e10, and gives that back with the next label."""

    def batch_score(self, ys: Tensor, states: Any, xs: Tensor) -> tuple[Tensor, None]:
        return torch.tensor([-math.inf] + [0.0] * (len(PLAIN) - 1)).expand(len(ys), -1), None


def espnets(decoder: Any, frames: Tensor, log_probs: Tensor, options: BeamOptions) -> list[Ended]:
    """Search one utterance (T, H) with ESPnet's own."""

    class Posteriors(torch.nn.Module):
        def log_softmax(self, _: Tensor) -> Tensor:
            return log_probs[None].clone()

    search = BatchBeamSearch(
        scorers={
            "decoder": decoder,
            "ctc": CTCPrefixScorer(Posteriors(), decoder.end),
            "length_bonus": LengthBonus(len(PLAIN)),
            "no_blank": NoBlank(),
        },
        weights={
            "decoder": 1 - options.ctc_weight,
            "ctc": options.ctc_weight,
            "length_bonus": options.length_penalty,
            "no_blank": 1.0,
        },
        beam_size=options.beam_size,
        vocab_size=len(PLAIN),
        sos=decoder.start,
        eos=decoder.end,
        pre_beam_score_key=None,
    )
    with torch.no_grad():
        found = search(frames, maxlenratio=1.0)
    # At the longest length it appends an end to what has one already.
    return [Ended(float(one.score), [label for label in one.yseq.tolist() if label != decoder.end]) for one in found]


@pytest.mark.parametrize("ctc_weight", [0.3, 0.7])
@pytest.mark.parametrize("length_penalty", [0.0, 0.5])
@pytest.mark.parametrize("beam_size", [1, 3, 6])
def test_joint_search_is_that_of_espnet(beam_size: int, length_penalty: float, ctc_weight: float) -> None:
    decoder = build(PLAIN, seed=4)
    options = BeamOptions(beam_size, min(3, beam_size), length_penalty, ctc_weight)
    sizes = [9, 5, 12, 7, 1]
    frames, lengths = encoded(*sizes, seed=2)
    log_probs = ctc_scores(frames, PLAIN)
    found = search_labels(decoder, heard(frames, lengths, sizes, ctc=log_probs), options)
    for row, size in enumerate(sizes):
        expected = espnets(decoder, frames[row, :size], log_probs[row, :size], options)
        expected = [one for one in expected if one.score > -1e8][: options.nbest]
        assert [one.labels for one in found[row]] == [one.labels for one in expected]
        assert [one.score for one in found[row]] == pytest.approx([one.score for one in expected], abs=1e-3)
    assert len({len(hypotheses[0].labels) for hypotheses in found}) > 2


def test_search_with_a_beam_of_one_is_greedy(whisper: Any) -> None:
    decoder = build(seed=4)
    sizes = [1, 12, 3, 25, 7, 18]
    frames, lengths = encoded(*sizes)
    found = search_labels(decoder, heard(frames, lengths, [size + 2 for size in sizes]), BeamOptions(1))
    assert [hypotheses[0].labels for hypotheses in found] == decoder.greedy(frames, lengths)
    sizes = [50, 3, 44, 17, 26, 50, 9]
    frames, lengths = whisper_decoder.encoded(*sizes)
    limits = [min(size + 4, whisper.most_labels) for size in sizes]
    with torch.no_grad():
        found = search_labels(whisper, heard(frames, lengths, limits), BeamOptions(1))
    assert [hypotheses[0].labels for hypotheses in found] == whisper.greedy(frames, lengths)
    assert len({len(hypotheses[0].labels) for hypotheses in found}) > 2


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_a_batch_changes_nothing(ctc_weight: float) -> None:
    decoder, options = build(seed=4), BeamOptions(4, 3, 0.2, ctc_weight)
    sizes = [9, 2, 14, 6, 21, 1]
    frames, lengths = encoded(*sizes, seed=5)
    log_probs = ctc_scores(frames, TOKENS) if ctc_weight else None
    together = search_labels(decoder, heard(frames, lengths, sizes, ctc=log_probs), options)
    for row, size in enumerate(sizes):
        own = frames[row : row + 1, :size]
        posteriors = None if log_probs is None else log_probs[row : row + 1, :size]
        alone = search_labels(decoder, heard(own, lengths[row : row + 1], [size], ctc=posteriors), options)[0]
        assert [one.labels for one in together[row]] == [one.labels for one in alone]
        assert [one.score for one in together[row]] == pytest.approx([one.score for one in alone], abs=1e-4)


def test_whispers_beam_keeps_its_prompt_and_scores_as_its_forward_pass_does(whisper: Any) -> None:
    sizes = [50, 13, 4, 30, 21]
    frames, lengths = whisper_decoder.encoded(*sizes, seed=3)
    limits = [min(size + 4, whisper.most_labels) for size in sizes]
    with torch.no_grad():
        found = search_labels(whisper, heard(frames, lengths, limits), BeamOptions(4, 4))
        narrow = search_labels(whisper, heard(frames, lengths, limits), BeamOptions(1))
    for row, size in enumerate(sizes):
        assert len(found[row]) == 4
        for one in found[row]:
            assert one.labels[0] in (22, 24) and one.labels[1:3] == [26, 28] and max(one.labels[3:], default=0) < 20
            ended = len(one.labels) < limits[row]
            own = frames[row : row + 1, :size]
            assert one.score == pytest.approx(log_probability(whisper, own, one.labels, ended=ended), abs=1e-3)
        assert [one.score for one in found[row]] == sorted((one.score for one in found[row]), reverse=True)
    assert any(found[row][0].score > narrow[row][0].score + 1e-3 for row in range(len(sizes)))


def test_only_what_is_allowed_is_written() -> None:
    decoder = build(seed=4)
    frames, lengths = encoded(9, 7)
    impossible = torch.zeros(2, len(TOKENS), dtype=torch.bool)
    impossible[0, TOKENS.index("a")] = impossible[1, TOKENS.index("b")] = True
    first = torch.tensor([KAT, FIN])
    options = BeamOptions(8, 8)
    found = search_labels(decoder, heard(frames, lengths, [9, 7], first=first, impossible=impossible), options)
    for row, (tag, missing) in enumerate([(KAT, "a"), (FIN, "b")]):
        assert {one.labels[0] for one in found[row]} == {tag}
        written = {TOKENS[label] for one in found[row] for label in one.labels[1:]}
        assert written and missing not in written and written <= {"<unk>", "<space>", "a", "b"}
