from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from asr_dro.scoring import sclite
from asr_dro.scoring.error_rate import ErrorCounts
from asr_dro.scoring.sclite import align_like_sclite, count_errors_like_sclite, fold_case
from tests.scoring.golden import golden_rows, golden_scores, material_of

few_letters = st.text(alphabet="ab ", max_size=30)
texts = st.one_of(few_letters, st.text(alphabet="abcdefé人\U0001f600", max_size=60), st.text(max_size=10))


def one_by_one(reference: str, hypothesis: str) -> ErrorCounts:
    """Count the steps of the alignment that the plain table gives."""
    path = align_like_sclite(reference, hypothesis)
    return ErrorCounts(
        len(reference),
        sum(left is not None and right is not None and left != right for left, right in path),
        sum(right is None for _, right in path),
        sum(left is None for left, _ in path),
    )


def side_by_side(pairs: Sequence[tuple[str, str]]) -> list[ErrorCounts]:
    counts = count_errors_like_sclite([one for one, _ in pairs], [other for _, other in pairs])
    return [ErrorCounts(*column) for column in counts.T.tolist()]


def test_counts_are_those_of_sclite_itself() -> None:
    rows, expected = golden_rows(), golden_scores()["sclite"]
    n_above, found = 0, [ErrorCounts(*column) for column in material_of(rows).characters_like_sclite.T.tolist()]
    for row, counts in zip(rows, found, strict=True):
        correct = counts.reference_length - counts.substitutions - counts.deletions
        assert [correct, counts.substitutions, counts.deletions, counts.insertions] == expected[row[0]], row
        n_above += counts.errors > Levenshtein.distance(*map(fold_case, (row[2], row[3].partition("] ")[2])))
    assert n_above, "some alignment of the golden utterances should not be a shortest one"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("abc", "abc", (3, 0, 0, 0)),
        ("", "", (0, 0, 0, 0)),
        ("", "ab", (0, 0, 0, 2)),
        ("ab", "", (2, 0, 2, 0)),
        ("ab", "ba", (2, 0, 1, 1)),  # 3 + 3 is less than 4 + 4
        ("a", "b", (1, 1, 0, 0)),  # 4 is less than 3 + 3
        ("abc", "xyz", (3, 3, 0, 0)),
        ("abcd", "dxya", (4, 4, 0, 0)),  # 4 x 4 is less than 6 x 3
        ("1234abc", "abc5678", (7, 0, 4, 4)),  # 8 x 3 is less than 7 x 4: as far off the diagonal as a path can be
    ],
)
def test_cases_computed_by_hand(reference: str, hypothesis: str, counts: tuple[int, ...]) -> None:
    assert side_by_side([(reference, hypothesis)]) == [ErrorCounts(*counts)]
    assert one_by_one(reference, hypothesis) == ErrorCounts(*counts)


@given(st.lists(st.tuples(texts, texts), max_size=8))
def test_side_by_side_is_the_same_as_one_by_one(pairs: list[tuple[str, str]]) -> None:
    found = side_by_side(pairs)
    assert found == [one_by_one(*pair) for pair in pairs]
    for (reference, hypothesis), counts in zip(pairs, found, strict=True):
        assert counts.errors >= Levenshtein.distance(reference, hypothesis)
        assert counts.reference_length + counts.insertions - counts.deletions == len(hypothesis)


def test_neighbours_in_a_batch_and_long_texts_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    pairs = []
    for _ in range(300):
        reference = "".join(rng.choices("abc ", k=rng.randrange(80)))
        kept = "".join(rng.choice("abc") if rng.random() < 0.3 else unit for unit in reference if rng.random() > 0.2)
        pairs.append((reference, rng.choice([kept, kept * 2, kept[::-1]])))
    expected = [one_by_one(*pair) for pair in pairs]
    assert side_by_side(pairs) == expected
    monkeypatch.setattr(sclite, "_BATCH", 7)
    assert side_by_side(pairs) == expected
    monkeypatch.setattr(sclite, "_LONGEST_NARROW", 0)  # 64 bits
    assert side_by_side(pairs) == expected


def test_very_long_texts_fit() -> None:
    reference = "ab" * 4_500
    hypothesis = "ab" * 2_000 + "x" + "ab" * 2_498 + "yz"
    (counts,) = side_by_side([(reference, hypothesis)])
    assert counts.reference_length + counts.insertions - counts.deletions == len(hypothesis)
    assert counts.errors == Levenshtein.distance(reference, hypothesis) == 4


@given(texts, texts)
def test_an_alignment_holds_both_texts_in_order(reference: str, hypothesis: str) -> None:
    path = align_like_sclite(reference, hypothesis)
    assert "".join(left for left, _ in path if left is not None) == reference
    assert "".join(right for _, right in path if right is not None) == hypothesis


def test_words_can_be_aligned() -> None:
    path = align_like_sclite(["ab", "cd", "efg"], ["ab", "xx", "cd", "ef", "g"])
    assert path == [("ab", "ab"), (None, "xx"), ("cd", "cd"), (None, "ef"), ("efg", "g")]  # as sclite does


def test_only_ascii_letters_lose_their_case() -> None:
    assert fold_case("AbÉẞИ") == "abÉẞИ"
    assert fold_case("ABC [") == "abc ["
