"""Losses of references: the same as one utterance at a time without padding, and none where there can be none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_dro.analysis.losses import LOG, losses_of_split
from asr_dro.analysis.state import LOSSES
from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.data.lengths import make_lengths, make_tokens
from asr_dro.data.packed_columns import read_integers
from asr_dro.data.tokens import read_token_list
from asr_dro.errors import UserError
from tests.decoding.experiments import arguments_of, speech, write_audio, write_experiment

SECONDS = (1.0, 2.3, 0.7, 3.1, 1.6)


@dataclass
class Made:
    """A set and a model with random weights for it; of the test utterances one is too long a text, one no audio."""

    data: Path
    exp: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("align")
    for split in ("train", "dev", "test"):
        utterances = []
        for index, seconds in enumerate(SECONDS):
            name = f"fin-{split}-{index}"
            path = write_audio(root / "audio" / f"{name}.wav", speech(seconds, seed=index))
            utterances.append(Utterance(name, str(path), "abc de" + "fgh" * index, name, "fin", "fin", seconds))
        if split == "test":
            (root / "audio" / "bad.wav").write_bytes(b"nothing")
            audio = str(root / "audio" / "fin-test-0.wav")
            utterances.append(Utterance("fin-x-long", audio, "abcdefgh" * 40, "fin-x", "fin", "fin", 1.0))
            bad = str(root / "audio" / "bad.wav")
            utterances.append(Utterance("fin-y-bad", bad, "abc", "fin-y", "fin", "fin", 1.0))
        write_data_dir(root / "data" / split, utterances)
    make_tokens(root / "data")
    make_lengths(root / "data")
    arguments = arguments_of(tokens=read_token_list(root / "data" / "tokens.txt"))
    return Made(root / "data", write_experiment(root / "exp", arguments))


def test_losses_equal_those_of_single_utterances(made: Made) -> None:
    from asr_dro.data.audio_reading import read_audio
    from asr_dro.decoding.model_loading import load_model

    decode_dir = made.exp / "decode_greedy"
    found = losses_of_split(made.data, made.exp, decode_dir, "test", align=True)
    assert found is not None
    assert found.infeasible == {"fin-x-long"}
    model = load_model(made.exp, torch.device("cpu"))
    utt_ids, labels = read_integers(made.data / "test" / "token_ids")
    expected = {}
    for position in range(len(SECONDS)):
        name = utt_ids[position]
        samples = read_audio(str(made.data.parent / "audio" / f"{name}.wav"), round(SECONDS[position] * 16000))
        with torch.no_grad():
            logits, _ = model.ctc_logits(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
            target = torch.from_numpy(np.asarray(labels[position]))[None]
            loss = torch.nn.functional.ctc_loss(
                logits.log_softmax(-1).transpose(0, 1),
                target,
                torch.tensor([logits.size(1)]),
                torch.tensor([target.size(1)]),
                reduction="sum",
            )
        expected[name] = float(loss) / target.size(1)
    assert found.per_label == pytest.approx(expected, rel=1e-4)
    assert (decode_dir / "test" / LOSSES).exists()
    assert (decode_dir / LOG).exists()
    again = losses_of_split(made.data, made.exp, decode_dir, "test", align=False)
    assert again is not None
    assert again.infeasible == found.infeasible
    assert again.per_label == found.per_label


def test_a_hybrid_has_the_loss_that_it_was_trained_with(made: Made, tmp_path: Path) -> None:
    """One utterance at a time, without padding."""
    from asr_dro.data.audio_reading import read_audio
    from asr_dro.decoding.model_loading import load_model

    arguments = arguments_of("separable_conv_hybrid", tokens=read_token_list(made.data / "tokens.txt"))
    arguments["model_conf"] = {**arguments["model_conf"], "ctc_weight": 0.3}
    exp = write_experiment(tmp_path / "exp", arguments)
    found = losses_of_split(made.data, exp, exp / "decode_joint", "test", align=True)
    assert found is not None
    model = load_model(exp, torch.device("cpu"))
    assert model.decoder is not None and model.ctc is not None
    utt_ids, labels = read_integers(made.data / "test" / "token_ids")
    expected = {}
    for position, seconds in enumerate(SECONDS):
        utt_id, ids = utt_ids[position], labels[position]
        samples = read_audio(str(made.data.parent / "audio" / f"{utt_id}.wav"), round(seconds * 16000))
        batch = {
            "speech": torch.from_numpy(samples)[None],
            "speech_lengths": torch.tensor([len(samples)]),
            "text": torch.from_numpy(np.asarray(ids))[None].long(),
            "text_lengths": torch.tensor([len(ids)]),
            "unreadable": torch.zeros(1, dtype=torch.bool),
        }
        with torch.no_grad():
            expected[utt_id] = float(model.utterance_losses(batch)[0]) / len(ids)
    assert found.per_label == pytest.approx(expected, rel=1e-4)


def test_another_vocabulary_is_refused(made: Made, tmp_path: Path) -> None:
    tokens = [*read_token_list(made.data / "tokens.txt")[:-1], "z", "<sos/eos>"]
    exp = write_experiment(tmp_path / "exp", arguments_of(tokens=tokens))
    with pytest.raises(UserError, match="is not the vocabulary of the model"):
        losses_of_split(made.data, exp, exp / "decode_greedy", "test", align=True)
    assert not (exp / "decode_greedy" / "test" / LOSSES).exists()
