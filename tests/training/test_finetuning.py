"""Options of fine-tuning: what is refused, together and before any work."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from asr_dro.config import compose_run
from asr_dro.errors import UserError
from asr_dro.training.finetuning import LoraOptions, check_finetuning


def test_all_mistakes_come_together() -> None:
    with pytest.raises(UserError) as caught:
        compose_run(
            "xlsr",
            "ctc",
            seed=1,
            train_args="--layer_decay 1.5 --head_lr_scale 0 --precision bfloat --lora rank=0 --lora target=[q_proj]",
        )
    for message in (
        "layer_decay must be above 0 and at most 1, not 1.5",
        "head_lr_scale must be above 0, not 0",
        "precision is 'bfloat'; allowed: fp32, bf16, fp16",
        "rank must be a whole number from 1, not 0",
        "target is not a key; did you mean targets?",
    ):
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "conf",
    [
        {"rank": 2.5},
        {"rank": True},
        {"alpha": 0},
        {"alpha": "much"},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"targets": "q_proj"},
        {"targets": []},
        {"targets": [1]},
        {"targets": None},
        {"learn": "encoder.*"},
    ],
)
def test_impossible_adapters_are_refused(conf: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(conf))):
        LoraOptions.from_mapping(conf)


def test_options_of_adapters_may_be_set_one_by_one_and_switched_off() -> None:
    config = compose_run("xlsr", "ctc", seed=1, train_args="--lora rank=4 --lora targets=[q_proj,k_proj]")
    assert LoraOptions.from_mapping(config["lora"]) == LoraOptions(rank=4, targets=("q_proj", "k_proj"))
    assert compose_run("xlsr", "ctc", seed=1, train_args="--lora null")["lora"] is None
    assert LoraOptions.from_mapping({}) == LoraOptions(rank=8, alpha=16, dropout=0.0, targets=("q_proj", "v_proj"))


def test_values_of_a_wrong_type_are_reported_once() -> None:
    with pytest.raises(UserError) as caught:
        compose_run("xlsr", "ctc", seed=1, train_args="--layer_decay fast --lora 3")
    assert str(caught.value).count("layer_decay") == 1
    assert "lora must be dict or null, not 3" in str(caught.value)


def test_checking_needs_no_torch() -> None:
    code = "import asr_dro.training.finetuning, sys; assert not {'torch', 'peft'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    check_finetuning({})
