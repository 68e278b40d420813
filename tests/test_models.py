"""Every model of conf/model with every kind of objective trains, decodes and scores, on noise and with tiny weights.

All in one process, so the routes through s3prl and through fairseq's files are seen to live together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from asr_dro.config import REPOSITORY, compose_run, find_config, write_run_config
from asr_dro.data.packed_columns import read_strings
from asr_dro.decoding.decode import decode_sets
from asr_dro.decoding.transcription import Transcriber
from asr_dro.decoding.transcripts import Transcript
from asr_dro.experiment import ENVIRONMENT, EPOCHS, TRAIN_CONFIG
from asr_dro.scoring.stage import score_all
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.run import espnet_arguments, train
from tests.training.runs import LANGUAGES, write_noise_set
from tools.make_tiny_checkpoints import make_all

MODELS = sorted(path.stem for path in (REPOSITORY / "conf" / "model").glob("*.yaml"))
QUICK = "--max_epoch 1 --num_workers 0 --use_tensorboard false --batching.seconds_per_update 4"


class StandIn(NamedTuple):
    """How a model is made tiny.

    Attributes:
        options: ``--train-args``; ``{tiny}`` is the folder of tools/make_tiny_checkpoints.py.
        data: Name in conf/data of the labels it is trained on.
    """

    options: str
    data: str = "default"


STAND_INS = {
    "mms": StandIn("--encoder_conf checkpoint={tiny}/xlsr"),
    "mms_1b": StandIn("--encoder_conf checkpoint={tiny}/xlsr"),
    "separable_conv": StandIn("--encoder_conf channels=8 --encoder_conf blocks=1"),
    "separable_conv_hybrid": StandIn("--encoder_conf channels=8 --encoder_conf blocks=1 --decoder_conf linear_units=8"),
    "wav2vec2_fairseq": StandIn("--encoder_conf checkpoint={tiny}/xlsr.pt"),
    "whisper": StandIn("--encoder_conf checkpoint={tiny}/whisper", data="whisper"),
    "whisper_ctc": StandIn("--encoder_conf checkpoint={tiny}/whisper"),
    "xlsr": StandIn("--encoder_conf checkpoint={tiny}/xlsr"),
    "xlsr_s3prl": StandIn("--frontend_conf checkpoint={tiny}/xlsr"),
    "xlsr_s3prl_linear": StandIn("--frontend_conf checkpoint={tiny}/xlsr"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny checkpoints")
    make_all(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a data configuration to a prepared set of noise with labels of that kind."""
    made: dict[str, Path] = {}

    def prepare(data: str) -> Path:
        if data not in made:
            folder = tmp_path_factory.mktemp(data)
            made[data] = write_noise_set(folder, per_language=3, data_config=find_config("data", data))
        return made[data]

    return prepare


def test_every_model_has_a_stand_in() -> None:
    """A new file in conf/model needs a line in STAND_INS that makes it tiny."""
    assert sorted(STAND_INS) == MODELS


@pytest.mark.parametrize("objective", ["ctc", "ctc_dro"])
@pytest.mark.parametrize("model", MODELS)
def test_trains_decodes_and_scores(
    model: str, objective: str, tiny: Path, prepared: Callable[[str], Path], tmp_path: Path
) -> None:
    stand_in = STAND_INS[model]
    data_set = prepared(stand_in.data)
    options = f"{QUICK} {stand_in.options}".replace("{tiny}", f"'{tiny}'")
    config = compose_run(model, objective, seed=1, train_args=options)
    write_run_config(tmp_path / TRAIN_CONFIG, config)
    weights = torch.load(train(data_set, tmp_path, ngpu=0), weights_only=True)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    record = json.loads((tmp_path / EPOCHS).read_text().splitlines()[-1])
    assert record["updates"] >= 1
    assert math.isfinite(record["train"]["loss"])
    assert record["train"]["loss"] > 0
    used = json.loads((tmp_path / ENVIRONMENT).read_text())["checkpoints"]
    assert {Path(found["path"]).parent for found in used.values()} == ({tiny} if "checkpoint=" in options else set())

    decode = find_config("decode", "greedy")
    decode_sets(data_set, tmp_path, decode, nj=1, ngpu=0)
    scored = score_all(data_set, tmp_path / "decode_greedy")
    assert [one.split for one in scored] == ["dev", "test"]
    for one in scored:
        assert set(one.scores["cer"]["by_language"]) == set(LANGUAGES)
    hypotheses = (tmp_path / "decode_greedy" / "test" / "text").read_text(encoding="utf-8").splitlines()
    files = [Path(path) for path in read_strings(data_set / "test" / "wav.scp")[1]]
    transcripts = [outcome for _, outcome in Transcriber(tmp_path).transcribe(files)]
    assert [found.line() for found in transcripts if isinstance(found, Transcript)] == [
        hypothesis.partition(" ")[2] for hypothesis in hypotheses
    ]


@pytest.mark.parametrize(
    ("model", "search"),
    [("whisper", "attention"), ("separable_conv_hybrid", "attention"), ("separable_conv_hybrid", "joint")],
)
def test_models_with_a_decoder_search_with_it(
    model: str, search: str, tiny: Path, prepared: Callable[[str], Path], tmp_path: Path
) -> None:
    """From training to scores, under the likeliest languages and with their tokens alone."""
    data_set = prepared(STAND_INS[model].data)
    options = f"{QUICK} {STAND_INS[model].options}".replace("{tiny}", f"'{tiny}'")
    write_run_config(tmp_path / "exp" / TRAIN_CONFIG, compose_run(model, "ctc", seed=1, train_args=options))
    train(data_set, tmp_path / "exp", ngpu=0)
    conf = tmp_path / f"{search}.yaml"
    narrow = "beam_size: 2\nnbest: 2\nlanguages: 2\nlanguage_tokens: true\nmax_length_ratio: 0.2\n"
    conf.write_text(f"search: {search}\n{narrow}", encoding="utf-8")
    outputs = decode_sets(data_set, tmp_path / "exp", conf, nj=1, ngpu=0)
    assert all(path.read_text(encoding="utf-8").count("\n") == 6 for path in outputs)
    assert len(score_all(data_set, outputs[0].parent.parent)) == 2


def build(model: str, data_set: Path, tiny: Path, folder: Path) -> GroupRobustASRModel:
    """Return a model with random tiny weights in evaluation mode."""
    from asr_dro.task import GroupRobustASRTask

    options = f"{QUICK} {STAND_INS[model].options}".replace("{tiny}", f"'{tiny}'")
    config = compose_run(model, "ctc", seed=1, train_args=options)
    torch.manual_seed(0)
    built: GroupRobustASRModel = GroupRobustASRTask.build_model(espnet_arguments(config, data_set, folder, ngpu=0))
    built.eval()
    return built


@pytest.mark.parametrize("model", MODELS)
def test_frames_are_those_that_come_out(
    model: str, tiny: Path, prepared: Callable[[str], Path], tmp_path: Path
) -> None:
    """From one sample to two seconds: around every step of a frame, and far below the receptive field."""
    network = build(model, prepared(STAND_INS[model].data), tiny, tmp_path)
    steps = [*range(1, 2000, 211), *range(3000, 4000, 79), 16_000, 31_999, 32_000]
    for samples in steps:
        with torch.no_grad():
            out, lengths = network.encode(torch.randn(1, samples), torch.tensor([samples]))
        told = network.output_lengths(torch.tensor([samples]))
        assert told is not None, f"{model}: asr_dro/encoders/frames.py has no rule for one of its parts"
        assert out.size(1) == lengths.item() == told.item() >= 1, samples


@pytest.mark.parametrize("model", MODELS)
def test_padding_changes_no_utterance(model: str, tiny: Path, prepared: Callable[[str], Path], tmp_path: Path) -> None:
    network = build(model, prepared(STAND_INS[model].data), tiny, tmp_path)
    generator = torch.Generator().manual_seed(0)
    speech = torch.randn(5, 20_000, generator=generator)
    lengths = torch.tensor([20_000, 19_999, 7_321, 900, 37])
    padded = speech.masked_fill(torch.arange(20_000) >= lengths[:, None], 0.0)
    with torch.no_grad():
        together, frames = network.encode(padded, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone, own = network.encode(speech[row : row + 1, :length], lengths[row : row + 1])
            assert frames[row] == own[0]
            torch.testing.assert_close(together[row, : own[0]], alone[0], atol=1e-4, rtol=0.0)


def test_decoding_needs_no_pretrained_weights(tiny: Path, prepared: Callable[[str], Path], tmp_path: Path) -> None:
    """The folder of the pretrained weights may be gone once a model is trained."""
    (tmp_path / "weights").symlink_to(tiny / "xlsr")
    options = f"{QUICK} --frontend_conf checkpoint='{tmp_path}/weights'"
    config = compose_run("xlsr_s3prl", "ctc", seed=1, train_args=options)
    write_run_config(tmp_path / "exp" / TRAIN_CONFIG, config)
    train(prepared("default"), tmp_path / "exp", ngpu=0)
    (tmp_path / "weights").unlink()
    outputs = decode_sets(prepared("default"), tmp_path / "exp", find_config("decode", "greedy"), nj=1, ngpu=0)
    assert all(path.exists() for path in outputs)
