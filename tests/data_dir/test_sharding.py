"""Stage 1 by language: at the same time, and as if the whole set had been prepared at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr_dro.data.config import DataConfig
from asr_dro.data.data_dir import SPLITS
from asr_dro.data.prepare import Preparation, prepare
from asr_dro.data.processes import exclusive
from tests.data_dir.tones import MakeRelease

ROOT = Path(__file__).parents[2]


def start(release: Path, language: str, folder: Path, config: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    conf = ROOT / "conf" / "data" / f"{config}.yaml"
    arguments = ["--corpus", "mini", "--source", release, "--lang-set", language, "--data-dir", "data", "--nj", "1"]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "asr_dro.bin.prepare_data",
            *map(str, arguments),
            "--duration",
            "3s",
            "--data-conf",
            conf,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of each file but locks."""
    status = {str(path): path.stat() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    return {path: (found.st_ino, found.st_mtime_ns) for path, found in status.items()}


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("config", ["default", "packed"])
def test_languages_at_the_same_time_are_the_set_at_once(
    make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    release = make_release(locales=("fi", "ka"), clips=12)
    runs = [start(release, language, tmp_path / "shards", config) for language in ("fin", "kat")]
    for run in runs:
        _, messages = run.communicate(timeout=120)
        assert run.returncode == 0, messages
        assert "waiting for it" not in messages
    asked = Preparation(
        "mini", release, ["fin", "kat"], Path("data"), "set", duration="3s",
        config=DataConfig(audio="pack" if config == "packed" else "convert"),
    )  # fmt: skip
    folder = asked.audio

    monkeypatch.chdir(tmp_path / "shards")
    before = times(folder)
    assert prepare(asked)
    assert times(folder) == before  # nothing was left to convert, nor to note
    assert all((folder / name).exists() for name in ("fin/fi.tsv", "kat/ka.tsv"))

    (tmp_path / "once").mkdir()
    monkeypatch.chdir(tmp_path / "once")
    assert prepare(asked)
    once, merged = contents(tmp_path / "once" / "data"), contents(tmp_path / "shards" / "data")
    assert {name: merged.get(name) for name in once} == once
    others = {name.split("/")[0].removesuffix("_packed") for name in merged.keys() - once.keys()}
    assert others == {"mini_fin_3s", "mini_kat_3s"}  # the sets of the single languages
    lines = {split: (asked.prepared / split / "wav.scp").read_text().count("\n") for split in SPLITS}
    assert lines == {"train": 2 * 5, "dev": 24, "test": 24}  # clips of 0.6 s, no more than 3 s of each language


def test_only_a_run_on_the_same_part_is_waited_for(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release(locales=("fi", "ka"), clips=1)
    audio = tmp_path / "data/audio/mini"
    with exclusive(audio), exclusive(audio / "fin/fi"), exclusive(tmp_path / "data/mini_fin_3s"):
        run = start(release, "kat", tmp_path, "default")
        _, messages = run.communicate(timeout=60)
    assert run.returncode == 0, messages
    with exclusive(audio / "kat/ka"):
        (tmp_path / "data/mini_kat_3s/.done.json").unlink()
        run = start(release, "kat", tmp_path, "default")
        assert run.stderr is not None
        assert "kat/ka: another run is filling this folder" in run.stderr.readline()
    assert "are written" in run.stderr.read()
    assert run.wait() == 0
    run.stderr.close()
