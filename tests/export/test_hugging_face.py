from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_dro.data.tokens import build_token_list, decode
from asr_dro.decoding.model_loading import build_model, load_model
from asr_dro.encoders.pretrained import add_architectures, find_checkpoints
from asr_dro.encoders.wav2vec2 import Wav2Vec2Encoder
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, MODEL
from asr_dro.export.export import export
from asr_dro.export.hugging_face import problems, vocabulary
from asr_dro.training import checkpoints
from tests.decoding.experiments import TOKENS, arguments_of, speech, write_experiment
from tools.make_tiny_checkpoints import make_wav2vec2

PIECES = build_token_list("", ["fin", "kat"], pieces=["[", "<", "\u2581", "\u2581a", "b", "\u2581cd", "efg", "|"])
WITH_DELIMITER = build_token_list(" ab|", ["fin"])
NO_BAR = [token for token in PIECES if token != "|"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_wav2vec2(folder / "xlsr", large=True)
    make_wav2vec2(folder / "base", large=False)
    return folder


def wav2vec2_arguments(checkpoint: Path, tokens: list[str], more: str = "") -> dict[str, Any]:
    arguments = arguments_of("xlsr", f"--encoder_conf checkpoint='{checkpoint}' {more}", tokens)
    return add_architectures(arguments, {"encoder": {"wav2vec2": Wav2Vec2Encoder}}, find_checkpoints(arguments))


def wav2vec2_experiment(folder: Path, checkpoint: Path, tokens: list[str], more: str = "") -> Path:
    """Write an experiment that never puts out what a trained model does not: tags later on, and the end's mark."""
    experiment = write_experiment(folder, wav2vec2_arguments(checkpoint, tokens, more))
    path = experiment / CHECKPOINTS / MODEL
    state = checkpoints.load(path)
    for label, token in enumerate(tokens):
        if (token.startswith("[") and len(token) > 1) or token == "<sos/eos>":
            state["ctc.ctc_lo.bias"][label] = -1e3
    checkpoints.save(path, state)
    return experiment


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [("xlsr", TOKENS), ("base", TOKENS), ("xlsr", PIECES), ("xlsr", NO_BAR), ("xlsr", WITH_DELIMITER)],
)
def test_the_pipeline_gives_the_same_text(tmp_path: Path, tiny: Path, kind: str, tokens: list[str]) -> None:
    from transformers import pipeline

    experiment = wav2vec2_experiment(tmp_path / "exp", tiny / kind, tokens)
    export(experiment, tmp_path / "out", "hf")
    recognize: Any = pipeline("automatic-speech-recognition", model=str(tmp_path / "out"))
    added = 0 if "<space>" in tokens else 1  # the sign between words, which no piece is
    assert len(recognize.tokenizer) == len(tokens) + added
    model = load_model(experiment, CPU)
    texts = set()
    for seed, seconds in enumerate([0.7, 2.0, 3.5]):
        samples = torch.from_numpy(speech(seconds, seed=seed))[None]
        (labels,) = model.greedy(samples, torch.tensor([samples.size(1)]))
        language, text = decode(labels, tokens)
        found = recognize(samples[0].numpy())["text"]
        assert " ".join(found.split()) == text.replace("|", "\N{DIVIDES}") and language is None
        texts.add(text)
    assert len(texts) == 3 and max(map(len, texts)) > 10


def test_logits_are_equal_and_tags_stand_before_the_text(tmp_path: Path, tiny: Path) -> None:
    from transformers import AutoModelForCTC, AutoProcessor

    experiment = write_experiment(tmp_path / "exp", wav2vec2_arguments(tiny / "xlsr", TOKENS))
    export(experiment, tmp_path / "out", "hf")
    model, exported = load_model(experiment, CPU), AutoModelForCTC.from_pretrained(tmp_path / "out")
    processor = AutoProcessor.from_pretrained(tmp_path / "out")  # type: ignore[no-untyped-call]
    samples = speech(3, seed=0)
    inputs = processor(samples, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected, _ = model.ctc_logits(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        found = exported(**inputs).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    tag, a, space = TOKENS.index("[kat]"), TOKENS.index("a"), TOKENS.index("<space>")
    assert processor.decode([tag, tag, 0, a, a, 0, a, space, 1, a]) == "[kat] aa \ufffda"
    random = found.argmax(dim=-1)[0]
    text = re.sub(r"\[\w+\] |<sos/eos>", "", processor.decode(random) + " ")
    labels = torch.unique_consecutive(random).tolist()
    assert " ".join(text.split()) == decode([label for label in labels if label], TOKENS)[1]


def test_adapters_are_merged(tmp_path: Path, tiny: Path) -> None:
    from transformers import AutoModelForCTC

    arguments = wav2vec2_arguments(tiny / "xlsr", TOKENS, "--lora.rank 2 --lora.alpha 4")
    assert arguments["lora"]["rank"] == 2
    experiment = write_experiment(tmp_path / "exp", arguments)
    path = experiment / CHECKPOINTS / MODEL
    state = checkpoints.load(path)
    adapters = [name for name in state if "lora_B" in name]
    assert adapters
    for name in adapters:
        state[name].normal_(generator=torch.Generator().manual_seed(0))
    checkpoints.save(path, state)
    export(experiment, tmp_path / "out", "hf")
    exported = AutoModelForCTC.from_pretrained(tmp_path / "out")
    assert not [name for name in exported.state_dict() if "lora" in name]
    samples = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1))
    samples = (samples - samples.mean()) / samples.std(correction=0)
    with torch.no_grad():
        expected, _ = load_model(experiment, CPU).ctc_logits(samples, torch.tensor([16_000]))
        plain = build_model({**arguments, "lora": None}).eval()
        plain.load_state_dict({n.replace("base_layer.", ""): t for n, t in state.items() if "lora_" not in n})
        torch.testing.assert_close(exported(samples).logits, expected, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(plain.ctc_logits(samples, torch.tensor([16_000]))[0], expected, atol=1e-2)


def test_the_vocabulary_has_no_token_twice() -> None:
    for tokens in (TOKENS, PIECES, WITH_DELIMITER):
        names = vocabulary(tokens)
        assert len(set(names)) == len(names) == len(tokens)
    assert vocabulary(TOKENS)[:3] == ["<blank>", "\ufffd", "|"]
    assert vocabulary(WITH_DELIMITER)[2:6] == ["|", "a", "b", "\N{DIVIDES}"]
    assert vocabulary(build_token_list("\ufffda", []))[1] == "<unk>"
    assert vocabulary(build_token_list("|\N{DIVIDES}", []))[3:5] == ["\N{BROKEN BAR}", "\N{DIVIDES}"]
    assert vocabulary(PIECES)[2:] == [
        "[",
        "<",
        " ",
        " a",
        "b",
        " cd",
        "efg",
        "\N{DIVIDES}",
        "[fin] ",
        "[kat] ",
        "<sos/eos>",
    ]


def test_what_transformers_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        export(write_experiment(tmp_path / "exp"), tmp_path / "out", "hf")
    for part in ("encoder is separable_conv", "a frontend, default", "a normalize, per_utterance", "xlsr, mms"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()
    base = {"input_size": 1, "encoder": "wav2vec2"}
    assert problems(base) == []
    assert problems({**base, "frontend": "default"}) == [], "ESPnet has no front end where there is an input size"
    assert len(problems({**base, "decoder": "whisper"})) == len(problems({**base, "preencoder": "linear"})) == 1


def test_faint_audio(tmp_path: Path, tiny: Path) -> None:
    """Fairseq adds 1e-5 to the variance of a waveform, transformers' extractor 1e-7: louder audio is alike."""
    experiment = wav2vec2_experiment(tmp_path / "exp", tiny / "xlsr", TOKENS)
    model = load_model(experiment, CPU)
    samples = torch.from_numpy(speech(2, seed=0))[None] * 0.3  # -30 dBFS
    with torch.no_grad():
        one, _ = model.ctc_logits(samples, torch.tensor([samples.size(1)]))
        model.encoder.architecture["normalize_eps"] = 1e-5
        other, _ = model.ctc_logits(samples, torch.tensor([samples.size(1)]))
    assert (one - other).abs().max() < 0.1
