"""The reader of releases: hostile tables lose no row, shift no column and open no file outside the clips folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.common_voice import LocaleFolder, Quarantined, Row, find_locales, read_split
from asr_dro.errors import UserError

HEADER = "client_id\tpath\tsentence_id\tsentence\tlocale\n"


def locale_with(folder: Path, table: bytes, *, clips: tuple[str, ...] = ()) -> LocaleFolder:
    """Write ``train.tsv`` (and header-only other tables) of a Spanish locale."""
    (folder / "es/clips").mkdir(parents=True, exist_ok=True)
    for clip in clips:
        (folder / "es/clips" / clip).touch()
    for split in ("dev", "test"):
        (folder / f"es/{split}.tsv").write_text(HEADER)
    (folder / "es/train.tsv").write_bytes(table)
    return LocaleFolder("spa", folder / "es")


def rows_of(folder: Path, table: bytes) -> list[Row | Quarantined]:
    return list(read_split(locale_with(folder, table), "train"))


# What real tables hold: quotation marks, NUL, BOM, CR, VT, NEL, line separator, backslash, traversal, invalid UTF-8
parts = ['"', '""', "\x00", "\ufeff", "\r", "\x0b", "\x85", "\u2028", "\\", "../", "/", ".mp3", "hola", "a", " ", "é"]
fields = st.lists(st.sampled_from([*(part.encode() for part in parts), b"\xff"]), max_size=4).map(b"".join)
lines = st.lists(st.lists(fields, min_size=1, max_size=7).map(b"\t".join), max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.permutations([b"client_id", b"path", b"sentence", b"sentence_id", b"locale"]),
    body=lines,
    bom=st.booleans(),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_hostile_tables(tmp_path: Path, columns: list[bytes], body: list[bytes], bom: bool, end: bytes) -> None:
    table = (b"\xef\xbb\xbf" if bom else b"") + end.join([b"\t".join(columns), *body, b""])
    found = rows_of(tmp_path, table)
    assert len(found) == len(body)
    names: set[str] = set()
    for line, row in zip(body, found, strict=True):
        values = (line if end == b"\r\n" else line.removesuffix(b"\r")).split(b"\t")
        if isinstance(row, Quarantined):
            assert row.reason
            continue
        assert len(values) == len(columns)
        expected = dict(zip(columns, values, strict=True))
        assert (row.clip.encode(), row.sentence.encode(), row.client_id.encode()) == (
            expected[b"path"],
            expected[b"sentence"],
            expected[b"client_id"],
        )
        assert (tmp_path / "es/clips" / row.clip).resolve().is_relative_to((tmp_path / "es/clips").resolve())
        assert row.name not in names
        names.add(row.name)


def test_unbalanced_quotation_marks_swallow_nothing(tmp_path: Path) -> None:
    sentences = ['"Hola', 'a "b', '"', 'x""', "y"]
    table = HEADER + "".join(f"c\t{i}.mp3\ts\t{sentence}\tes\n" for i, sentence in enumerate(sentences))
    assert [row.sentence for row in rows_of(tmp_path, table.encode()) if isinstance(row, Row)] == sentences


def test_last_line_without_end_is_read(tmp_path: Path) -> None:
    assert rows_of(tmp_path, (HEADER + "c\ta.mp3\ts\thola\tes").encode()) == [Row("a.mp3", "hola", "c")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("c\t../../etc/passwd\ts\thola\tes", "path outside the clips folder"),
        ("c\t/etc/passwd\ts\thola\tes", "path outside the clips folder"),
        ("c\tlink.mp3\ts\thola\tes", "path outside the clips folder"),
        ("c\tfolder/secret\ts\thola\tes", "path outside the clips folder"),
        ("c\t.\ts\thola\tes", "path outside the clips folder"),
        ("c\ta\x00b.mp3\ts\thola\tes", "path with white space or control characters"),
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
    found = rows_of(tmp_path, f"{HEADER}{line}\nc\tok.mp3\ts\thola\tes\n".encode())
    assert isinstance(found[0], Quarantined)
    assert found[0].reason == reason
    assert found[1] == Row("ok.mp3", "hola", "c")


def test_names_that_would_overwrite_each_other(tmp_path: Path) -> None:
    clips = ["a.mp3", "a.wav", "b/c.mp3", "b_c.mp3", "a.mp3"]
    found = rows_of(tmp_path, (HEADER + "".join(f"c\t{clip}\ts\thola\tes\n" for clip in clips)).encode())
    assert [isinstance(row, Row) for row in found] == [True, False, True, False, False]


@pytest.mark.parametrize("column", ["client_id", "path", "sentence"])
def test_missing_and_doubled_columns(tmp_path: Path, column: str) -> None:
    locale_with(tmp_path, HEADER.replace(f"{column}\t", "other\t", 1).encode())
    with pytest.raises(UserError, match=rf"train\.tsv: column '{column}' is missing; columns found: .*other"):
        find_locales(tmp_path, ["spa"])
    locale_with(tmp_path, (f"{column}\t" + HEADER).encode())
    with pytest.raises(UserError, match=rf"column '{column}' is there twice"):
        find_locales(tmp_path, ["spa"])


def test_all_problems_of_a_release_at_once(tmp_path: Path) -> None:
    locale_with(tmp_path, b"")
    (tmp_path / "es/dev.tsv").unlink()
    with pytest.raises(UserError) as error:
        find_locales(tmp_path, ["fin", "spa"])
    message = str(error.value)
    assert "no folder fi for language fin (Finnish)" in message
    assert "columns found: none" in message
    assert "dev.tsv cannot be read: No such file" in message
    assert "Locales there: es" in message


def test_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a folder"):
        find_locales(tmp_path / "file", ["spa"])
    locale_with(tmp_path, HEADER.encode())
    (tmp_path / "es/clips").rmdir()
    (tmp_path / "es/clips").touch()
    with pytest.raises(UserError, match="clips is not a folder"):
        find_locales(tmp_path, ["spa"])


def test_layouts_and_several_locales_of_a_language(tmp_path: Path) -> None:
    for folder in ("plain/zh-CN", "plain/zh-TW", "parent/cv-corpus-25.0-2026-03-06/zh-CN"):
        (tmp_path / folder / "clips").mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / folder / f"{split}.tsv").write_text(HEADER)
    assert [locale.path.name for locale in find_locales(tmp_path / "plain", ["cmn"])] == ["zh-CN", "zh-TW"]
    inner = tmp_path / "parent/cv-corpus-25.0-2026-03-06"
    assert [locale.path for locale in find_locales(tmp_path / "parent", ["cmn"])] == [inner / "zh-CN"]
    inner.with_name("cv-corpus-24.0-2025-12-05").symlink_to(inner)
    with pytest.raises(UserError, match="several releases of zh-CN"):
        find_locales(tmp_path / "parent", ["cmn"])
