"""Vocabulary: its layout, and that labels turn back into the text they came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data.text import PROFILES, normalize
from asr_dro.data.tokens import (
    Tokenizer,
    build_token_list,
    config_of_set,
    decode,
    has_language_tags,
    read_token_list,
    write_token_list,
)
from asr_dro.errors import UserError

# White space of all kinds, SentencePiece's sign for a space, and what looks like tags and marks
tricky = st.sampled_from(
    ["[fin]", "[x]", "<unk>", "<space>", "<blank>", "▁", "\u00a0", "\u3000", "\t", "\x1c", "\u2028"]
)
texts = st.lists(st.one_of(tricky, st.text(max_size=6)), max_size=6).map("".join)


def test_layout() -> None:
    tokens = build_token_list("ba á დa", ["spa", "kat", "spa"])
    assert tokens == ["<blank>", "<unk>", "<space>", "a", "b", "á", "დ", "[kat]", "[spa]", "<sos/eos>"]
    assert has_language_tags(tokens)
    assert not has_language_tags(build_token_list("[]x", []))


@pytest.mark.parametrize(("task", "expected"), [("lid+asr", "[spa] a _ b ?"), ("asr", "a _ b ?"), ("lid", "[spa]")])
def test_labels_of_tasks(task: str, expected: str) -> None:
    tokens = build_token_list("" if task == "lid" else "ab", [] if task == "asr" else ["spa"])
    labels = Tokenizer(tokens, task=task).encode("a  bz", "spa")
    shown = " ".join({"<space>": "_", "<unk>": "?"}.get(tokens[label], tokens[label]) for label in labels)
    assert shown == expected


@settings(deadline=None)
@given(texts=st.lists(texts, min_size=1, max_size=5), profile=st.sampled_from(sorted(PROFILES)))
def test_roundtrip(texts: list[str], profile: str) -> None:
    normalized = [normalize(text, "spa", profile) for text in texts]
    tokenizer = Tokenizer(build_token_list("".join(normalized), ["spa", "fin"]))
    assert len(set(tokenizer.tokens)) == len(tokenizer.tokens)
    for text in normalized:
        assert tokenizer.decode(tokenizer.encode(text, "fin")) == ("fin", " ".join(text.split()))


@given(text=texts)
def test_each_unknown_character_shows_once(text: str) -> None:
    tokenizer = Tokenizer(build_token_list("ab[]", ["fin"]))
    expected = "".join(c if c in "ab[] " else "\ufffd" for c in " ".join(text.split()))
    assert tokenizer.decode(tokenizer.encode(text, "fin")) == ("fin", expected)
    assert tokenizer.characters() == set("ab[]")


def test_text_like_a_tag_is_text() -> None:
    tokenizer = Tokenizer(build_token_list("[fin]", ["fin", "spa"]))
    assert tokenizer.decode(tokenizer.encode("[fin] [fin]", "spa")) == ("spa", "[fin] [fin]")


def test_decode_is_lenient() -> None:
    tokens = build_token_list("ab", ["fin", "spa"])
    line = "<space> a [fin] <space> <space> <unk> [spa] <blank> b"
    assert decode([tokens.index(token) for token in line.split()], tokens) == ("fin", "a �b")
    assert decode([], tokens) == (None, "")


def test_unknown_language_names_the_known_ones() -> None:
    tokens = build_token_list("a", ["spa", "fin"])
    with pytest.raises(UserError, match=r"language kat is not in tokens\.txt \(it has fin, spa\)"):
        Tokenizer(tokens).encode("a", "kat")


def test_file(tmp_path: Path) -> None:
    tokens = build_token_list("a\u0301b[x]<", ["spa"])
    write_token_list(tmp_path / "tokens.txt", tokens)
    assert read_token_list(tmp_path / "tokens.txt") == tokens
    assert (tmp_path / "tokens.txt").read_text().splitlines()[0] == "<blank>"


@pytest.mark.parametrize("text", ["", "a\nb\n", "<blank>\n<unk>\n<space>\na\na\n<sos/eos>\n"])
def test_wrong_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens.txt").write_text(text)
    with pytest.raises(UserError, match="make it again with stage 2"):
        read_token_list(tmp_path / "tokens.txt")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run stage 2"):
        read_token_list(tmp_path / "tokens.txt")


def test_a_set_without_configuration_has_characters_and_tags(tmp_path: Path) -> None:
    write_token_list(tmp_path / "tokens.txt", build_token_list("ab", ["spa"]))
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.task, config_of_set(tmp_path).text) == ("lid+asr", "basic")
    assert tokenizer.encode("ab", "spa") == [5, 3, 4]


def test_configuration_and_vocabulary_disagree(tmp_path: Path) -> None:
    write_token_list(tmp_path / "tokens.txt", build_token_list("", ["spa"], pieces=["▁", "a", "▁a"]))
    with pytest.raises(UserError, match=r"tokens\.txt and type char do not belong together; run stage 2"):
        Tokenizer.load(tmp_path)
    (tmp_path / "data.yaml").write_text("tokens: {type: bpe}\n")
    with pytest.raises(UserError, match=r"spm\.model is missing; run stage 2"):
        Tokenizer.load(tmp_path)
