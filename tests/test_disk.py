from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from asr_dro.disk import check_room, size_of
from asr_dro.errors import UserError
from asr_dro.training import checkpoints


def test_what_does_not_fit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_room(tmp_path / "not" / "yet", free / 2, "it")
    with pytest.raises(UserError, match=r"it needs .* GB in .*not/yet, where .* GB are free.*--exp-dir"):
        check_room(tmp_path / "not" / "yet", free * 2 + 1e9, "it")


def test_the_room_for_checkpoints_is_what_they_take(tmp_path: Path) -> None:
    """Against the files of a training at its worst moment, written for real."""
    model = torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.Linear(300, 300))
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam(p for p in model.parameters() if p.requires_grad)
    model(torch.ones(1, 300)).sum().backward()
    optimizer.step()
    whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    for name in ("last.pt", "last.pt.tmp"):
        checkpoints.save(tmp_path / name, whole)
    for name in ("epoch1.pt", "epoch2.pt", "epoch3.pt", "model.pt"):  # two best, a new one, the final model
        checkpoints.save(tmp_path / name, model.state_dict())
    taken = size_of(tmp_path, "*")
    assert taken * 0.97 < checkpoints.room_needed(model, average_best=2) < taken
