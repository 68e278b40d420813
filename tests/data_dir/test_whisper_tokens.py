"""Whisper's vocabulary: the same indices as openai-whisper's, our tags, and labels that turn back into text."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.convert_slow_tokenizer import bytes_to_unicode
from whisper.tokenizer import LANGUAGES, get_encoding
from whisper.tokenizer import Tokenizer as Reference

from asr_dro.data import whisper_tokens
from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import Utterance, read_two_columns, write_data_dir
from asr_dro.data.languages import label_by_code, languages
from asr_dro.data.lengths import make_lengths, make_tokens
from asr_dro.data.tokens import (
    Tokenizer,
    build_token_list,
    decode,
    has_language_tags,
    read_token_list,
    tag_language,
    write_token_list,
)
from asr_dro.data.whisper_tokens import WhisperTokenizer, is_mark, labels_of_codes, whisper_token_list
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT

KINDS = (("whisper", 99), ("whisper_v3", 100))


def signs_of_bytes() -> dict[int, str]:
    signs: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]
    return signs


@cache
def vocabulary(*labels: str, kind: str = "whisper") -> list[str]:
    return whisper_token_list(kind, labels)


def test_bytes_are_printed_as_gpt2_does() -> None:
    assert dict(enumerate(whisper_tokens._printed_bytes())) == signs_of_bytes()


@pytest.mark.parametrize(("kind", "n_languages"), KINDS)
def test_order_is_whispers(kind: str, n_languages: int) -> None:
    encoding = get_encoding("multilingual", n_languages)
    tokens = vocabulary("fin", "amh", "xho", "abk", kind=kind)
    assert tokens[encoding.n_vocab :] == ["[abk]", "[xho]"]
    signs = signs_of_bytes()
    for index in range(encoding.eot_token):
        printed = "".join(signs[byte] for byte in encoding.decode_single_token_bytes(index))
        assert tokens[index] == (printed or "<|empty|>")
        assert not is_mark(printed) and tag_language(printed) is None
    for name in encoding.special_tokens_set - {"<|fi|>", "<|am|>"}:
        assert tokens[encoding.encode_single_token(name)] == name
        assert is_mark(name)
    for code, label in (("fi", "fin"), ("am", "amh")):
        assert tokens[encoding.encode_single_token(f"<|{code}|>")] == f"[{label}]"
    assert len(set(tokens)) == len(tokens)
    assert has_language_tags(tokens) and not has_language_tags(vocabulary(kind=kind))


def test_cantonese_is_a_language_of_the_third_version_only() -> None:
    assert vocabulary("yue")[-1] == "[yue]"
    assert vocabulary("yue", kind="whisper_v3")[-1] == "<|30.00|>"
    assert "[yue]" in vocabulary("yue", kind="whisper_v3")


def test_each_code_has_the_labels_of_its_language() -> None:
    codes = labels_of_codes()
    assert list(codes) == list(LANGUAGES)
    assert len({label for labels in codes.values() for label in labels}) == sum(map(len, codes.values()))
    by_code, by_name = label_by_code(), {language.name.lower(): language.label for language in languages().values()}
    compared = 0
    for code, labels in codes.items():
        for expected in (by_code.get(code), by_name.get(LANGUAGES[code])):
            if expected is not None:
                assert labels[0] == expected, code
                compared += 1
    assert compared > 150
    # What neither a locale nor a name confirms: exceptions that were looked at one by one.
    unconfirmed = {code for code in codes if code not in by_code and LANGUAGES[code] not in by_name}
    assert unconfirmed == {"zh", "mi", "fo", "nn", "sa", "my", "bo", "tl", "mg"}


def test_a_language_takes_the_place_of_another_variety_only_alone() -> None:
    place = vocabulary().index("<|no|>")
    assert vocabulary("nob")[place] == "[nob]"
    both = vocabulary("nob", "nor")
    assert (both[place], both[-1]) == ("[nor]", "[nob]")


@pytest.mark.parametrize(("kind", "n_languages"), KINDS)
def test_labels_are_whispers_own_sequence(kind: str, n_languages: int) -> None:
    tokenizer = WhisperTokenizer(vocabulary("fin", kind=kind), kind=kind)
    encoding = get_encoding("multilingual", n_languages)
    reference = Reference(encoding, n_languages, language="fi", task="transcribe")
    start, *prompt = reference.sot_sequence_including_notimestamps
    assert tokenizer.tokens[start] == "<|startoftranscript|>"
    expected = [*prompt, *reference.encode(" yksi kaksi"), reference.eot]
    assert tokenizer.encode("yksi   kaksi", "fin") == expected
    assert reference.decode(expected).replace("<|fi|>", "").endswith(" yksi kaksi<|endoftext|>")


def test_labels_of_tasks() -> None:
    def shown(task: str, *labels: str) -> str:
        tokens = vocabulary(*labels)
        return " ".join(tokens[label] for label in WhisperTokenizer(tokens, task=task).encode("a b", "fin"))

    assert shown("lid+asr", "fin") == "[fin] <|transcribe|> <|notimestamps|> Ġa Ġb <|endoftext|>"
    assert shown("asr") == "<|transcribe|> <|notimestamps|> Ġa Ġb <|endoftext|>"
    assert shown("lid", "fin") == "[fin] <|transcribe|> <|notimestamps|> <|endoftext|>"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("hei hei", "Ġhe i Ġhe i"),
        ("안녕", "ĠìķĪëħķ"),
        ("我们", "æĪĳä»¬"),
        ("ありがとう", "ãģĤãĤĬãģĮãģ¨ãģĨ"),
        ("ıl ıl", "Ä±l Ġ Ä±l"),  # no piece begins with a space and this letter
    ],
)
def test_a_space_comes_first_where_whisper_writes_one(text: str, pieces: str) -> None:
    tokens = vocabulary("cmn")
    labels = WhisperTokenizer(tokens).encode(text, "cmn")
    assert " ".join(tokens[label] for label in labels[3:-1]) == pieces
    assert decode(labels, tokens) == ("cmn", text)


# Marks and tags as text, white space of all kinds, signs that stand for bytes, scripts of many bytes a character
tricky = st.sampled_from(
    ["[fin]", "<|endoftext|>", "<|fi|>", "Ġ", "Ā", "\u00a0", "\x85", "\u2028", "ሰላም", "👩‍👩‍👧", "e\u0301"]
)
texts = st.lists(st.one_of(tricky, st.text(max_size=6)), max_size=6).map("".join)


@cache
def fin_and_xho() -> WhisperTokenizer:
    return WhisperTokenizer(vocabulary("fin", "xho"))


@settings(deadline=None)
@given(text=texts)
def test_roundtrip(text: str) -> None:
    tokenizer = fin_and_xho()
    tokens = tokenizer.tokens
    for language in ("fin", "xho"):
        labels = tokenizer.encode(text, language)
        assert decode(labels, tokens) == (language, " ".join(text.split()))
        assert [tokens[label] for label in labels].count("<|endoftext|>") == 1


def test_decode_is_lenient() -> None:
    tokens = vocabulary("fin", "spa")
    written = "Ġa [fin] <|0.00|> <|empty|> Ġ â [spa] <|transcribe|> b <|endoftext|> c"
    assert decode([tokens.index(token) for token in written.split()], tokens) == ("fin", "a \ufffdb")
    assert decode([], tokens) == (None, "")


def test_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"language kat is not in tokens\.txt \(it has fin, spa\)"):
        WhisperTokenizer(vocabulary("spa", "fin")).encode("a", "kat")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    for split in ("train", "dev", "test"):
        rows = [("fin", "yksi kaksi"), ("abk", "ҩ")]
        write_data_dir(
            folder / split,
            [Utterance(f"{code}-{split}", f"/{code}.flac", text, code, code, code, 1.0) for code, text in rows],
        )
    (folder / "data.yaml").write_text("tokens: {type: whisper}\n", encoding="utf-8")
    return folder


def test_stages_2_and_3(prepared: Path) -> None:
    assert make_tokens(prepared) and not make_tokens(prepared)
    assert make_lengths(prepared) and not make_lengths(prepared)
    tokens = read_token_list(prepared / "tokens.txt")
    assert tokens == vocabulary("fin", "abk")
    labels = {
        utt: list(map(int, ids.split())) for utt, ids in read_two_columns(prepared / "test" / "token_ids").items()
    }
    assert decode(labels["abk-test"], tokens) == ("abk", "ҩ")
    assert labels["abk-test"][0] == len(tokens) - 1
    rows = [line.split("\t") for line in (prepared / "oov.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert {row[0] for row in rows} == {"fin", "abk"}
    assert {row[3] for row in rows} == {"0"}


def test_vocabulary_and_configuration_disagree(tmp_path: Path) -> None:
    write_token_list(tmp_path / "tokens.txt", vocabulary("fin"))
    with pytest.raises(UserError, match=r"tokens\.txt and type char do not belong together"):
        Tokenizer.load(tmp_path)
    (tmp_path / "data.yaml").write_text("tokens: {type: whisper_v3}\n")
    with pytest.raises(UserError, match=r"is not the vocabulary of tokens\.type whisper_v3; run stage 2"):
        Tokenizer.load(tmp_path)
    (tmp_path / "data.yaml").write_text("tokens: {type: whisper}\n")
    assert Tokenizer.load(tmp_path).languages == ["fin"]
    write_token_list(tmp_path / "tokens.txt", build_token_list("a", ["fin"]))
    with pytest.raises(UserError, match=r"is not the vocabulary of tokens\.type whisper; run stage 2"):
        Tokenizer.load(tmp_path)


def test_shipped_configuration_is_read() -> None:
    from asr_dro.data.config import read_data_config

    config = read_data_config(ROOT / "conf" / "data" / "whisper.yaml")
    assert (config.tokens.type, config.text) == ("whisper", DataConfig().text)


def test_the_vocabulary_needs_no_torch() -> None:
    use = "from asr_dro.data.whisper_tokens import WhisperTokenizer, whisper_token_list as build"
    code = f"{use}; WhisperTokenizer(build('whisper', ['fin'])).encode('a', 'fin'); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "whisper", "espnet2", "transformers"}
