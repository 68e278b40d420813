from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import pytest

from asr_dro.logs import chatter_to_file, log_to_file


def test_people_see_our_messages_and_errors_the_file_has_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    terminal = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(root, "handlers", [terminal])
    monkeypatch.setattr(root, "level", logging.INFO)
    with log_to_file(tmp_path / "train.log"):
        logging.getLogger("asr_dro.training").info("one line an epoch")
        logging.info("forty lines of ESPnet")
        logging.error("something broke")
        warnings.simplefilter("always")
        warnings.warn("somebody else's deprecation", FutureWarning, stacklevel=1)
    logging.getLogger("elsewhere").info("afterwards")
    shown = capsys.readouterr().err
    assert "one line an epoch" in shown
    assert "something broke" in shown
    assert "forty lines" not in shown
    assert "deprecation" not in shown
    assert "afterwards" in shown, "the filter ends with the block"
    log = (tmp_path / "train.log").read_text()
    for message in ("one line an epoch", "forty lines of ESPnet", "something broke", "somebody else's deprecation"):
        assert message in log
    assert "afterwards" not in log


def test_what_is_printed_goes_to_the_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chatter_to_file(tmp_path / "log"):
        sys.stdout.write("out\n")
        sys.stderr.write("err\n")
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "log").read_text().split() == ["out", "err"]


def test_a_library_that_caught_the_stream_goes_on_through_the_root_logger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As transformers does when it is imported: its handler would write to a file that is closed by then."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(sys.stderr)])
    library = logging.getLogger("some_library")
    own = logging.FileHandler(tmp_path / "own.log")
    with log_to_file(tmp_path / "train.log"):
        with chatter_to_file(tmp_path / "train.log"):
            library.addHandler(logging.StreamHandler())
            library.addHandler(own)
            library.propagate = False
        library.warning("tensors left over")
    library.removeHandler(own)
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "train.log").read_text().count("tensors left over") == 1
    assert "tensors left over" in (tmp_path / "own.log").read_text()


def test_of_several_processes_one_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(sys.stderr)])
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    monkeypatch.setenv("RANK", "2")
    with log_to_file(tmp_path / "train.log"):
        logging.getLogger("asr_dro.training").info("epoch 1")
        logging.getLogger("asr_dro.training").error("broken")
    assert capsys.readouterr().err.split() == ["broken"]
    assert not (tmp_path / "train.log").exists()
    assert "epoch 1" in (tmp_path / "train.2.log").read_text()
