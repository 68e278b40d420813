from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from asr_dro.collecting.find import choose_experiment, find_experiments
from asr_dro.errors import UserError
from tests.collecting.experiments import CER, add_scores, write, write_run


def found(*roots: Path) -> list[str]:
    return [str(place.folder) for place in find_experiments(roots)]


def test_any_depth_and_several_roots(tmp_path: Path) -> None:
    for name in ("a/x", "a/deep/er/y", "b/x", "b/.hidden/z"):
        write_run(tmp_path / name)
    write(tmp_path / "a" / "not an experiment" / "scores.json", "{}")
    assert found(tmp_path / "a", tmp_path / "b") == [str(tmp_path / name) for name in ("a/deep/er/y", "a/x", "b/x")]


def test_an_experiment_is_a_root_and_nothing_is_sought_inside(tmp_path: Path) -> None:
    write_run(tmp_path / "x")
    write_run(tmp_path / "x" / "copy")
    assert found(tmp_path / "x") == [str(tmp_path / "x")]


def test_loops_of_links_and_roots_inside_each_other_count_once(tmp_path: Path) -> None:
    write_run(tmp_path / "exp" / "x")
    (tmp_path / "exp" / "loop").symlink_to(tmp_path / "exp")
    (tmp_path / "exp" / "self").symlink_to(tmp_path / "exp" / "self")
    (tmp_path / "exp" / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "exp")
    assert found(tmp_path / "exp") == [str(tmp_path / "exp" / "x")]
    assert found(tmp_path / "link") == [str(tmp_path / "link" / "x")]
    assert len(found(tmp_path / "exp", tmp_path, tmp_path / "exp" / "x")) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_permission_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_run(tmp_path / "x")
    write_run(tmp_path / "closed" / "y")
    (tmp_path / "closed").chmod(0)
    try:
        assert found(tmp_path) == [str(tmp_path / "x")]
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert str(tmp_path / "closed") in caplog.text


def test_a_folder_that_fails_to_be_read_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stale network mount does."""
    write_run(tmp_path / "x")
    write_run(tmp_path / "stale" / "y")
    scan = os.scandir

    def failing(path: Path) -> object:
        if Path(path).name == "stale":
            raise OSError(116, "Stale file handle")
        return scan(path)

    monkeypatch.setattr(os, "scandir", failing)
    with caplog.at_level(logging.WARNING):
        assert found(tmp_path) == [str(tmp_path / "x")]
    assert "Stale file handle" in caplog.text


def test_a_run_that_failed_before_its_configuration_is_one(tmp_path: Path) -> None:
    write(tmp_path / "x" / "failure.json", "{}")
    write(tmp_path / "environment" / ".lock", "")  # of some other program
    assert found(tmp_path) == [str(tmp_path / "x")]


def test_a_copy_of_nothing_but_scores_is_one(tmp_path: Path) -> None:
    add_scores(tmp_path / "exp" / "x", CER)
    assert found(tmp_path) == [str(tmp_path / "exp" / "x")]


def test_nothing_found_says_what_was_sought(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no experiment in .*train\.yaml"):
        find_experiments([tmp_path])
    with pytest.raises(UserError, match=r"not a folder: .*nowhere"):
        find_experiments([tmp_path, tmp_path / "nowhere"])


def test_choosing_by_tag_and_by_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/same", "b/same", "a/separable_conv_ctc_mini6_s1"):
        write_run(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    places = find_experiments([Path("a"), Path("b")])
    assert choose_experiment("b/same/", places).folder == Path("b/same")
    assert choose_experiment("separable_conv_ctc_mini6_s1", places).folder.parent == Path("a")
    with pytest.raises(UserError, match=r"several experiments have this tag.*a/same, b/same"):
        choose_experiment("same", places)
    with pytest.raises(UserError, match=r"did you mean separable_conv_ctc_mini6_s1\?"):
        choose_experiment("separable_conv_ctc_mini_s1", places)
