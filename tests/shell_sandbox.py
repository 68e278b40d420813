"""The repository's shell in a folder of its own, with a recorder in the place of python3."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHELL_PARTS = ("run.sh", "path.sh", "db.sh", "utils", "tools", "conf", "local", "egs", "asr_dro/data/languages.tsv")
CORPUS_VARIABLES = ("MINI", "COMMON_VOICE", "ML_SUPERB", "MANIFEST", "HF_DATASET")
RECORDER = """#!/usr/bin/env bash
printf '%s\\0' "$@" >>"${CALLS}"
printf '\\n\\0' >>"${CALLS}"
"""


@dataclass(frozen=True)
class Sandbox:
    """A copy of the shell parts in ``root``; what the scripts call is noted in ``calls_file``."""

    root: Path
    calls_file: Path
    environment: dict[str, str]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a line of bash in the copy's root."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.root, env=self.environment, text=True, capture_output=True, check=False
        )

    def calls(self) -> list[list[str]]:
        """Return the arguments of each call of python3 so far."""
        recorded = self.calls_file.read_text(encoding="utf-8") if self.calls_file.exists() else ""
        return [call.removesuffix("\0").split("\0") for call in recorded.split("\n\0") if call]


def _ignore_results(folder: str, names: list[str]) -> set[str]:
    """Leave out the data and experiments of runs made in a recipe, which are large; conf/data is a choice."""
    results = set() if Path(folder).name == "conf" else {"data", "exp", "downloads", "__pycache__"}
    return results & set(names)


def make_sandbox(folder: Path) -> Sandbox:
    """Copy the shell parts to ``folder`` and set the recorder up."""
    root = folder / "a repository"
    for part in SHELL_PARTS:
        source, target = ROOT / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=_ignore_results)
        else:
            shutil.copy2(source, target)
    python = folder / "environment" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(RECORDER, encoding="utf-8")
    python.chmod(0o755)
    calls_file = folder / "calls"
    dropped = (*CORPUS_VARIABLES, "ASR_DRO_ROOT")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    return Sandbox(root, calls_file, environment | {"ASR_DRO_PYTHON": str(python), "CALLS": str(calls_file)})
