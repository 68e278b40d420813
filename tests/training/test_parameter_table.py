"""The table of parameters against PyTorch's own counts."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from asr_dro.training.finetuning import RateOptions
from asr_dro.training.freezing import FreezeSchedule
from asr_dro.training.optimization import build_optimizer
from asr_dro.training.parameter_table import Row, format_table, parameter_rows, record_parameters
from asr_dro.training.schedules import TriStageLR
from tests.training.pretrained_runs import build_model


def count(module: nn.Module, *, learning: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not learning)


def test_numbers_are_those_of_pytorch(noise_set: Path, tiny_xlsr: Path, tmp_path: Path) -> None:
    model = build_model(noise_set, tiny_xlsr, tmp_path, more="--lora rank=4")
    optimizer = build_optimizer(model, torch.optim.Adam, {"lr": 0.25}, RateOptions(layer_decay=0.5))
    freezing = FreezeSchedule(model, ["encoder.model.encoder.layers.0.*"])
    freezing.apply(0)
    rows = {row.part: row for row in parameter_rows(model, optimizer, freezing.never)}
    network = model.encoder.model
    expected = {
        "all": model,
        "encoder": network,
        "  model.feature_extractor": network.feature_extractor,
        "  model.feature_projection": network.feature_projection,
        "  model.encoder": network.encoder,
        "ctc": model.ctc,
    }
    for part, module in expected.items():
        assert (rows[part].total, rows[part].learning) == (count(module), count(module, learning=True)), part
        assert rows[part].frozen == rows[part].total - rows[part].learning
    assert set(rows) == {*expected, "  model.masked_spec_embed"}
    assert rows["  model.masked_spec_embed"] == Row("  model.masked_spec_embed", 32, 0, None)
    assert rows["  model.encoder"].rates == (0.25 / 4, 0.25 / 2), "the lowest layer has adapters, but rests"
    assert rows["all"].rates == (0.25 / 4, 0.25)


def test_rates_are_those_before_a_schedule() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(3, 2), "ctc": nn.Linear(2, 2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    TriStageLR(optimizer, 100)
    assert optimizer.param_groups[0]["lr"] < 0.01
    assert [row.rates for row in parameter_rows(model, optimizer, set())] == [(0.5, 0.5)] * 3


def test_shared_weights_count_once() -> None:
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"encoder": shared, "decoder": shared})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    assert parameter_rows(model, optimizer, set())[0].total == 20


def test_the_table_is_aligned_and_readable() -> None:
    rows = [Row("all", 1_234_567, 34_567, (1e-5, 3e-4)), Row("ctc", 10, 0, None), Row("encoder", 5, 5, (0.1, 0.1))]
    assert format_table(rows).splitlines() == [
        "part     parameters   learn     frozen    learning rate",
        "all       1,234,567  34,567  1,200,000  1e-05 to 0.0003",
        "ctc              10       0         10                -",
        "encoder           5       5          0              0.1",
    ]


def test_it_is_logged_and_its_sums_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(3, 2), "ctc": nn.Linear(2, 2)})
    freezing = FreezeSchedule(model, ["encoder.bias"], freeze_updates=7)
    path = tmp_path / "environment.json"
    path.write_text('{"commit": "abc"}', encoding="utf-8")
    with caplog.at_level(logging.INFO):
        record_parameters(model, torch.optim.SGD(model.parameters(), lr=0.5), freezing, path)
    assert json.loads(path.read_text()) == {"commit": "abc", "parameters": {"total": 14, "learning": 12, "frozen": 2}}
    assert "encoder" in caplog.text
    assert "in the first 7 updates only the 6 parameters of the head learn" in caplog.text
