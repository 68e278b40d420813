from __future__ import annotations

import argparse
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.data.packed_columns import read_strings
from asr_dro.decoding.decode import decode_sets
from asr_dro.decoding.model_loading import CLASSES, build_model, find_class, load_model, read_arguments
from asr_dro.decoding.results import Request
from asr_dro.decoding.transcribe import transcribe
from asr_dro.errors import UserError
from asr_dro.training.run import train
from tests.decoding.experiments import arguments_of, write_experiment
from tests.training.runs import write_noise_set, write_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("trained")
    noise_set = write_noise_set(folder)
    experiment = write_run(folder / "exp", more="--max_epoch 2 --average_best 1 --use_tensorboard false")
    train(noise_set, experiment, ngpu=0)
    return noise_set, experiment


def test_the_table_is_espnets() -> None:
    from espnet2.tasks import asr

    from asr_dro.task import register

    register()
    names = ("model", "frontend", "specaug", "normalize", "preencoder", "encoder", "postencoder", "decoder")
    tables = {name: getattr(asr, f"{name}_choices").classes for name in names}
    assert tables.keys() == CLASSES.keys()
    for option, names_of in CLASSES.items():
        for name in names_of:
            assert tables[option][name] is find_class(option, name), (option, name)
    for option, table in tables.items():
        ours = {name for name, found in table.items() if getattr(found, "__module__", "").startswith("asr_dro.")}
        assert ours <= CLASSES[option].keys(), f"{option}: a class of ours that loads slowly; add it to CLASSES"


def test_two_threads_that_load_at_once_leave_espnet_as_it_was(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins before the first ends, and ends after it; it once left mel bands of zeros behind."""
    from espnet2.layers import log_mel

    librosa, second_builds, first_is_done = log_mel.librosa, threading.Event(), threading.Event()

    def build_slowly(arguments: Any) -> Any:
        if threading.current_thread().name == "first":
            second_builds.wait(timeout=0.5)  # which a second thread cannot while it has to wait
        else:
            second_builds.set()
            first_is_done.wait(timeout=30)
        return build_model(arguments)

    monkeypatch.setattr("asr_dro.decoding.model_loading.build_model", build_slowly)
    arguments = (trained[1], torch.device("cpu"))
    first, second = (threading.Thread(target=load_model, args=arguments, name=name) for name in ("first", "second"))
    first.start()
    while log_mel.librosa is librosa and first.is_alive():  # until the first is inside
        first.join(timeout=0.01)
    second.start()
    first.join()
    first_is_done.set()
    second.join()
    assert log_mel.librosa is librosa


def test_a_trained_model_is_the_one_that_espnet_builds(trained: tuple[Path, Path]) -> None:
    from asr_dro.task import GroupRobustASRTask, register

    register()
    _, experiment = trained
    arguments = read_arguments(experiment)
    ours = load_model(experiment, torch.device("cpu"))
    theirs = GroupRobustASRTask.build_model(argparse.Namespace(**arguments)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert str(ours) == str(theirs)
    assert ours.token_list == theirs.token_list
    speech = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([16_000, 9_000])
    assert torch.equal(ours.ctc_logits(speech, lengths)[0], theirs.ctc_logits(speech, lengths)[0])
    assert ours.frontend.logmel.melmat.count_nonzero() > 100, "the mel bands are the checkpoint's"


def test_transcripts_of_a_test_set_are_its_hypotheses(trained: tuple[Path, Path], tmp_path: Path) -> None:
    noise_set, experiment = trained
    (tmp_path / "greedy.yaml").write_text("search: greedy\nseconds_per_batch: 60\n")
    hypotheses = decode_sets(noise_set, experiment, tmp_path / "greedy.yaml", nj=1, ngpu=0)[1].read_text().splitlines()
    utt_ids, paths = read_strings(noise_set / "test" / "wav.scp")
    transcribe(Request(experiment, list(paths), as_json=True, out_dir=tmp_path / "out", seconds_per_batch=3))
    for utt_id, path, line in zip(utt_ids, paths, hypotheses, strict=True):
        text = (tmp_path / "out" / f"{Path(path).stem}.txt").read_text().rstrip("\n")
        assert f"{utt_id} {text}".rstrip() == line
        content = json.loads((tmp_path / "out" / f"{Path(path).stem}.json").read_text())
        assert content["text"] in line
    assert len(hypotheses) == 12


TRANSFORMER = {"output_size": 16, "attention_heads": 2, "linear_units": 16, "num_blocks": 1}
E_BRANCHFORMER = {**TRANSFORMER, "cgmlp_linear_units": 16, "cgmlp_conv_kernel": 3}


@pytest.mark.parametrize(
    "parts",
    [
        {"encoder": "transformer", "encoder_conf": TRANSFORMER, "normalize": "utterance_mvn"},
        {"encoder": "conformer", "encoder_conf": TRANSFORMER, "specaug": "specaug",
         "specaug_conf": {"time_mask_width_range": [0, 5]}},
        {"encoder": "e_branchformer", "encoder_conf": E_BRANCHFORMER, "preencoder": "linear",
         "preencoder_conf": {"input_size": 40, "output_size": 24}},
    ],
)  # fmt: skip
def test_espnets_own_networks(tmp_path: Path, parts: dict[str, Any]) -> None:
    arguments = arguments_of() | parts
    model = load_model(write_experiment(tmp_path / "exp", arguments), torch.device("cpu"))
    assert type(model.encoder).__module__.startswith("espnet2.")
    logits, lengths = model.ctc_logits(torch.randn(1, 16_000), torch.tensor([16_000]))
    assert logits.shape == (1, int(lengths[0]), len(arguments["token_list"]))


def test_names_that_only_espnet_knows_go_through_its_task(trained: tuple[Path, Path]) -> None:
    arguments = read_arguments(trained[1])
    arguments |= {"encoder": "rnn", "encoder_conf": {"hidden_size": 8, "num_layers": 1, "output_size": 8}}
    assert type(build_model(arguments).encoder).__name__ == "RNNEncoder"


@pytest.mark.parametrize("content", ["token_list: tokens.txt\n", "- a list\n", "a: [\n"])
def test_a_damaged_configuration_is_named(tmp_path: Path, content: str) -> None:
    experiment = write_experiment(tmp_path / "exp")
    (experiment / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml (cannot be read|is not the configuration)"):
        load_model(experiment, torch.device("cpu"))
