from __future__ import annotations

import math
import random
import unicodedata

import jiwer
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from asr_dro.scoring.error_rate import (
    ErrorCounts,
    canonical,
    character_errors,
    count_errors,
    count_errors_of_texts,
    levenshtein_substitutions,
)

# Latin, precomposed and combining marks, Cyrillic, Han, Arabic, Devanagari with vowel signs, an astral emoji, spaces.
ALPHABET = "abcé́̈жя人们住ابتةकािी😀   \u00a0\u3000"
N_PAIRS = 1000


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    return count_errors(canonical(reference).split(), canonical(hypothesis).split())


def random_pairs() -> list[tuple[str, str]]:
    """Return references with noisy copies and with unrelated texts, among them empty ones."""
    rng = random.Random(1)
    pairs = [("", ""), ("a b", ""), ("", "a b"), (" ", "a"), ("é", "e\u0301")]
    while len(pairs) < N_PAIRS:
        reference = "".join(rng.choices(ALPHABET, k=rng.randrange(40)))
        noisy = "".join(rng.choice(ALPHABET) if rng.random() < 0.2 else character for character in reference)
        unrelated = "".join(rng.choices(ALPHABET, k=rng.randrange(20)))
        pairs.append((reference, rng.choice([noisy, noisy[: rng.randrange(41)], unrelated, ""])))
    return pairs


def test_a_thousand_pairs_agree_with_jiwer() -> None:
    n_different = 0
    for reference, hypothesis in random_pairs():
        texts = canonical(reference), canonical(hypothesis)
        for ours, theirs in (
            (character_errors(reference, hypothesis), jiwer.process_characters(*texts)),
            (word_errors(reference, hypothesis), jiwer.process_words(*texts)),
        ):
            assert ours.substitutions == theirs.substitutions, texts
            assert ours.deletions == theirs.deletions, texts
            assert ours.insertions == theirs.insertions, texts
            assert ours.reference_length == theirs.hits + theirs.substitutions + theirs.deletions, texts
            n_different += ours.errors > 0
    assert n_different > N_PAIRS


def test_rates_of_a_corpus_agree_with_jiwer() -> None:
    pairs = [(canonical(left), canonical(right)) for left, right in random_pairs()]
    pairs = [pair for pair in pairs if pair[0]]
    references, hypotheses = [left for left, _ in pairs], [right for _, right in pairs]
    cer = sum((character_errors(*pair) for pair in pairs), ErrorCounts())
    wer = sum((word_errors(*pair) for pair in pairs), ErrorCounts())
    assert cer.rate == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-12)
    assert wer.rate == pytest.approx(jiwer.wer(references, hypotheses), abs=1e-12)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "characters", "words"),
    [
        ("abc", "abc", (3, 0, 0, 0), (1, 0, 0, 0)),
        ("abc", "axc", (3, 1, 0, 0), (1, 1, 0, 0)),
        ("kitten", "sitting", (6, 2, 0, 1), (1, 1, 0, 0)),
        ("a b c", "a c", (5, 0, 2, 0), (3, 0, 1, 0)),  # the space before "b" goes too
        ("ab", "a b", (2, 0, 0, 1), (1, 1, 0, 1)),  # a space is a character
        ("", "ab", (0, 0, 0, 2), (0, 0, 0, 1)),
        ("ab c", "", (4, 0, 4, 0), (2, 0, 2, 0)),
        ("", "", (0, 0, 0, 0), (0, 0, 0, 0)),
        ("ab", "abab", (2, 0, 0, 2), (1, 1, 0, 0)),
        ("é", "e\u0301", (1, 0, 0, 0), (1, 0, 0, 0)),  # NFC
        ("x\u0301", "x", (2, 0, 1, 0), (1, 1, 0, 0)),  # a mark without a precomposed form is a character
        (" a\u00a0\u3000b\n", "a b", (3, 0, 0, 0), (2, 0, 0, 0)),  # any white space is one space
        ("हिन्दी", "हिंदी", (6, 1, 1, 0), (1, 1, 0, 0)),  # code points, not what one sees as one letter
        ("人们住", "人住", (3, 0, 1, 0), (1, 1, 0, 0)),
    ],
)
def test_cases_computed_by_hand(
    reference: str, hypothesis: str, characters: tuple[int, ...], words: tuple[int, ...]
) -> None:
    assert character_errors(reference, hypothesis) == ErrorCounts(*characters)
    assert word_errors(reference, hypothesis) == ErrorCounts(*words)


def test_a_rate_may_exceed_one_and_is_nan_without_reference() -> None:
    assert ErrorCounts(2, 0, 0, 4).rate == 2.0
    assert math.isnan(ErrorCounts(0, 0, 0, 3).rate)
    assert ErrorCounts(0, 0, 0, 3).errors == 3
    assert (ErrorCounts(0, 0, 0, 3) + ErrorCounts(6, 0, 0, 0)).rate == 0.5  # insertions of an empty reference count


@given(st.text(alphabet=ALPHABET), st.text(alphabet=ALPHABET))
def test_counts_are_consistent(reference: str, hypothesis: str) -> None:
    for count, length in ((character_errors, len(canonical(hypothesis))), (word_errors, len(hypothesis.split()))):
        there, back = count(reference, hypothesis), count(hypothesis, reference)
        assert there.errors == back.errors  # a distance is symmetric; the split swaps deletions and insertions
        assert there.reference_length + there.insertions - there.deletions == length
        assert there.substitutions + there.deletions <= there.reference_length
        assert (there.errors == 0) == (canonical(reference) == canonical(hypothesis))
        assert count(reference, reference).errors == 0


@given(st.text(alphabet=ALPHABET), st.text(alphabet=ALPHABET))
def test_normal_form_makes_no_difference(reference: str, hypothesis: str) -> None:
    decomposed = unicodedata.normalize("NFD", reference), unicodedata.normalize("NFD", hypothesis)
    assert character_errors(*decomposed) == character_errors(reference, hypothesis)
    assert word_errors(*decomposed) == word_errors(reference, hypothesis)


@given(st.lists(st.tuples(*[st.integers(0, 99)] * 4)), st.randoms())
def test_sums_do_not_depend_on_order(rows: list[tuple[int, ...]], rng: random.Random) -> None:
    counts = [ErrorCounts(*row) for row in rows]
    total = sum(counts, ErrorCounts())
    rng.shuffle(counts)
    assert sum(counts, ErrorCounts()) == total
    assert total.errors == sum(row[1] + row[2] + row[3] for row in rows)


def test_words_are_compared_as_wholes() -> None:
    assert count_errors(["ab", "c"], ["a", "bc"]) == ErrorCounts(2, 2, 0, 0)


few_letters = st.text(alphabet="ab ", max_size=12)


@given(pairs=st.lists(st.tuples(few_letters | st.text(), few_letters | st.text()), max_size=20))
def test_many_texts_at_once_are_counted_as_each_alone(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [one for one, _ in pairs], [other for _, other in pairs]
    assert count_errors_of_texts(references, hypotheses) == [count_errors(*pair) for pair in pairs]


@given(reference=few_letters, hypothesis=few_letters)
def test_it_is_known_whether_an_alignment_has_the_most_matches(reference: str, hypothesis: str) -> None:
    (has_most,) = levenshtein_substitutions([reference], [hypothesis])[2]
    counts = count_errors(reference, hypothesis)
    matches = counts.reference_length - counts.substitutions - counts.deletions
    assert has_most == (matches == LCSseq.similarity(reference, hypothesis))


@given(text=st.text(alphabet="a \t\n\x1c\x85\xa0\u2000\u2028\u3000\u200b\u0301e\u212b", max_size=8) | st.text())
@example(text="a  b")
@example(text=" a")
@example(text="a ")
@example(text="a\u3000b")
def test_canonical_texts_are_what_they_are_said_to_be(text: str) -> None:
    assert canonical(text) == unicodedata.normalize("NFC", " ".join(text.split()))
