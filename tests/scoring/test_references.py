from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.data import data_dir
from asr_dro.data.data_dir import Utterance, read_data_dir, write_data_dir
from asr_dro.errors import UserError
from asr_dro.scoring import references
from asr_dro.scoring.references import read_references

TEXTS = ("hyvää  päivää", " a ", "x\u2028y\x85z", "\ufeffb", "人 \u3000")


def write_set(path: Path, corpus: str = "") -> None:
    write_data_dir(
        path,
        [
            Utterance(
                f"s{number}-ü", f"some where/{number} .flac", text, f"s{number}", "fin", "g", 0.5 + number, corpus
            )
            for number, text in enumerate(TEXTS)
        ],
    )


@pytest.fixture
def no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> list[Utterance]:
        raise AssertionError(f"{path} is read line by line")

    monkeypatch.setattr(references, "read_data_dir", fail)


@pytest.mark.parametrize("corpus", ["", "fleurs"])
def test_a_good_set_is_read_at_once_and_is_the_same(tmp_path: Path, corpus: str, no_second_reading: None) -> None:
    write_set(tmp_path, corpus)
    assert read_references(tmp_path) == data_dir.read_data_dir(tmp_path)


@pytest.mark.parametrize("name", [*data_dir.FILES, data_dir.CORPUS_FILE])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"s1-\xc3\xbc ", b"s1-\xc3\xbc"),  # no value
        (b"s1-\xc3\xbc ", b"s1-\xc3\xbc  "),
        (b"s1-\xc3\xbc ", b"s1-\xc3\xbc\t"),
        (b"s1-\xc3\xbc ", b"s0-\xc3\xbc "),  # twice
        (b"s1-\xc3\xbc ", b"s9-\xc3\xbc "),  # out of order, and one is missing
        (b"s1-\xc3\xbc ", b"\n"),
        (b"s1-\xc3\xbc ", b"s1-\xc3\xbc \n"),
        (b"s1-\xc3\xbc ", b"s1-\xc3\xbc 0\n"),
        (b"\n", b"\r\n"),
        (b"z\n", b"z\rw\n"),
        (b" a \n", b"  \n"),
        (b" a \n", b"\xe3\x80\x80\n"),
        (b"\n", b" \n"),
        (b"\n", b" 1\n"),
        (b"\n", b"\xff\n"),
        (b"\n", b""),  # all in one line
        (b" ", b"   \t"),
        (b".5\n", b"\n"),
        (b".5\n", b"nan\n"),
        (b" 1.5\n", b" nan\n"),
        (b" 1.5\n", b" inf\n"),
        (b" 1.5\n", b" -1\n"),
        (b" 1.5\n", b" 0\n"),
        (b"", b""),
    ],
)
def test_what_is_wrong_is_told_as_ever(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    write_set(tmp_path, "fleurs")
    file = tmp_path / name
    file.write_bytes(file.read_bytes().replace(old, new) if old else b"")
    assert _outcome(read_references, tmp_path) == _outcome(read_data_dir, tmp_path)


def test_missing_files_and_missing_last_line_ends(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        read_references(tmp_path)
    write_set(tmp_path)
    for name in data_dir.FILES:
        file = tmp_path / name
        file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    assert len(read_references(tmp_path)) == len(TEXTS)


def _outcome(read: object, path: Path) -> object:
    assert callable(read)
    try:
        return read(path)
    except UserError as error:
        return str(error)
