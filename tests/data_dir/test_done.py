"""Markers of finished work."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.data.done import fingerprint, is_made_from, mark_made_from, open_if_changed, remove_stale, write_if_changed


def test_marker(tmp_path: Path) -> None:
    source, output, marker = tmp_path / "source", tmp_path / "output", tmp_path / "folder/.done.json"
    source.write_text("a")
    inputs = {"files": fingerprint([source]), "languages": ["spa"]}
    assert not is_made_from(marker, inputs)
    mark_made_from(marker, inputs)
    assert is_made_from(marker, inputs)
    assert not is_made_from(marker, inputs, [output])
    output.touch()
    assert is_made_from(marker, {"files": fingerprint([source]), "languages": ["spa"]}, [output])
    assert not is_made_from(marker, inputs | {"languages": ["fin"]}, [output])
    source.write_text("ab")
    assert not is_made_from(marker, {"files": fingerprint([source]), "languages": ["spa"]}, [output])
    marker.write_text('{"files": {')
    assert not is_made_from(marker, inputs)


def test_fingerprint_knows_missing_files_and_real_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert fingerprint([tmp_path / "link"]) == fingerprint([tmp_path / "a"])
    assert fingerprint([tmp_path / "a"])[str((tmp_path / "a").resolve())][0] == 3
    assert fingerprint([tmp_path / "gone"]) == {str(tmp_path.resolve() / "gone"): [-1, 0]}


def test_write_if_changed(tmp_path: Path) -> None:
    write_if_changed(tmp_path / "new/a", "é\n")
    before = (tmp_path / "new/a").stat()
    write_if_changed(tmp_path / "new/a", "é\n")
    assert (tmp_path / "new/a").stat() == before
    write_if_changed(tmp_path / "new/a", "e\n")
    assert (tmp_path / "new/a").read_text() == "e\n"
    write_if_changed(tmp_path / "new/a", "f\n")  # as long, and within a tick of the clock
    assert (tmp_path / "new/a").read_text() == "f\n"


def test_interrupted_writing_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with open_if_changed(tmp_path / "a") as file:
            file.write("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]
    (tmp_path / "b.tmp.77").touch()
    remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
