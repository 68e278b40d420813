"""The key ``augmentation``: mistakes are named together, before any work."""

from __future__ import annotations

import re

import pytest
import yaml

from asr_dro.config import REPOSITORY, compose, compose_run
from asr_dro.errors import UserError
from asr_dro.training.augmentation import AugmentationConfig, NoiseConfig, check_augmentation


def test_defaults_and_complete_options() -> None:
    assert not check_augmentation({})
    assert not check_augmentation({"speed": None, "noise": None})
    assert check_augmentation({"speed": [1]}) == AugmentationConfig(speed=(1,))
    found = check_augmentation({"noise": {"folder": "noise", "snr_db": [0, 10]}})
    assert found == AugmentationConfig(noise=NoiseConfig("noise", (0, 10), 0.5))
    assert found


@pytest.mark.parametrize(
    "speed", [[], 0.9, "0.9", [0.9, "1"], [True], [0.4], [2.1], [float("nan")], {"a": 1}, [[0.9]], "[0.9, 1.0]"]
)
def test_wrong_speeds(speed: object) -> None:
    with pytest.raises(UserError, match=r"speed is .*such as \[0\.9, 1\.0, 1\.1\]"):
        check_augmentation({"speed": speed})


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("musan", "noise is 'musan'; give folder"),
        ({}, "noise.folder is None"),
        ({"folder": 3}, "noise.folder is 3"),
        ({"folder": "x", "snr_db": 5}, "noise.snr_db is 5"),
        ({"folder": "x", "snr_db": [20, 5]}, "noise.snr_db is"),
        ({"folder": "x", "snr_db": [5, 10, 20]}, "noise.snr_db is"),
        ({"folder": "x", "snr_db": [5, float("inf")]}, "noise.snr_db is"),
        ({"folder": "x", "probability": 1.5}, "noise.probability is 1.5"),
        ({"folder": "x", "probability": True}, "noise.probability is True"),
        ({"folder": "x", "snr": [5, 20]}, "noise.snr is not a key; did you mean snr_db?"),
    ],
)
def test_wrong_noise(noise: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        check_augmentation({"noise": noise})
    assert message in str(caught.value)


def test_all_mistakes_of_a_run_at_once() -> None:
    mistakes = (
        "--augmentation speed=[9] --augmentation.noise.folder= --augmentation.noise.probability=2 "
        "--augmentation reverb=1 --max_epoch 0"
    )
    with pytest.raises(UserError) as caught:
        compose_run("separable_conv", "ctc", seed=1, train_args=mistakes)
    for part in ("speed is [9]", "noise.folder", "noise.probability", "reverb is not a key", "max_epoch"):
        assert part in str(caught.value)
    with pytest.raises(UserError, match="augmentation must be dict, not 'speed'"):
        compose_run("separable_conv", "ctc", seed=1, train_args="--augmentation speed")


def test_written_on_the_command_line() -> None:
    words = "--augmentation speed=[0.9,1.0,1.1] --augmentation.noise.folder /noise --augmentation.noise.snr_db=[5,15]"
    config = compose_run("separable_conv", "ctc", seed=1, train_args=words)
    found = check_augmentation(config["augmentation"])
    assert found == AugmentationConfig((0.9, 1.0, 1.1), NoiseConfig("/noise", (5, 15)))


def test_the_documented_example_is_one() -> None:
    text = (REPOSITORY / "conf" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(augmentation:.*?)```", text, flags=re.DOTALL)
    config = compose([compose_run("separable_conv", "ctc", seed=1), yaml.safe_load(example)])
    assert check_augmentation(config["augmentation"]).noise == NoiseConfig("/corpora/musan/noise")
    assert config["specaug_conf"]["num_time_mask"] == 2
