from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.check_install import (
    PACKAGES,
    ROOT,
    Package,
    describe,
    enabled,
    find_problem,
    installed_version,
    model_needs,
    read_pins,
)

SCRIPT = ROOT / "tools" / "check_install.py"


def test_table_of_this_environment() -> None:
    result = subprocess.run([sys.executable, SCRIPT], text=True, capture_output=True, check=False)
    assert sys.executable in result.stdout
    assert all(package.distribution in result.stdout for package in PACKAGES)
    assert "--model separable_conv" in result.stdout
    assert (result.returncode == 0) == ("lacks" not in result.stdout)


def test_nothing_heavy_is_imported() -> None:
    code = f"import runpy, sys; sys.argv = ['x']\ntry: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    code += "except SystemExit: pass\nassert not {'torch', 'espnet2', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_bare_interpreter_says_what_to_do() -> None:
    result = subprocess.run([sys.executable, "-S", "-I", SCRIPT], text=True, capture_output=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "lacks" in result.stdout
    assert "tools/install.sh" in result.stdout


def test_missing_and_broken_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('no library')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    missing = Package("no_such_package", "no-such", "")
    broken = Package("broken_package", "broken", "")
    assert find_problem(missing, import_it=False) == "missing"
    assert find_problem(broken, import_it=False) == ""
    assert find_problem(broken, import_it=True) == "import fails: RuntimeError: no library"
    assert describe(missing, None, import_it=True) == ("-", "missing")


def test_versions_that_differ_from_the_list_are_shown() -> None:
    package = Package("pytest", "pytest", "")
    version = installed_version("pytest")
    assert describe(package, version, import_it=False) == (version, "ok")
    assert describe(package, "0.1", import_it=False) == (version, "ok (tested with 0.1)")
    assert installed_version("no-such-distribution") == "-"


def test_pins(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "torch==2.8.0\n# note\ntomli==2.5.0 ; python_full_version < '3.11'\n", encoding="utf-8"
    )
    assert read_pins(tmp_path / "list.txt") == {"torch": "2.8.0", "tomli": "2.5.0"}
    pins = read_pins(ROOT / "tools" / "requirements.txt") | read_pins(ROOT / "tools" / "requirements-dev.txt")
    assert {package.distribution for package in PACKAGES} <= set(pins)


def test_what_a_missing_package_disables(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "small.yaml").write_text("# not s3prl\nencoder: separable_conv\n", encoding="utf-8")
    (tmp_path / "conf" / "model" / "large.yaml").write_text("# XLS-R\nfrontend: s3prl\n", encoding="utf-8")
    for name, options in {"one": "--model small --corpus mini", "two": "--corpus common_voice --model=large"}.items():
        (tmp_path / "egs" / name).mkdir(parents=True)
        (tmp_path / "egs" / name / "run.sh").write_text(f"exec ../../run.sh {options}\n", encoding="utf-8")
    assert model_needs(tmp_path / "conf" / "model" / "large.yaml") == ["s3prl"]
    assert not any(enabled(set(), tmp_path).values())
    assert enabled({"s3prl", "babel"}, tmp_path) == {
        "--model large": ["s3prl"],
        "--model small": [],
        "--corpus mini": ["babel"],
        "egs/one/run.sh": ["babel"],
        "egs/two/run.sh": ["s3prl"],
    }
    assert enabled({"torch"}, tmp_path)["--model small"] == ["torch"]
