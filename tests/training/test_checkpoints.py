from __future__ import annotations

import json
import multiprocessing
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.errors import UserError
from asr_dro.experiment import SELECTION
from asr_dro.training import checkpoints


def record(epoch: int, mean: float | None, worst: float | None = 0.5, loss: float | None = 1.0) -> dict[str, Any]:
    dev = {"cer": {"mean": mean, "worst": worst}, "loss": loss, "loss_by_group": {"a": loss, "b": None}}
    return {"epoch": epoch, "dev": dev}


def test_epochs_are_ranked_by_the_chosen_measure() -> None:
    history = [record(1, 0.3, 0.9), record(2, 0.2, 0.8), record(3, 0.25, 0.4)]
    assert [epoch for _, epoch in checkpoints.rank_epochs(history, "mean_cer")] == [2, 3, 1]
    assert [epoch for _, epoch in checkpoints.rank_epochs(history, "worst_cer")] == [3, 2, 1]


def test_an_epoch_without_a_value_comes_last_and_ties_go_to_the_later() -> None:
    history = [record(1, None), record(2, 0.2), record(3, 0.2)]
    assert [epoch for _, epoch in checkpoints.rank_epochs(history, "mean_cer")] == [3, 2, 1]


def test_without_text_wrong_languages_rank_epochs(tmp_path: Path) -> None:
    history = [record(1, None, None), record(2, None, None)]
    for entry, mean, worst in zip(history, (0.2, 0.3), (0.9, 0.4), strict=True):
        entry["dev"]["lid_error"] = {"mean": mean, "worst": worst}
        checkpoints.save(tmp_path / checkpoints.epoch_name(entry["epoch"]), {"w": torch.tensor([1.0])})
    assert [epoch for _, epoch in checkpoints.rank_epochs(history, "mean_cer")] == [1, 2]
    assert [epoch for _, epoch in checkpoints.rank_epochs(history, "worst_cer")] == [2, 1]
    checkpoints.write_final_model(tmp_path, history, select_by="worst_cer", count=1)
    selection = json.loads((tmp_path / SELECTION).read_text(encoding="utf-8"))
    assert (selection["select_by"], selection["averaged"]) == (
        "worst_lid_error",
        [{"epoch": 2, "worst_lid_error": 0.4}],
    )


def test_average_of_floats_but_not_of_counters_nor_of_the_objective() -> None:
    """ESPnet 202511 adds up integers and aliases its inputs."""
    first = {
        "w": torch.tensor([1.0, 3.0]),
        "steps": torch.tensor(7),
        "objective.relative_weights": torch.tensor([2.0, 0.0]),
    }
    second = {
        "w": torch.tensor([3.0, 5.0]),
        "steps": torch.tensor(9),
        "objective.relative_weights": torch.tensor([0.0, 2.0]),
    }
    averaged = checkpoints.average([first, second])
    assert averaged["w"].tolist() == [2.0, 4.0]
    assert averaged["steps"].item() == 7
    assert averaged["objective.relative_weights"].tolist() == [2.0, 0.0]
    assert first["w"].tolist() == [1.0, 3.0], "the inputs must stay as they were"


def test_only_the_best_weights_are_kept(tmp_path: Path) -> None:
    history = [record(1, 0.3), record(2, 0.1), record(3, 0.2)]
    for epoch in (1, 2, 3):
        checkpoints.save(tmp_path / checkpoints.epoch_name(epoch), {"w": torch.tensor([float(epoch)])})
    assert checkpoints.keep_best(tmp_path, history, select_by="mean_cer", count=2) == [2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch0002.pt", "epoch0003.pt"]
    model = checkpoints.write_final_model(tmp_path, history, select_by="mean_cer", count=2)
    assert checkpoints.load(model)["w"].tolist() == [2.5]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(UserError, match=r"last\.pt cannot be read"):
        checkpoints.load(path)


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"w": Harmful()}, tmp_path / "last.pt")
    with pytest.raises(UserError):
        checkpoints.load(tmp_path / "last.pt")
    assert not (tmp_path / "harm").exists()


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, {"w": torch.tensor([1.0])})

    def fail(state: object, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(path, {"w": torch.tensor([2.0])})
    assert checkpoints.load(path)["w"].tolist() == [1.0]
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def save_on_a_full_disk(path: Path, queue: multiprocessing.Queue[str]) -> None:
    """Write a checkpoint where files end at 200,000 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        checkpoints.save(path, {"weights": torch.zeros(1_000_000)})
    except OSError as error:
        queue.put(str(error))


def test_a_full_disk_leaves_the_previous_checkpoint_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, {"weights": torch.ones(3)})
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=save_on_a_full_disk, args=(path, queue))
    process.start()
    message = queue.get(timeout=60)
    process.join(timeout=60)
    assert "last.pt cannot be written" in message
    assert "GB are free there" in message
    assert checkpoints.load(path)["weights"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path], "nothing half-written is left"
