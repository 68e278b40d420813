from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr_dro.bin.score import PROFILE_NAMES, main
from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.errors import UserError
from asr_dro.scoring.profiles import PROFILES

ROOT = Path(__file__).resolve().parents[2]


def write_run(root: Path) -> tuple[Path, Path]:
    data, exp = root / "data", root / "exp"
    for split in ("dev", "test"):
        write_data_dir(
            data / split,
            [
                Utterance("fin-1", "a.flac", "kiitos", "fin", "fin", "fin", 1.0),
                Utterance("spa-1", "b.flac", "gracias", "spa", "spa", "spa", 1.0),
            ],
        )
        (exp / "decode_greedy" / split).mkdir(parents=True)
        (exp / "decode_greedy" / split / "text").write_text(
            "fin-1 [fin] kiitos\nspa-1 [spa] gracia\n", encoding="utf-8"
        )
    return data, exp


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "asr_dro.bin.score", *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_table_goes_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, exp = write_run(tmp_path)
    main(["--data", str(data), "--exp", str(exp)])
    first = capsys.readouterr().out
    assert first.index("dev: 2 languages") < first.index("test: 2 languages")
    assert first.count("<- worst CER") == 2
    main(["--data", str(data), "--exp", str(exp), "--decode", "greedy"])
    assert capsys.readouterr().out == first


def test_a_mistake_ends_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    data, exp = write_run(tmp_path)
    (exp / "decode_greedy" / "test" / "text").write_text("fin-1 [fin] kiitos\n", encoding="utf-8")
    done = run("--data", data, "--exp", exp, cwd=tmp_path)
    assert done.returncode == 2
    assert "spa-1" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("--data", data, "--exp", exp, "--decode", "beam", cwd=tmp_path).returncode == 2


def test_a_finished_scoring_imports_nothing_heavy(tmp_path: Path) -> None:
    data, exp = write_run(tmp_path)
    main(["--data", str(data), "--exp", str(exp)])
    script = (
        "import sys; from asr_dro.bin.score import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'espnet2', 'numpy', 'rapidfuzz', 'soundfile'} & set(sys.modules); sys.exit(len(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--data", str(data), "--exp", str(exp)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "worst CER" in done.stdout


def test_help_needs_no_library(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--decode" in done.stdout


def test_profiles_and_alignments_are_given_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, exp = write_run(tmp_path)
    main(["--data", str(data), "--exp", str(exp)])
    assert "  profile " not in capsys.readouterr().out
    main(["--data", str(data), "--exp", str(exp), "--profile", "challenge2025", "ml_superb", "--alignments"])
    shown = capsys.readouterr().out
    assert shown.count("profile challenge2025") == shown.count("profile ml_superb") == 2
    alignments = (exp / "decode_greedy" / "test" / "alignments.pra").read_text(encoding="utf-8")
    assert "HYP:  gracia  \nEval: S       \n" in alignments
    with pytest.raises(UserError, match="--profile sclite: there is no such profile; there are ml_superb, "):
        main(["--data", str(data), "--exp", str(exp), "--profile", "sclite", "wer_basic"])
    assert tuple(PROFILES) == PROFILE_NAMES
