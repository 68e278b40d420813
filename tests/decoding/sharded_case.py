"""A set, an experiment with random weights, and what an undisturbed decoding of it gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from asr_dro.decoding.decode import decode_sets
from asr_dro.decoding.parts import PARTS
from asr_dro.decoding.splits import Split
from asr_dro.experiment import DETAILS, HYPOTHESES

ALONE = "search: greedy\nseconds_per_batch: 0.1\n"  # a batch for each utterance
TIMES = ALONE + "times: true\n"


class Case:
    """A set, and an experiment of its own."""

    def __init__(self, prepared: tuple[Path, Path], folder: Path) -> None:
        self.data_set, self.experiment, self.folder = prepared[0], folder / "exp", folder
        shutil.copytree(prepared[1], self.experiment, ignore=shutil.ignore_patterns("decode_*"))

    def decode(self, name: str = "times", content: str = TIMES, **options: Any) -> dict[str, bytes]:
        """Decode, and return what there is by split and file."""
        config = self.folder / f"{name}.yaml"
        if not config.exists() or config.read_text() != content:
            config.write_text(content)
        decode_sets(self.data_set, self.experiment, config, **{"nj": 1, "ngpu": 0, **options})
        return self.files(name)

    def files(self, name: str = "times") -> dict[str, bytes]:
        folder = self.experiment / f"decode_{name}"
        paths = [folder / split / file for split in ("dev", "test") for file in (HYPOTHESES, DETAILS)]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.exists()}

    def parts(self, name: str = "times") -> list[Path]:
        return sorted((self.experiment / f"decode_{name}" / PARTS).glob("*.jsonl"))


def interrupted(case: Case, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Decode, and die before the merge."""
    with monkeypatch.context() as patch:
        patch.setattr(Split, "merge", lambda split: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            case.decode(**options)
