from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.decoding.decode import check_config, decode_sets
from asr_dro.errors import UserError
from asr_dro.training.run import train
from tests.training.runs import write_noise_set, write_run

GREEDY = "search: greedy\nseconds_per_batch: 60\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("search: beam\nseconds_per_batch: 60\n", "search is 'beam'; allowed: greedy"),
        ("search: greedy\nseconds_per_batch: 0\n", "above 0, not 0"),
        ("search: greedy\nseconds_per_batch: many\n", "above 0, not 'many'"),
        (GREEDY + "beam_size: 3\n", "beam_size is not a key"),
    ],
)
def test_mistakes_in_the_configuration_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(UserError) as caught:
        check_config(tmp_path / "mine.yaml")
    assert message in str(caught.value)


def test_an_unfinished_training_is_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "greedy.yaml").write_text(GREEDY)
    with pytest.raises(UserError, match="run stage 4 first"):
        decode_sets(tmp_path, tmp_path / "exp", tmp_path / "greedy.yaml", nj=1, ngpu=0)


def test_the_size_of_batches_and_the_number_of_readers_change_no_hypothesis(tmp_path: Path) -> None:
    noise_set = write_noise_set(tmp_path)
    experiment = write_run(tmp_path / "exp", more="--max_epoch 1 --average_best 1 --use_tensorboard false")
    train(noise_set, experiment, ngpu=0)
    texts = {}
    for name, seconds, nj in (("alone", 0.1, 1), ("together", 60, 1), ("readers", 60, 3)):
        (tmp_path / f"{name}.yaml").write_text(f"search: greedy\nseconds_per_batch: {seconds}\n")
        paths = decode_sets(noise_set, experiment, tmp_path / f"{name}.yaml", nj=nj, ngpu=0)
        texts[name] = [path.read_text() for path in paths]
    assert texts["alone"] == texts["together"] == texts["readers"]
    assert len(texts["alone"][0].splitlines()) == 12
