"""Packed columns against the plain reader, on any text, and their memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_dro.data import packed_columns
from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.packed_columns import read_integers, read_strings
from asr_dro.errors import UserError

KEYS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_categories=("C", "Zl")), min_size=1, max_size=20)
ANY_FILE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ANY_FILE
@given(lines=st.dictionaries(KEYS, VALUES, max_size=30), block=st.sampled_from([1, 20, 1 << 22]), end=st.booleans())
def test_strings_are_those_of_the_plain_reader(tmp_path: Path, lines: dict[str, str], block: int, end: bool) -> None:
    path = tmp_path / "wav.scp"
    content = "\n".join(f"{key} {value}" for key, value in lines.items())
    path.write_bytes((content + "\n" * (end and bool(lines))).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_columns, "_BLOCK_BYTES", block)
        keys, values = read_strings(path)
    assert dict(zip(keys, values, strict=True)) == read_two_columns(path) == lines
    assert [keys[position] for position in range(len(keys))] == list(lines)
    assert len(keys) == len(values) == len(lines)


@ANY_FILE
@given(
    lists=st.lists(st.lists(st.integers(0, 70_000), min_size=1, max_size=9), max_size=30),
    block=st.sampled_from([1, 20, 1 << 22]),
)
def test_lists_of_integers(tmp_path: Path, lists: list[list[int]], block: int) -> None:
    path = tmp_path / "token_ids"
    path.write_text("".join(f"u{n} {' '.join(map(str, numbers))}\n" for n, numbers in enumerate(lists)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_columns, "_BLOCK_BYTES", block)
        keys, packed = read_integers(path)
    assert list(keys) == [f"u{n}" for n in range(len(lists))]
    assert [packed[n].tolist() for n in range(len(packed))] == lists
    assert all(packed[n].dtype == np.int64 for n in range(len(packed)))
    single = packed.single
    if all(len(numbers) == 1 for numbers in lists):
        assert single is not None
        assert single.tolist() == [number for (number,) in lists]
    else:
        assert single is None


@pytest.mark.parametrize("bad", ["b", "b ", " b", "", "b x", "b 1 -2", "b 1.5", "b 1\r", "b \t1"])
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    (tmp_path / "group_ids").write_bytes(f"a 1\n{bad}\nc 3\n".encode())
    with pytest.raises(UserError, match="group_ids:2: "):
        read_integers(tmp_path / "group_ids")


def test_a_bad_line_is_named_in_later_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_columns, "_BLOCK_BYTES", 8)
    (tmp_path / "wav.scp").write_text("".join(f"u{n} a b.flac\n" for n in range(20)) + "u20\n")
    with pytest.raises(UserError, match=r"wav\.scp:21: "):
        read_strings(tmp_path / "wav.scp")
    (tmp_path / "token_ids").write_text("".join(f"u{n} {n} 7\n" for n in range(20)) + "u20 x\n")
    with pytest.raises(UserError, match=r"token_ids:21: not integers"):
        read_integers(tmp_path / "token_ids")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"wav\.scp is missing"):
        read_strings(tmp_path / "wav.scp")


def test_columns_are_compared(tmp_path: Path) -> None:
    for name, content in {"one": "a 1\nb 2\n", "same": "a x\nb yy\n", "order": "b 2\na 1\n", "cut": "ab 1\n"}.items():
        (tmp_path / name).write_text(content)
    keys = {name: read_strings(tmp_path / name)[0] for name in ("one", "same", "order", "cut")}
    assert keys["one"].same_as(keys["same"])
    assert not keys["one"].same_as(keys["order"])
    assert not keys["one"].same_as(keys["cut"])


def test_a_file_name_that_is_not_utf_8_survives(tmp_path: Path) -> None:
    import os

    (tmp_path / "wav.scp").write_bytes(b"a /audio/\xff.wav\n")
    assert os.fsencode(read_strings(tmp_path / "wav.scp")[1][0]) == b"/audio/\xff.wav"


def test_memory_is_little_more_than_the_files(tmp_path: Path) -> None:
    count = 20_000
    (tmp_path / "wav.scp").write_text("".join(f"speaker{n:06}-clip /corpus/clips/{n:06}.mp3\n" for n in range(count)))
    (tmp_path / "token_ids").write_text("".join(f"speaker{n:06}-clip {' '.join(['123'] * 50)}\n" for n in range(count)))
    keys, paths = read_strings(tmp_path / "wav.scp")
    assert keys.nbytes + paths.nbytes <= (tmp_path / "wav.scp").stat().st_size + 2 * 8 * count
    assert read_integers(tmp_path / "token_ids")[1].nbytes == count * (50 + 8)  # one byte a label
