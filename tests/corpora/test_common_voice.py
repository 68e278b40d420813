"""The reader of tables: hostile ones lose no row, shift no column and lead to no file outside the clips folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.common_voice.part import LocalePart
from asr_dro.corpora.corpus import Quarantined, Row
from asr_dro.errors import UserError
from tests.corpora.releases import parts_of

HEADER = "client_id\tpath\tsentence_id\tsentence\tlocale\n"


def locale_with(folder: Path, table: bytes) -> Path:
    """Write ``train.tsv`` (and header-only other tables) of a Spanish locale."""
    (folder / "es/clips").mkdir(parents=True, exist_ok=True)
    for split in ("dev", "test"):
        (folder / f"es/{split}.tsv").write_text(HEADER)
    (folder / "es/train.tsv").write_bytes(table)
    return folder


def train_rows(folder: Path, table: bytes) -> list[Row | Quarantined]:
    (part,) = parts_of(locale_with(folder, table), "spa")
    assert isinstance(part, LocalePart)
    return list(part.rows("train"))


# What real tables hold: quotation marks, NUL, BOM, CR, VT, NEL, line separator, backslash, traversal, invalid UTF-8,
# marks of direction; and one field of 100 kB in each table
pieces = ['"', '""', "\x00", "\ufeff", "\r", "\x0b", "\x85", "\u2028", "\u200f", "\u202e", "\\", "../", "/", ".mp3"]
pieces += ["hola", "a", " ", "é", "~/", "C:"]
single = [b"", *(piece.encode() for piece in pieces), b"\xff", b"\xed\xa0\x80"]
fields = st.sampled_from([first + second for first in single for second in single])
lines = st.lists(st.lists(fields, min_size=1, max_size=7).map(b"\t".join), min_size=99, max_size=101)


@settings(max_examples=110, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    columns=st.permutations([b"client_id", b"path", b"sentence", b"sentence_id", b"locale"]),
    body=lines,
    bom=st.booleans(),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_ten_thousand_hostile_rows(
    tmp_path: Path, columns: list[bytes], body: list[bytes], bom: bool, end: bytes
) -> None:
    body.append(b"\t".join([b"long", b"x" * 100_000, b"long", b"\xc3\xa9" * 50_000, b"es"]))
    table = (b"\xef\xbb\xbf" if bom else b"") + end.join([b"\t".join(columns), *body, b""])
    found = train_rows(tmp_path, table)
    assert len(found) == len(body)
    clips, names = (tmp_path / "es/clips").resolve(), set[str]()
    for line, row in zip(body, found, strict=True):
        values = (line if end == b"\r\n" else line.removesuffix(b"\r")).split(b"\t")
        if isinstance(row, Quarantined):
            assert row.reason
            assert "\t" not in row.reason + row.clip and "\n" not in row.reason + row.clip
            continue
        expected = dict(zip(columns, values, strict=True))
        path = expected[b"path"].decode()
        assert row.clip in (path, f"{path}.mp3")
        assert (row.sentence.encode(), row.speaker.encode()) == (expected[b"sentence"], expected[b"client_id"])
        assert row.language == "spa"
        assert (clips / row.clip).resolve().is_relative_to(clips)
        assert row.name not in names
        names.add(row.name)


def test_good_rows_among_hostile_ones_all_come_out(tmp_path: Path) -> None:
    hostile = [b"", b"\t" * 4, b"\t" * 9, b'c\t"\ts\th\tes', b"c\t\xff\ts\th\tes", b"c\ta\x00\ts\th\tes", b'"']
    good = [f"c\t{number}.mp3\ts\thola {number}\tes".encode() for number in range(7)]
    body = [line for pair in zip(hostile, good, strict=True) for line in pair]
    found = train_rows(tmp_path, HEADER.encode() + b"\n".join(body))
    assert [row.sentence for row in found if isinstance(row, Row) and row.sentence != "h"] == [
        f"hola {number}" for number in range(7)
    ]
    assert [isinstance(row, Row) for row in found] == [False, True] * 3 + [True, True] + [False, True] * 3
    assert isinstance(found[6], Row)
    assert found[6].clip == '".mp3'  # strange, but a file's name


def test_unbalanced_quotation_marks_swallow_nothing(tmp_path: Path) -> None:
    sentences = ['"Hola', 'a "b', '"', 'x""', "y"]
    table = HEADER + "".join(f"c\t{i}.mp3\ts\t{sentence}\tes\n" for i, sentence in enumerate(sentences))
    assert [row.sentence for row in train_rows(tmp_path, table.encode()) if isinstance(row, Row)] == sentences


def test_last_line_without_end_is_read(tmp_path: Path) -> None:
    assert train_rows(tmp_path, (HEADER + "c\ta.mp3\ts\thola\tes").encode()) == [Row("a.mp3", "hola", "c", "spa")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("c\t../../etc/passwd\ts\thola\tes", "path outside the clips folder"),
        ("c\t/etc/passwd\ts\thola\tes", "path outside the clips folder"),
        ("c\tlink.mp3\ts\thola\tes", "path outside the clips folder"),
        ("c\tlink\ts\thola\tes", "path outside the clips folder"),
        ("c\tfolder/secret\ts\thola\tes", "path outside the clips folder"),
        ("c\t.\ts\thola\tes", "path outside the clips folder"),
        ("c\ta\x00b.mp3\ts\thola\tes", "path with white space or control characters"),
        ("c\ta\u202eb.mp3\ts\thola\tes", "path with white space or control characters"),
        ("c\ta b.mp3\ts\thola\tes", "path with white space or control characters"),
        ("c\t\ts\thola\tes", "no path"),
        (f"c\t{'x' * 300}.mp3\ts\thola\tes", "path longer than 200 bytes"),
        ("\ta.mp3\ts\thola\tes", "no client_id"),
        ("c\ta.mp3\ts\thola", "4 fields where the header has 5"),
        ("c\ta.mp3\ts\tho\tla\tes", "6 fields where the header has 5"),
        ("", "1 fields where the header has 5"),
    ],
)
def test_reasons(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "secret").touch()
    (tmp_path / "es/clips").mkdir(parents=True)
    (tmp_path / "es/clips/link.mp3").symlink_to(tmp_path / "secret")
    (tmp_path / "es/clips/folder").symlink_to(tmp_path)
    found = train_rows(tmp_path, f"{HEADER}{line}\nc\tok.mp3\ts\thola\tes\n".encode())
    assert isinstance(found[0], Quarantined)
    assert found[0].reason == reason
    assert len(found[0].clip) < 210
    assert found[1] == Row("ok.mp3", "hola", "c", "spa")


def test_a_link_to_a_clip_of_the_folder_may_be_followed(tmp_path: Path) -> None:
    (tmp_path / "es/clips").mkdir(parents=True)
    (tmp_path / "es/clips/a.mp3").touch()
    (tmp_path / "es/clips/b.mp3").symlink_to("a.mp3")
    assert train_rows(tmp_path, (HEADER + "c\tb.mp3\ts\thola\tes").encode()) == [Row("b.mp3", "hola", "c", "spa")]


def test_names_that_would_overwrite_each_other(tmp_path: Path) -> None:
    clips = ["a.mp3", "a.wav", "a", "b/c.mp3", "b_c.mp3", "a.mp3", "é.mp3", "é"]
    found = train_rows(tmp_path, (HEADER + "".join(f"c\t{clip}\ts\thola\tes\n" for clip in clips)).encode())
    assert [isinstance(row, Row) for row in found] == [True, False, False, True, False, False, True, False]
    assert {row.reason for row in found if isinstance(row, Quarantined)} == {"clip is there twice"}


@pytest.mark.parametrize("column", ["client_id", "path", "sentence"])
def test_missing_and_doubled_columns(tmp_path: Path, column: str) -> None:
    locale_with(tmp_path, HEADER.replace(f"{column}\t", "other\t", 1).encode())
    with pytest.raises(UserError, match=rf"train\.tsv: column '{column}' is missing; columns found: .*other"):
        parts_of(tmp_path, "spa")
    locale_with(tmp_path, (f"{column}\t" + HEADER).encode())
    with pytest.raises(UserError, match=rf"column '{column}' is there twice"):
        parts_of(tmp_path, "spa")


def test_columns_for_groups(tmp_path: Path) -> None:
    header = "client_id\tpath\tsentence\tgender\taccent\n"
    table = f"{header}c\ta.mp3\thola\tfemale_feminine\tnorte, sur\nc\tb.mp3\tsi\t\t\n"
    locale_with(tmp_path, table.encode())
    for split in ("dev", "test"):
        (tmp_path / f"es/{split}.tsv").write_text(header)
    (part,) = parts_of(tmp_path, "spa", group=("language", "accents", "gender", "locale"))
    assert [row.columns for row in part.rows("train") if isinstance(row, Row)] == [
        ("norte, sur", "female_feminine", "es"),
        ("", "", "es"),
    ]
    with pytest.raises(
        UserError, match=r"column 'region' is missing; columns found: client_id, path, sentence, gender"
    ):
        parts_of(tmp_path, "spa", group=("region",))


def test_speed(tmp_path: Path) -> None:
    rows = 60_000
    tail = f"{'0' * 64}\t{'palabra ' * 7}\tes\n"
    table = HEADER + "".join(f"{i % 500:0128x}\tcommon_voice_es_{i}.mp3\t{tail}" for i in range(rows))
    (part,) = parts_of(locale_with(tmp_path, table.encode()), "spa")
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        assert sum(1 for _ in part.rows("train")) == rows
        seconds.append(time.process_time() - begin)
    assert min(seconds) / rows < 20e-6  # about 2.5e-6 on a quiet machine
