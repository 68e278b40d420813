"""The search in one utterance, against all paths through tiny inputs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_dro.data.tokens import decode
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.ngrams import load_kenlm
from asr_dro.decoding.prefix_search import Alphabet, Hypothesis, PrefixSearch
from tests.decoding.ctc_reference import (
    NGRAMS,
    Labels,
    collapse,
    labelling_scores,
    ngram_score,
    path_scores,
    random_log_probs,
    wide,
)

CHARACTERS = ("<blank>", "<unk>", "<space>", "a", "b", "<sos/eos>")
PIECES = ("<blank>", "<unk>", "▁a", "a", "▁", "b", "▁ab", "<sos/eos>")
_CLOSE = 2e-4  # the library's posteriors are single precision
seeds = st.integers(0, 10_000)


def labels_of(found: Hypothesis) -> Labels:
    return tuple(token.label for token in found.tokens)


def text_of(labels: Labels, tokens: tuple[str, ...]) -> str:
    return decode(labels, tokens)[1]


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(3, 4), st.sampled_from([0.5, 2.0]))
def test_scores_are_the_sums_over_all_paths(seed: int, frames: int, size: int, sharpness: float) -> None:
    log_probs = random_log_probs(frames, size, seed=seed, sharpness=sharpness)
    expected = labelling_scores(log_probs)
    found = PrefixSearch(Alphabet(CHARACTERS[:size]), wide())(log_probs, most=5000)
    assert {labels_of(one): one.score for one in found} == pytest.approx(expected, abs=_CLOSE)
    assert len(found) == len(expected)  # none comes twice
    assert found[0].score == max(one.score for one in found)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 60), st.integers(1, 12))
def test_a_narrow_beam_finds_no_more_than_there_is(seed: int, frames: int, width: int) -> None:
    log_probs = random_log_probs(frames, 6, seed=seed, sharpness=2.0)
    config = DecodeConfig("beam", beam_size=width, tokens_per_frame=4)
    (best,) = PrefixSearch(Alphabet(CHARACTERS), config)(log_probs)
    labels = torch.tensor([labels_of(best)])
    exact = -torch.nn.functional.ctc_loss(
        torch.from_numpy(log_probs)[:, None].double(),
        labels,
        torch.tensor([frames]),
        torch.tensor([labels.size(1)]),
        reduction="none",
    )
    assert best.score <= exact.item() + 1e-3


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 60))
def test_a_beam_of_one_follows_the_greedy_path(seed: int, frames: int) -> None:
    log_probs = random_log_probs(frames, 6, seed=seed)
    (best,) = PrefixSearch(Alphabet(CHARACTERS), DecodeConfig("beam", beam_size=1))(log_probs)
    assert labels_of(best) == collapse(log_probs.argmax(axis=1).tolist())
    assert best.score == pytest.approx(float(log_probs.max(axis=1).sum()), rel=1e-5)
    (wider,) = PrefixSearch(Alphabet(CHARACTERS), DecodeConfig("beam", beam_size=50))(log_probs)
    assert wider.score >= best.score - 1e-4


@pytest.mark.parametrize("blank", [0, 3])
def test_repeated_letters_times_and_confidences(blank: int) -> None:
    space = 2
    a = 4
    path = [blank, a, a, blank, a, blank, blank, space, space, space, 1, blank]
    log_probs = np.full((len(path), 6), math.log(0.02), dtype=np.float32)
    shares = np.linspace(0.6, 0.9, len(path))
    log_probs[np.arange(len(path)), path] = np.log(shares)
    tokens = ("<unk>", "x", "<space>", "y", "a", "<sos/eos>") if blank else CHARACTERS
    (best,) = PrefixSearch(Alphabet(tokens, blank), wide())(log_probs)
    found = [(token.label, token.start, token.stop) for token in best.tokens]
    assert found == [(a, 1, 3), (a, 4, 5), (space, 7, 10), (1, 10, 11)]
    assert [token.confidence for token in best.tokens] == pytest.approx(
        [shares[1:3].mean(), shares[4], shares[7:10].mean(), shares[10]], rel=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_frames_are_those_of_a_likely_path_of_the_labels(seed: int) -> None:
    log_probs = random_log_probs(5, 4, seed=seed, sharpness=3.0)
    (best,) = PrefixSearch(Alphabet(CHARACTERS[:4]), wide())(log_probs)
    path = [0] * 5
    for token in best.tokens:
        path[token.start : token.stop] = [token.label] * (token.stop - token.start)
    scores = {path: score for path, score in path_scores(log_probs).items() if collapse(path) == labels_of(best)}
    assert tuple(path) in scores
    # Prefixes are kept with their likeliest end, so the path is near the likeliest of all, if not always equal to it.
    assert scores[tuple(path)] > max(scores.values()) - 2.0


def test_no_frames() -> None:
    assert PrefixSearch(Alphabet(CHARACTERS), wide())(np.zeros((0, 6), dtype=np.float32)) == [Hypothesis([], 0.0)]


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(["bigram.arpa", "bigram.binary"]), st.sampled_from([0.0, 0.5, 3.0]))
def test_a_model_over_tokens_adds_its_score_by_definition(seed: int, file: str, weight: float) -> None:
    log_probs = random_log_probs(4, 5, seed=seed)
    lm = load_kenlm(NGRAMS / file, CHARACTERS)
    found = PrefixSearch(Alphabet(CHARACTERS[:5]), wide(lm="x", lm_weight=weight), lm=lm)(log_probs, most=5000)
    expected = {
        labels: score + weight * ngram_score([CHARACTERS[label] for label in labels])
        for labels, score in labelling_scores(log_probs).items()
    }
    assert {labels_of(one): one.score for one in found} == pytest.approx(expected, abs=_CLOSE)
    assert found[0].score == pytest.approx(max(expected.values()), abs=_CLOSE)


def test_a_language_model_changes_the_answer_as_computed_by_hand() -> None:
    # One frame: a has 0.5, b has 0.4. The model gives "<s> a </s>" -0.3 - 0.5 - 0.3 = -1.1 and "<s> b </s>"
    # -0.1 - 0.1 - 1.0 = -1.2, so a stays ahead; over two frames "b a" has -0.1 - 0.2 - 0.3 = -0.6.
    log_probs = np.log(np.array([[0.02, 0.01, 0.01, 0.5, 0.46], [0.02, 0.01, 0.01, 0.8, 0.16]], dtype=np.float32))
    alone = PrefixSearch(Alphabet(CHARACTERS[:5]), wide())
    lm = load_kenlm(NGRAMS / "bigram.arpa", CHARACTERS)
    helped = PrefixSearch(Alphabet(CHARACTERS[:5]), wide(lm="x", lm_weight=1.0), lm=lm)
    assert labels_of(alone(log_probs)[0]) == (3,)  # a in both frames, one, or the other: 0.4 + 0.5 * 0.02 + 0.02 * 0.8
    (best,) = helped(log_probs)
    assert labels_of(best) == (4, 3)
    assert best.score == pytest.approx(math.log(0.46 * 0.8) - 0.6, abs=1e-4)


def expected_texts(log_probs: NDArray[np.float32], tokens: tuple[str, ...], words: list[str]) -> dict[str, float]:
    """Return the log-probability of each text of these words only: the sum over its labellings."""
    by_text: dict[str, list[float]] = {}
    for labels, score in labelling_scores(log_probs).items():
        plain = all(0 < label < len(tokens) - 1 and label != 1 for label in labels)
        text = text_of(labels, tokens)
        if plain and set(text.split()) <= set(words):
            by_text.setdefault(text, []).append(score)
    return {text: float(np.logaddexp.reduce(scores)) for text, scores in by_text.items()}


WORDS = ["a", "aa", "ab", "b", "baa"]


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.7]), st.booleans())
def test_a_word_list_limits_the_words_of_characters(seed: int, word_score: float, has_lm: bool) -> None:
    log_probs = random_log_probs(5, 6, seed=seed)
    log_probs[:, 5] = -np.inf
    weight = 0.8 if has_lm else 0.0
    lm = load_kenlm(NGRAMS / "bigram.arpa", WORDS) if has_lm else None
    config = wide(word_list="x", word_score=word_score, lm="x" * has_lm, lm_weight=0.8)
    found = PrefixSearch(Alphabet(CHARACTERS), config, lm=lm, words=WORDS)(log_probs, most=5000)
    texts = expected_texts(log_probs, CHARACTERS, WORDS)
    expected = {
        text: score + word_score * len(text.split()) + weight * (ngram_score(text.split()))
        for text, score in texts.items()
    }
    assert {text_of(labels_of(one), CHARACTERS): one.score for one in found} == pytest.approx(expected, abs=_CLOSE)
    assert len(found) == len(expected)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.7]), st.booleans())
def test_a_word_list_limits_the_words_of_pieces(seed: int, word_score: float, has_lm: bool) -> None:
    log_probs = random_log_probs(4, 8, seed=seed)
    log_probs[:, 7] = -np.inf
    lm = load_kenlm(NGRAMS / "bigram.arpa", WORDS) if has_lm else None
    weight = 0.8 if has_lm else 0.0
    config = wide(word_list="x", word_score=word_score, lm="x" * has_lm, lm_weight=0.8)
    found = PrefixSearch(Alphabet(PIECES), config, lm=lm, words=WORDS)(log_probs, most=5000)
    expected = {}
    for labels, score in labelling_scores(log_probs).items():
        words = text_of(labels, PIECES).split()
        if set(words) <= set(WORDS) and not {1, 7} & set(labels):
            expected[labels] = score + word_score * len(words) + weight * ngram_score(words)
    assert {labels_of(one): one.score for one in found} == pytest.approx(expected, abs=_CLOSE)
    assert found[0].score == pytest.approx(max(expected.values()), abs=_CLOSE)


@pytest.mark.parametrize("tokens", [CHARACTERS, PIECES], ids=["characters", "pieces"])
def test_the_last_letter_may_last_and_a_double_one_needs_its_blank(tokens: tuple[str, ...]) -> None:
    a = tokens.index("a")
    first = tokens.index("▁a") if tokens is PIECES else a
    for path, words, text in (
        ([first, first, first], ["a"], "a"),
        ([first, 0, a, a, a], ["a", "aa"], "aa"),
        ([first, first, a] if first != a else [a, a, a], ["a", "aa"], "aa" if first != a else "a"),
    ):
        log_probs = np.full((len(path), len(tokens)), math.log(1e-4), dtype=np.float32)
        log_probs[np.arange(len(path)), path] = math.log(0.99)
        (best,) = PrefixSearch(Alphabet(tokens), wide(word_list="x"), words=words)(log_probs)
        assert text_of(labels_of(best), tokens) == text


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([CHARACTERS, PIECES]), st.integers(1, 3))
def test_a_word_that_has_only_begun_is_not_written(seed: int, tokens: tuple[str, ...], width: int) -> None:
    words = ["abba", "baab"]
    log_probs = random_log_probs(9, len(tokens), seed=seed, sharpness=3.0)
    config = DecodeConfig("beam", beam_size=width, word_list="x")
    (best,) = PrefixSearch(Alphabet(tokens), config, words=words)(log_probs)
    assert set(text_of(labels_of(best), tokens).split()) <= set(words)
    assert -1000 < best.score < 0


def test_words_of_one_text_come_once_in_the_list_of_hypotheses() -> None:
    log_probs = random_log_probs(6, 6, seed=5)
    found = PrefixSearch(Alphabet(CHARACTERS), wide(word_list="x"), words=WORDS)(log_probs, most=5000)
    texts = [text_of(labels_of(one), CHARACTERS) for one in found]
    assert len(set(texts)) == len(texts) > 5
    assert all(earlier.score >= later.score for earlier, later in itertools.pairwise(found))


def test_pieces_that_no_word_has_leave_the_blank() -> None:
    tokens = ("<blank>", "<unk>", "▁a", *"cdefgh", "<sos/eos>")
    log_probs = np.full((3, len(tokens)), -9.0, dtype=np.float32)
    log_probs[0, 2] = log_probs[2, 2] = 0.0
    log_probs[1, 2] = -30.0
    log_probs[1, 3:9] = -1.0  # more of them than the search takes, and the blank behind
    for count in (1, 2, 5, 6, 9):
        config = DecodeConfig("beam", tokens_per_frame=count, word_list="x")
        (best,) = PrefixSearch(Alphabet(tokens), config, words=["a"])(log_probs)
        assert text_of(labels_of(best), tokens) == "a a"
        assert best.score == pytest.approx(-9.0, abs=1e-2)
