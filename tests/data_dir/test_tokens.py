"""Vocabulary: its layout, and that labels turn back into the text they came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data.text import normalize
from asr_dro.data.tokens import build_token_list, decode, encode, read_token_list, token_index, write_token_list
from asr_dro.errors import UserError


def test_layout() -> None:
    tokens = build_token_list(["ba á", "დa"], ["spa", "kat", "spa"])
    assert tokens == ["<blank>", "<unk>", "<space>", "a", "b", "á", "დ", "[kat]", "[spa]", "<sos/eos>"]


def test_labels_begin_with_the_language() -> None:
    tokens = build_token_list(["ab a"], ["spa"])
    assert [tokens[label] for label in encode("a bz", "spa", token_index(tokens))] == [
        "[spa]", "a", "<space>", "b", "<unk>",
    ]  # fmt: skip


@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=12).map(lambda text: normalize(text, "spa")), min_size=1, max_size=5))
def test_roundtrip(texts: list[str]) -> None:
    tokens = build_token_list(texts, ["spa", "fin"])
    index = token_index(tokens)
    assert len(index) == len(tokens)
    for text in texts:
        assert decode(encode(text, "fin", index), tokens) == ("fin", text)


def test_decode_is_lenient() -> None:
    tokens = build_token_list(["ab"], ["fin", "spa"])
    index = token_index(tokens)
    line = "<space> a [fin] <space> <space> <unk> [spa] <blank> b"
    assert decode([index[token] for token in line.split()], tokens) == ("fin", "a �b")
    assert decode([], tokens) == (None, "")


def test_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"language kat is not in tokens\.txt \(it has fin, spa\)"):
        encode("a", "kat", token_index(build_token_list(["a"], ["spa", "fin"])))


def test_file(tmp_path: Path) -> None:
    tokens = build_token_list(["a\u0301b", "[x]", "<"], ["spa"])
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
