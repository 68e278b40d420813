from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.decoding.experiments import speech, write_audio, write_experiment

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str | Path, script: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", script] if script else ["-m", "asr_dro.bin.transcribe"]), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("random") / "exp")


def test_nothing_is_imported_that_the_model_does_not_need(experiment: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from asr_dro.errors import run_main; from asr_dro.bin.transcribe import main; run_main(main); "
        "heavy = {'espnet2.tasks', 's3prl', 'transformers', 'scipy.signal', 'numba', 'peft', 'tensorboard'}; "
        "sys.exit(' '.join(sorted(heavy & sys.modules.keys())) or 0)"
    )
    path = write_audio(tmp_path / "a.wav", speech(5, seed=0))
    done = run(experiment, path, script=script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and len(done.stdout) > 10
    assert done.stderr == "", "standard error is for files that cannot be read"


def test_a_file_that_cannot_be_read_gives_status_2_after_the_others(experiment: Path, tmp_path: Path) -> None:
    good = write_audio(tmp_path / "good.wav", speech(1, seed=0))
    (tmp_path / "bad.wav").write_text("no audio")
    done = run(experiment, tmp_path / "bad.wav", good)
    assert done.returncode == 2
    assert done.stdout.startswith(f"{good}\t")
    assert done.stderr.splitlines()[0] == f"ERROR: {tmp_path}/bad.wav: cannot be decoded: Format not recognised"
    assert "Traceback" not in done.stderr


def test_help_is_light() -> None:
    script = (
        "import sys; sys.argv[1:] = ['--help']; from asr_dro.bin.transcribe import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit(len({'torch', 'numpy', 'yaml', 'tqdm'} & sys.modules.keys()))"
    )
    done = run(script=script)
    assert done.returncode == 0 and "--out-dir" in done.stdout
