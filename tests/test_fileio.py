from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.errors import UserError
from asr_dro.fileio import atomic_open, json_lines, read_json_lines, read_log


def test_json_lines_come_back_whatever_they_hold(tmp_path: Path) -> None:
    """U+2028 and U+0085 end a line for str.splitlines(), but not in JSON."""
    values = [{"text": "a\u2028b"}, {"text": "c\u0085d"}, {"text": "e\nf"}]
    (tmp_path / "log").write_text("".join(json_lines(values)), encoding="utf-8")
    assert read_json_lines(tmp_path / "log") == values


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"update": 1}\n{"upd', encoding="utf-8")
    assert read_json_lines(tmp_path / "log") == [{"update": 1}]


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError, match="full"), atomic_open(tmp_path / "file") as file:
        file.write("half of the new")
        raise OSError("disk full")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_log_gives_objects_or_names_the_damaged_file(tmp_path: Path) -> None:
    log = tmp_path / "train.jsonl"
    assert read_log(log) == []
    log.write_text('{"epoch": 1}\n[2]\nnull\n{"epoch": 2}\n{"epo', encoding="utf-8")
    assert read_log(log) == [{"epoch": 1}, {"epoch": 2}]
    for content in (b"{\n", b'"\xff"\n'):
        log.write_bytes(content)
        with pytest.raises(UserError, match=r"train\.jsonl: a line is not JSON"):
            read_log(log)
