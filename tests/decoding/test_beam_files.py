"""Language models and word lists: files of all kinds, good and bad, and the searches with them."""

from __future__ import annotations

import gzip
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.data.tokens import build_token_list, decode
from asr_dro.decoding import beam_search
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.ngrams import read_unigrams
from asr_dro.decoding.search import Found
from asr_dro.decoding.word_lists import WordTree, read_words, speller
from asr_dro.errors import UserError
from tests.decoding.ctc_reference import NGRAMS, setup_of

TOKENS = tuple(build_token_list(" ab", ["fin", "kat"]))  # <blank> <unk> <space> a b [fin] [kat] <sos/eos>
FIN = TOKENS.index("[fin]")
ARPA = (NGRAMS / "bigram.arpa").read_text(encoding="utf-8")


def search(tmp_path: Path, frames: list[dict[int, float]], spoken: str = "fin", **config: Any) -> list[Found]:
    """Search in frames given by the shares of some tokens; others share the rest."""
    rows = []
    for shares in frames:
        rest = (1 - sum(shares.values())) / (len(TOKENS) - len(shares))
        rows.append([math.log(shares.get(label, rest)) for label in range(len(TOKENS))])
    setup = setup_of(TOKENS, {"search": "beam", **config}, tmp_path, torch.tensor([rows]))
    return beam_search.build(setup)(torch.zeros(1, 1), torch.tensor([len(frames)]), [spoken])[0]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


def text_of(found: Found) -> tuple[str | None, str]:
    return decode(found.tokens, TOKENS)


def refused(tmp_path: Path, **config: Any) -> str:
    with pytest.raises(UserError) as error:
        beam_search.build(setup_of(TOKENS, {"search": "beam", **config}, tmp_path))
    return str(error.value)


@pytest.mark.parametrize("kind", ["arpa", "gzip", "binary"])
def test_language_models_of_all_forms(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    if kind == "binary":
        path.write_bytes((NGRAMS / "bigram.binary").read_bytes())
    else:
        path.write_bytes(ARPA.encode() if kind == "arpa" else gzip.compress(ARPA.encode()))
    assert read_unigrams(path) == {"a", "b", "<space>"}
    frames = [{FIN: 0.9}, {3: 0.5, 4: 0.46}, {3: 0.8, 0: 0.1}]
    assert text_of(search(tmp_path, frames)[0]) == ("fin", "a")
    (found,) = search(tmp_path, frames, lm=str(path), lm_weight=1.0)
    assert text_of(found) == ("fin", "ba")
    assert found.language is None  # it was recognised
    assert found.frames == [(0, 1), (1, 2), (2, 3)]


def test_under_a_model_the_language_is_the_likeliest_or_none(tmp_path: Path) -> None:
    words = write(tmp_path / "words", "a\nab\n")
    assert text_of(search(tmp_path, [{3: 0.9}, {FIN: 0.9}, {4: 0.9}], word_list=words)[0]) == ("fin", "ab")
    assert text_of(search(tmp_path, [{3: 0.94}, {4: 0.94}], word_list=words)[0]) == (None, "ab")
    given = search(tmp_path, [{3: 0.94}, {4: 0.94}], "kat", word_list=words, languages="given")[0]
    assert (given.language, text_of(given)) == ("kat", ("kat", "ab"))


def test_a_word_list_limits_the_words(tmp_path: Path) -> None:
    frames = [{4: 0.9}, {3: 0.9}, {2: 0.9}, {3: 0.6, 4: 0.3}]
    assert text_of(search(tmp_path, frames)[0])[1] == "ba a"
    words = write(tmp_path / "words", "ba\nb\n")
    assert text_of(search(tmp_path, frames, word_list=words)[0])[1] == "ba b"


def test_a_model_over_words_goes_with_a_word_list(tmp_path: Path) -> None:
    words = write(tmp_path / "words", "a\nb\n")
    frames = [{3: 0.5, 4: 0.45}, {2: 0.9}, {3: 0.9}]
    assert text_of(search(tmp_path, frames, word_list=words)[0])[1] == "a a"
    model = str(NGRAMS / "bigram.arpa")
    assert text_of(search(tmp_path, frames, word_list=words, lm=model, lm_weight=1.0)[0])[1] == "b a"


def test_each_language_has_its_own_files(tmp_path: Path) -> None:
    for split in ("dev", "test"):
        write(tmp_path / split / "utt2lang", "u1 fin\nu2 kat\n")
    write(tmp_path / "fin.words", "a\n")
    write(tmp_path / "kat.words", "b\n")
    path = str(tmp_path / "{language}.words")
    frames = [{3: 0.5, 4: 0.46}]
    for language, text in (("fin", "a"), ("kat", "b")):
        (found,) = search(tmp_path, frames, language, word_list=path, languages="given")
        assert (found.language, text_of(found)) == (language, (language, text))
    (found,) = search(tmp_path, [{4: 0.9, FIN: 0.05}], word_list=path, languages=2)
    assert (found.language, text_of(found)) == ("kat", ("kat", "b"))
    write(tmp_path / "test" / "utt2lang", "u1 fin\nu2 est\nu3 swe\n")
    problems = refused(tmp_path, word_list=path, languages="given")
    assert "est.words" in problems and "swe.words" in problems and "fin.words" not in problems


def test_paths_by_language_need_languages() -> None:
    for key in ("lm", "word_list"):
        with pytest.raises(UserError, match=rf"{key}: {{language}} needs languages: given"):
            DecodeConfig.from_mapping({"search": "beam", key: "x/{language}"}, "beam.yaml")
    with pytest.raises(UserError, match="word_score needs a word_list"):
        DecodeConfig.from_mapping({"search": "beam", "word_score": 1.0}, "beam.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no word"),
        (b"\xef\xbb\xbf\r\n \r\n", "has no word"),
        (b"a\n\xff\xfe\nb\n", "line 2 is not UTF-8"),
        (b"a\nab b a\n", "line 2 has 3 words"),
        (b"\x00\n", "none of the 1 words"),
        ("xyz\nąb\n".encode(), "none of the 2 words can be spelt in the model's tokens, e.g. xyz, ąb"),
        (b"[fin]\n<unk>\n", "none of the 2 words"),
    ],
)
def test_bad_word_lists(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path, word_list=write(tmp_path / "words", content))


def test_words_that_cannot_be_spelt_are_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = write(tmp_path / "words", b"\xef\xbb\xbfa\r\nb\r\nx\r\nay\r\n\r\na\r\n")
    assert read_words(Path(words)) == ["a", "b", "x", "ay"]
    with caplog.at_level(logging.WARNING):
        (found,) = search(tmp_path, [{3: 0.9}], word_list=words)
    assert text_of(found)[1] == "a"
    assert caplog.text.count("2 of 4 words cannot be spelt in the model's tokens and are never written: ay, x") == 1


def test_words_are_normalised_as_transcripts_are(tmp_path: Path) -> None:
    assert read_words(Path(write(tmp_path / "words", "e\u0301\né\n"))) == ["é"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no language model"),
        (b"\x80\x81", "is not UTF-8"),
        (b"\\data\\\nngram 1=1\n", "has no \\1-grams"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
        (
            ARPA.replace("\ta\t", "\työ\t").replace("\tb\t", "\työtä\t").encode(),
            "one over words needs a word_list",
        ),
        (ARPA.replace("<space>", "|").encode(), "does not know <space>"),
        (ARPA.replace("b a", "b zz").encode(), "cannot be loaded"),
        (ARPA.replace("ngram 2=4", "ngram 2=9").encode(), "cannot be loaded"),
        ((NGRAMS / "bigram.binary").read_bytes()[:200], "cannot be loaded"),
    ],
)
def test_bad_language_models(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path, lm=write(tmp_path / "model", content))


def test_a_model_over_tokens_does_not_go_with_a_word_list(tmp_path: Path) -> None:
    words = write(tmp_path / "words", "ab\nba\naa\n")
    assert "With word_list a language model is over words" in refused(
        tmp_path, lm=str(NGRAMS / "bigram.arpa"), word_list=words
    )


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert "none.arpa cannot be read" in refused(tmp_path, lm=str(tmp_path / "none.arpa"))
    assert "none.txt cannot be read" in refused(tmp_path, word_list=str(tmp_path / "none.txt"))
    assert "cannot be read" in refused(tmp_path, lm=str(tmp_path))


def test_spelling_in_pieces() -> None:
    can_spell = speller(("<blank>", "<unk>", "▁a", "b", "bc", "▁", "[fin]", "<sos/eos>"))
    assert all(map(can_spell, ["a", "ab", "abc", "b", "bcb"]))
    assert not any(map(can_spell, ["c", "aa", "ac", "a▁b", "a▁a", "[fin]"]))


def test_the_tree_of_words_takes_pieces_as_they_come() -> None:
    tree = WordTree(["ab", "a", "cd"])
    node, finished = tree.walk(tree.root, "▁a")
    assert node is not None and finished == ()
    assert tree.walk(node, "▁c") == ({"d": {"": 2}}, (1,))
    assert tree.walk(node, "c") == (None, ())
    assert tree.walk(tree.root, "▁cd▁ab▁") == (tree.root, (2, 0))
    assert tree.walk(tree.root, "▁▁") == (tree.root, ())
    assert tree.walk(tree.root, "▁c▁") == (None, ())


def test_kenlm_writes_nothing_to_the_terminal(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from asr_dro.decoding.ngrams import load_kenlm;"
        f"load_kenlm(Path({str(NGRAMS / 'bigram.arpa')!r}), ['a']); sys.stderr.write('after')"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "after")
