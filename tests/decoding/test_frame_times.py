from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_dro.decoding.frame_times import BestPath, best_paths, join_paths, samples_per_frame, tokens_of
from asr_dro.decoding.greedy import ctc_greedy
from asr_dro.errors import UserError


def convolved(kernels: list[int], strides: list[int]) -> object:
    def lengths(samples: Tensor) -> Tensor:
        for kernel, stride in zip(kernels, strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    return lengths


def test_the_distance_of_frames_is_exact() -> None:
    wav2vec2 = convolved([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    assert samples_per_frame(wav2vec2) == 320  # type: ignore[arg-type]
    assert samples_per_frame(lambda samples: (samples + 479) // 480) == 480
    for lengths in (None, lambda samples: samples * 2 // 321, lambda samples: samples.float().sqrt().long()):
        with pytest.raises(UserError, match="frames have no times"):
            samples_per_frame(lengths)


def random_path(frames: int, seed: int, blanks: float = 0.6) -> BestPath:
    generator = np.random.default_rng(seed)
    labels = generator.integers(1, 5, frames).repeat(2)[:frames]
    labels[generator.random(frames) < blanks] = 0
    return BestPath(labels.astype(np.int32), generator.random(frames).astype(np.float32))


def test_tokens_are_those_of_the_greedy_search_with_their_frames_and_mean_posteriors() -> None:
    logits = torch.randn(4, 60, 5, generator=torch.Generator().manual_seed(0)).mul(3)
    logits[:, :, 0] += 2
    lengths = torch.tensor([60, 1, 37, 0])
    paths = best_paths(logits, lengths)
    for row, expected in enumerate(ctc_greedy(logits, lengths)):
        tokens = tokens_of(paths[row])
        assert [token.label for token in tokens] == expected
        posteriors = logits[row].softmax(dim=-1)
        for token in tokens:
            frames = range(token.start, token.stop)
            assert all(int(logits[row, frame].argmax()) == token.label for frame in frames)
            mean = sum(float(posteriors[frame, token.label]) for frame in frames) / len(frames)
            assert token.confidence == pytest.approx(mean, abs=1e-6)
        assert [a.stop <= b.start for a, b in itertools.pairwise(tokens)].count(False) == 0


def test_windows_that_agree_join_to_the_whole() -> None:
    for seed in range(50):
        whole = random_path(300, seed)
        starts = [0, 80, 170]
        stops = [110, 200, 300]
        parts = [BestPath(whole.labels[a:b], whole.posteriors[a:b]) for a, b in zip(starts, stops, strict=True)]
        joined = join_paths(parts, starts)
        np.testing.assert_array_equal(joined.labels, whole.labels)
        np.testing.assert_array_equal(joined.posteriors, whole.posteriors)


def path(labels: str, posterior: float) -> BestPath:
    """Write a path as letters, with dots for blanks."""
    found = [0 if letter == "." else ord(letter) for letter in labels]
    return BestPath(np.array(found, dtype=np.int32), np.full(len(found), posterior, dtype=np.float32))


def text(labels: NDArray[np.int32]) -> str:
    return "".join(chr(label) if label else "." for label in labels)


@pytest.mark.parametrize(
    ("earlier", "later", "start", "seam"),
    [
        ("a..b.....c", "x.......d..e", 3, 6),  # the middle of the overlap, whatever stands at the windows' edges
        ("a..b..........c", "x....yyy..d", 4, 8),  # nearest to the middle, 9, where two frames around it are clear
        ("ab.c.d.e.f", "c.d.e.f.gh", 3, 6),  # nothing is clear: blank in both
        ("abcd.ef", "cdefghi", 2, 4),  # blank in one of them
        ("aaaaaa", "aaaaaa", 3, 4),  # no blank at all: one token as before
        ("a.b", "c.d", 3, 3),  # no overlap
    ],
)
def test_where_windows_are_joined(earlier: str, later: str, start: int, seam: int) -> None:
    found = join_paths([path(earlier, 0.25), path(later, 0.75)], [0, start])
    assert text(found.labels) == earlier[:seam] + later[seam - start :]
    assert found.posteriors.tolist() == [0.25] * seam + [0.75] * (start + len(later) - seam)


def test_a_token_that_one_window_hears_earlier_or_later_comes_once() -> None:
    for frame in range(2, 14):
        for shift in (-2, -1, 0, 1, 2):
            earlier = path("a" + "." * (4 + frame) + "b" + "." * (15 - frame), 0.5)
            later = path("." * (frame + shift) + "b" + "." * (20 - frame - shift), 0.5)
            tokens = tokens_of(join_paths([earlier, later], [0, 5]))
            assert [chr(token.label) for token in tokens] == ["a", "b"], (frame, shift)
