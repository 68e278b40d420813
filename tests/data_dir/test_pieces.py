"""Pieces of words: what a model promises for any text, the draw of sentences, and sizes that cannot be."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data import pieces
from asr_dro.data.config import TokenConfig
from asr_dro.data.pieces import RESERVED, Pieces, draws_per_sentence, train_pieces
from asr_dro.data.tokens import Tokenizer, build_token_list, decode, tag_language
from asr_dro.errors import UserError

ALPHABET = "abcdefgh[]<>xñ龍\u0301"
RARE = "ż"  # once in all the text
SIZE = 60


def sentences() -> list[Sequence[str]]:
    generator = random.Random(0)
    words = ["".join(generator.choices(ALPHABET, k=generator.randint(1, 5))) for _ in range(80)]
    words += ["[fin]", "a[x]", "<unk>", "<space>", "<blank>", "<sos/eos>"] * 4
    found = [(f"s{n:03}", " ".join(generator.choices(words, k=5)), "spa") for n in range(300)]
    return [
        *found,
        *[(f"t{n:03}", " ".join(generator.choices(words, k=5)), "kat") for n in range(30)],
        ("u", RARE, "kat"),
    ]


def characters_of(found: Sequence[Sequence[str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _, text, language in found:
        counts[language] += len(text.replace(" ", ""))
    return counts


def train(kind: str, size: int = SIZE, known: str = ALPHABET + RARE, temperature: float = 1.0) -> bytes:
    config = TokenConfig(type=kind, vocabulary_size=size, temperature=temperature)
    return train_pieces(sentences, characters_of(sentences()), known, config)


def tokenizer_of(kind: str) -> Tokenizer:
    model = Pieces(train(kind))
    return Tokenizer(build_token_list((), ["fin", "spa"], pieces=model.names), pieces=model)


TOKENIZERS = {kind: tokenizer_of(kind) for kind in ("bpe", "unigram")}
kinds = pytest.mark.parametrize("kind", ["bpe", "unigram"])
tricky = st.sampled_from([*ALPHABET, "[fin]", "[x]", "<unk>", " ", "\u3000", *sorted(RESERVED), "\0"])
texts = st.lists(st.one_of(tricky, st.text(max_size=3)), max_size=12).map("".join)


@kinds
def test_layout(kind: str) -> None:
    tokens = TOKENIZERS[kind].tokens
    assert (tokens[:2], tokens[-3:]) == (("<blank>", "<unk>"), ("[fin]", "[spa]", "<sos/eos>"))
    assert len(set(tokens)) == len(tokens) == SIZE + 5
    assert any(token.startswith("▁") and len(token) > 2 for token in tokens)
    for token in tokens[2:-3]:
        assert tag_language(token) is None
        assert not ({"[", "<"} & set(token)) or len(token) == 1
    assert TOKENIZERS[kind].characters() == set(ALPHABET + RARE)


@settings(deadline=None, max_examples=300)
@given(text=texts, kind=st.sampled_from(["bpe", "unigram"]))
def test_roundtrip(text: str, kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    labels = tokenizer.encode(text, "spa")
    unknown = re.compile(f"[^ {re.escape(ALPHABET + RARE)}]+")
    assert tokenizer.decode(labels) == ("spa", unknown.sub("\ufffd", " ".join(text.split())))
    assert decode(labels, tokenizer.tokens) == tokenizer.decode(labels)
    assert (1 in labels) == bool(unknown.search(" ".join(text.split())))


@kinds
def test_training_is_deterministic(kind: str) -> None:
    assert train(kind) == train(kind)
    assert train(kind) != train(kind, temperature=0.0)


@kinds
def test_characters_outside_the_vocabulary_are_unknown(kind: str) -> None:
    model = Pieces(train(kind, size=30, known="abcdefgh"))
    assert {name for name in model.names if len(name) == 1} == set("abcdefgh▁")
    assert model.encode("añ")[-1] is None


@kinds
def test_sizes_that_cannot_be(kind: str) -> None:
    smallest = len(ALPHABET + RARE) + 1  # and the sign for a space
    with pytest.raises(UserError, match=rf"vocabulary_size is 5 \(tokens\.type {kind}\).* at least {smallest}\."):
        train(kind, size=5)
    with pytest.raises(UserError, match=rf"allows {smallest} to (\d+)$") as error:
        train(kind, size=50_000)
    largest = int(str(error.value).rsplit(maxsplit=1)[-1])
    assert smallest < largest < 50_000
    assert len(Pieces(train(kind, size=largest)).names) == largest
    with pytest.raises(UserError, match="allows"):
        train(kind, size=largest + 1)
    assert len(Pieces(train(kind, size=smallest)).names) == smallest
    with pytest.raises(UserError, match="at least"):
        train(kind, size=smallest - 1)


@given(
    counts=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**10), min_size=1),
    temperature=st.floats(0, 1),
)
def test_shares_follow_the_temperature(counts: dict[str, int], temperature: float) -> None:
    draws = draws_per_sentence(counts, temperature)
    drawn = {language: draws[language] * counts[language] for language in counts}
    assert sum(drawn.values()) == pytest.approx(min(sum(counts.values()), pieces.MOST_CHARACTERS))
    first = min(counts)
    for language, count in counts.items():
        expected = (count / counts[first]) ** temperature
        assert drawn[language] / drawn[first] == pytest.approx(expected)


def test_the_draw_keeps_shares_and_does_not_depend_on_order(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (f"{language}-{n}", language * 10, language) for language, size in (("a", 4000), ("b", 40)) for n in range(size)
    ]
    monkeypatch.setattr(pieces, "MOST_CHARACTERS", 20_000)
    draws = draws_per_sentence(characters_of(found), 0.0)
    drawn = Counter(pieces._draw(found, draws, "ab"))
    assert drawn["b" * 10] == 1000  # each of 40 sentences 25 times
    assert drawn["a" * 10] == pytest.approx(1000, rel=0.1)
    assert Counter(pieces._draw(list(reversed(found)), draws, "ab")) == drawn


def test_long_sentences_count_whole_and_rare_characters_survive_the_draw() -> None:
    found = [("s", "ab" * 5000, "spa"), ("t", "żx", "kat")]
    drawn = list(pieces._draw(found, {"spa": 1.0, "kat": 0.0}, "abżx"))
    assert sum(map(len, drawn[:-2])) == 10_000
    assert max(map(len, drawn)) <= 1000
    assert drawn[-2:] == ["x", "ż"]
