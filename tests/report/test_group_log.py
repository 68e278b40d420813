from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr_dro.errors import UserError
from asr_dro.report.group_log import read_updates


def write(path: Path, updates: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(update) + "\n" for update in updates), encoding="utf-8")
    return path


def update(number: int, loss: dict[str, float | None]) -> dict[str, Any]:
    return {"update": number, "q": {"a": number / 10}, "loss": loss, "visits": {"a": 1, "b": 2}}


def test_a_short_log_is_read_as_it_is(tmp_path: Path) -> None:
    updates = [update(n, {"a": 1.0, "b": None}) for n in range(1, 6)]
    assert read_updates(write(tmp_path / "log", updates), 5) == updates
    assert read_updates(tmp_path / "none") == []


def test_neighbours_in_a_long_log_are_merged(tmp_path: Path) -> None:
    losses: list[dict[str, float | None]] = [{"a": 1, "b": None}, {"a": 3, "b": 8}, {"a": None}, {"a": 7.0}, {"a": 5}]
    updates = [update(n, loss) for n, loss in enumerate(losses, start=1)]
    assert read_updates(write(tmp_path / "log", updates), 3) == [
        {"update": 2, "q": {"a": 0.2}, "loss": {"a": 2, "b": 8}, "visits": {"a": 2, "b": 4}, "n_updates": 2},
        {"update": 4, "q": {"a": 0.4}, "loss": {"a": 7}, "visits": {"a": 2, "b": 4}, "n_updates": 2},
        {"update": 5, "q": {"a": 0.5}, "loss": {"a": 5}, "visits": {"a": 1, "b": 2}, "n_updates": 1},
    ]


@pytest.mark.parametrize("n_updates", [99, 100, 101, 250])
def test_no_more_records_than_asked_for_and_nothing_lost(tmp_path: Path, n_updates: int) -> None:
    log = write(tmp_path / "log", [update(n, {"a": float(n)}) for n in range(1, n_updates + 1)])
    records = read_updates(log, 100)
    assert len(records) <= 100
    assert records[-1]["update"] == n_updates
    assert sum(record["visits"]["a"] for record in records) == n_updates


def test_a_line_cut_off_by_a_kill_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    log = write(tmp_path / "log", [update(1, {}), update(2, {})])
    with open(log, "a", encoding="utf-8") as file:
        file.write('{"update": 3, "q"')
    assert [record["update"] for record in read_updates(log)] == [1, 2]
    with open(log, "a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(UserError, match="log:3: not JSON"):
        read_updates(log)
