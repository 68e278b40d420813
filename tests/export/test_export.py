from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from asr_dro.errors import UserError
from asr_dro.export.export import export
from tests.decoding.experiments import arguments_of, write_experiment
from tests.export.test_espnet_pack import STOCK

ROOT = Path(__file__).resolve().parents[2]


def test_mistakes_are_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").touch()
    with pytest.raises(UserError) as caught:
        export(tmp_path / "exp", tmp_path / "there", "onnx")
    assert "allowed: hf, espnet" in str(caught.value) and "config.yaml and checkpoints/model.pt" in str(caught.value)
    assert "--overwrite" in str(caught.value)
    experiment = write_experiment(tmp_path / "exp", arguments_of() | STOCK)
    with pytest.raises(UserError, match=r"ends in \.zip"):
        export(experiment, tmp_path / "pack", "espnet")
    for target, form in ((tmp_path / "there", "hf"), (tmp_path / "link", "hf")):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / "there")
        with pytest.raises(UserError, match="holds more than an exported model"):
            export(experiment, target, form, overwrite=True)
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(UserError, match="is no file"):
        export(experiment, tmp_path / "folder.zip", "espnet", overwrite=True)
    assert (tmp_path / "there" / "thesis.tex").exists()


def test_an_export_is_replaced_when_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment = write_experiment(tmp_path / "exp", arguments_of() | STOCK)
    export(experiment, tmp_path / "below" / "pack.zip", "espnet")
    assert "has no scores of test" in caplog.text
    first = (tmp_path / "below" / "pack.zip").read_bytes()
    with pytest.raises(UserError, match="is there already"):
        export(experiment, tmp_path / "below" / "pack.zip", "espnet")
    other = write_experiment(tmp_path / "other", arguments_of() | STOCK, seed=1)
    export(other, tmp_path / "below" / "pack.zip", "espnet", overwrite=True)
    assert (tmp_path / "below" / "pack.zip").read_bytes() != first
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["pack.zip"]


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asr_dro.export import espnet_pack

    experiment = write_experiment(tmp_path / "exp", arguments_of() | STOCK)

    def fail(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(espnet_pack, "write_pack", fail)
    with pytest.raises(OSError, match="disk full"):
        export(experiment, tmp_path / "out" / "pack.zip", "espnet")
    assert list((tmp_path / "out").iterdir()) == []
    assert logging.getLogger().level == logging.WARNING


def test_help_is_light() -> None:
    script = (
        "import sys; sys.argv[1:] = ['--help']; from asr_dro.bin.export import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit(len({'torch', 'numpy', 'yaml', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--format" in done.stdout
