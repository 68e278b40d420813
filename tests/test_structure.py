"""The budgets and boundaries of the design: small files, short functions, one seam with ESPnet."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell_sandbox import ROOT

PACKAGE = sorted(ROOT.glob("asr_dro/**/*.py"))
MODULES = [*PACKAGE, *sorted(ROOT.glob("tools/*.py")), *sorted(ROOT.glob("tests/**/*.py"))]
LIGHT_STAGES = (
    "make_mini_corpus",
    "prepare_data",
    "make_tokens",
    "make_lengths",
    "score",
    "collect",
    "report",
    "analyze",
)


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    assert function.end_lineno is not None
    docstring = function.body[0] if ast.get_docstring(function) else None
    documented = 0 if docstring is None or docstring.end_lineno is None else docstring.end_lineno - docstring.lineno + 1
    return function.end_lineno - function.lineno + 1 - documented


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_budget(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert code_lines(node) <= 40, f"{node.name} is long"


def imported(module: Path) -> set[str]:
    """Return the modules that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


def test_only_the_seam_imports_espnet_tasks() -> None:
    importers = [path.name for path in PACKAGE if any(name.startswith("espnet2.tasks") for name in imported(path))]
    assert importers == ["task.py"]


@pytest.mark.parametrize("stage", LIGHT_STAGES)
def test_light_stages_never_wait_for_torch(stage: str) -> None:
    """Import the stage and what its main() imports; torch and ESPnet take seconds and must not come along."""
    names = {name for name in imported(ROOT / "asr_dro" / "bin" / f"{stage}.py") if name.startswith("asr_dro.")}
    modules = sorted(name for name in names if (ROOT / name.replace(".", "/")).with_suffix(".py").is_file())
    code = f"import asr_dro.bin.{stage}, {', '.join(modules)}, sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    loaded = set(result.stdout.split())
    assert f"asr_dro.bin.{stage}" in loaded
    assert not loaded & {"torch", "espnet2", "pandas", "s3prl", "transformers"}
