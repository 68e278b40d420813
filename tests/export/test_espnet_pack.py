from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from asr_dro.data.config import TokenConfig
from asr_dro.data.pieces import Pieces
from asr_dro.data.tokens import decode
from asr_dro.decoding.greedy import ctc_greedy
from asr_dro.decoding.model_loading import load_model
from asr_dro.errors import UserError
from asr_dro.export.espnet_pack import problems
from asr_dro.export.export import export
from tests.decoding.experiments import arguments_of, speech, write_experiment

STOCK = {
    "encoder": "transformer",
    "encoder_conf": {"output_size": 16, "attention_heads": 2, "linear_units": 16, "num_blocks": 1},
    "normalize": "utterance_mvn",
    "normalize_conf": {},
}


def test_espnets_inference_gives_the_same_frames_and_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from espnet2.bin.asr_inference import Speech2Text
    from espnet2.main_funcs.pack_funcs import unpack

    experiment = write_experiment(tmp_path / "exp", arguments_of() | STOCK)
    export(experiment, tmp_path / "model.zip", "espnet")
    unpacked = unpack(tmp_path / "model.zip", tmp_path / "unpacked")
    recognize: Any = Speech2Text(**unpacked, ctc_weight=1.0, beam_size=3)
    assert type(recognize.asr_model).__name__ == "ESPnetASRModel"
    model = load_model(experiment, torch.device("cpu"))
    samples = speech(2, seed=0)
    batch, lengths = torch.from_numpy(samples)[None], torch.tensor([len(samples)])
    with torch.no_grad():
        encoded, frames = recognize.asr_model.encode(batch, lengths)
        logits = recognize.asr_model.ctc.ctc_lo(encoded)
    torch.testing.assert_close(logits, model.ctc_logits(batch, lengths)[0], atol=1e-5, rtol=1e-5)
    assert ctc_greedy(logits, frames) == model.greedy(batch, lengths)
    text, tokens, labels, _ = recognize(samples)[0]
    assert text and set(text.replace("<space>", " ")) <= set(" abcdefgh[]finkat<uk>so/e")
    assert [model.token_list[label] for label in labels] == tokens


def test_nothing_of_the_machine_is_in_the_pack(tmp_path: Path) -> None:
    arguments = arguments_of() | STOCK | {"data_set": str(tmp_path / "set"), "output_dir": str(tmp_path / "exp")}
    export(write_experiment(tmp_path / "exp", arguments), tmp_path / "a.zip", "espnet")
    first = (tmp_path / "a.zip").read_bytes()
    export(tmp_path / "exp", tmp_path / "a.zip", "espnet", overwrite=True)
    assert (tmp_path / "a.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert sorted(archive.namelist()) == ["README.md", "exp/config.yaml", "exp/model.pth", "meta.yaml"]
        for name in archive.namelist():
            assert str(tmp_path).encode() not in archive.read(name), name
        config = yaml.safe_load(archive.read("exp/config.yaml"))
        assert config["model"] == "espnet" and config["model_conf"] == {"ctc_weight": 1.0}
        archive.extract("exp/model.pth", tmp_path)
    state = torch.load(tmp_path / "exp" / "model.pth", weights_only=True)
    assert state and not [name for name in state if name.startswith("objective.")]


def test_pieces_of_words_bring_their_model(tmp_path: Path) -> None:
    from espnet2.bin.asr_inference import Speech2Text
    from espnet2.main_funcs.pack_funcs import unpack

    tokens, model_bytes = spoken_pieces()
    arguments = arguments_of(tokens=tokens) | STOCK | {"data_set": str(tmp_path / "set")}
    assert problems(arguments) == [
        f"its tokens are pieces of words, and {tmp_path}/set/spm.model, which ESPnet needs, is missing"
    ]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "spm.model").write_bytes(model_bytes)
    export(write_experiment(tmp_path / "exp", arguments), tmp_path / "model.zip", "espnet")
    recognize: Any = Speech2Text(**unpack(tmp_path / "model.zip", tmp_path / "unpacked"), ctc_weight=1.0)
    pieces = Pieces(model_bytes)
    labels = [piece + 2 for piece in pieces.encode("abba cab") if piece is not None]
    shown = recognize.tokenizer.tokens2text([tokens[label] for label in labels])
    assert shown == decode(labels, tokens)[1] == "abba cab"


def spoken_pieces() -> tuple[list[str], bytes]:
    from asr_dro.data import pieces
    from asr_dro.data.tokens import build_token_list

    sentences = [(f"fin-{n}", text, "fin") for n, text in enumerate(["abba cab", "a cab abba bab", "cab bab"] * 5)]
    config = TokenConfig("bpe", 12)
    model = pieces.train_pieces(lambda: sentences, {"fin": 150}, "abc", config)
    return build_token_list("", ["fin", "kat"], pieces=Pieces(model).names), model


def test_classes_of_ours_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        export(write_experiment(tmp_path / "exp"), tmp_path / "model.zip", "espnet")
    assert "normalize is per_utterance" in str(caught.value) and "encoder is separable_conv" in str(caught.value)
    assert not list(tmp_path.glob("model.zip*"))
    arguments = arguments_of() | STOCK
    assert problems(arguments) == []
    assert problems({**arguments, "token_list": ["!", "a", "<|startoftranscript|>"]}) == [
        "its tokens are Whisper's, which ESPnet numbers otherwise"
    ]


def test_a_hybrid_keeps_its_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ESPnet's class computes the same losses with the packed weights, and its joint search takes them."""
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
    from espnet2.bin.asr_inference import Speech2Text
    from espnet2.main_funcs.pack_funcs import unpack
    from espnet2.tasks.asr import decoder_choices

    monkeypatch.setitem(decoder_choices.classes, "transformer", TransformerDecoder)  # ours, once a training was built
    decoder = {"decoder": "transformer", "decoder_conf": {"attention_heads": 2, "linear_units": 8, "num_blocks": 1}}
    arguments = arguments_of() | STOCK | decoder
    arguments["model_conf"] = arguments["model_conf"] | {"ctc_weight": 0.4, "lsm_weight": 0.1}
    experiment = write_experiment(tmp_path / "exp", arguments)
    export(experiment, tmp_path / "model.zip", "espnet")
    recognize: Any = Speech2Text(**unpack(tmp_path / "model.zip", tmp_path / "unpacked"), ctc_weight=0.4, beam_size=3)
    theirs, ours = recognize.asr_model, load_model(experiment, torch.device("cpu"))
    assert type(theirs.decoder) is TransformerDecoder and theirs.ctc_weight == 0.4
    samples = speech(1, seed=0)
    batch, lengths = torch.from_numpy(samples)[None], torch.tensor([len(samples)])
    labels = torch.tensor([[9, 3, 4]])
    with torch.no_grad():
        frames, sizes = theirs.encode(batch, lengths)
        scores, _ = theirs.decoder(
            frames, sizes, torch.tensor([[len(ours.token_list) - 1, 9, 3, 4]]), torch.tensor([4])
        )
        found, _ = ours.decoder.utterance_losses(*ours.encode(batch, lengths), labels, torch.tensor([3]))
    targets = torch.tensor([9, 3, 4, len(ours.token_list) - 1])
    expected = torch.nn.functional.cross_entropy(scores[0], targets, reduction="sum")
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert recognize(samples)[0][2]
