"""The conversion command: checkpoint to folder and back, and what it refuses to write over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCTC, AutoProcessor, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from asr_dro.encoders import fairseq_convert
from asr_dro.encoders.fairseq_checkpoint import read_fairseq_checkpoint
from asr_dro.encoders.fairseq_convert import convert
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT

GOLDEN = ROOT / "tests" / "data" / "fairseq"
LANGUAGES = {"base": None, "base_ctc": None, "large": None, "large_ctc": None, "adapters": "fra"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every golden checkpoint as a folder."""
    made = tmp_path_factory.mktemp("folders")
    for name, language in LANGUAGES.items():
        convert(GOLDEN / f"{name}.pt", made / name, language=language)
    return made


@pytest.mark.parametrize("name", LANGUAGES)
def test_folder_loads_in_transformers_and_computes_the_same(folders: Path, name: str) -> None:
    arrays = np.load(GOLDEN / f"{name}.npz")
    audio, lengths = torch.from_numpy(arrays["audio"]), torch.from_numpy(arrays["lengths"])
    mask = (torch.arange(audio.shape[1]) < lengths[:, None]).long()
    loaded: Any = Wav2Vec2Model.from_pretrained(folders / name, output_loading_info=True)
    model, report = loaded
    assert not report["missing_keys"] and model.dtype == torch.float32
    with torch.no_grad():
        final = model.eval()(audio, attention_mask=mask).last_hidden_state
    np.testing.assert_allclose(final.numpy(), arrays["batch.final"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", LANGUAGES)
def test_preprocessor_normalises_as_the_model_was_trained(folders: Path, name: str) -> None:
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folders / name)
    large = not name.startswith("base")
    assert extractor.do_normalize == large and extractor.return_attention_mask == large
    assert extractor.sampling_rate == 16_000


@pytest.mark.parametrize("name", ["base_ctc", "large_ctc", "adapters"])
def test_processor_spells_what_the_logits_say(folders: Path, name: str) -> None:
    """The blank is fairseq's output 0, and symbols keep their places behind the special ones."""
    arrays = np.load(GOLDEN / f"{name}.npz")
    processor = AutoProcessor.from_pretrained(folders / name)  # type: ignore[no-untyped-call]
    best = arrays["alone.logits"].argmax(axis=-1)[0].tolist()
    symbols = read_fairseq_checkpoint(GOLDEN / f"{name}.pt", LANGUAGES[name]).symbols
    names = ("<pad>", "<s>", *symbols[2:])  # transformers calls the blank <pad>
    grouped = [index for index, before in zip(best, [None, *best], strict=False) if index != before]
    expected = "".join(names[index] for index in grouped if index != 0).replace("|", " ").strip()
    assert processor.tokenizer.decode(best) == expected
    assert processor.tokenizer.decode([5, 5, 0, 5, 4, 6, 0]) == "aa b"
    model = AutoModelForCTC.from_pretrained(folders / name)
    assert model.config.pad_token_id == processor.tokenizer.pad_token_id == 0
    assert model.config.vocab_size == len(symbols)


@pytest.mark.parametrize("name", LANGUAGES)
def test_there_and_back_to_the_bit(folders: Path, tmp_path: Path, name: str) -> None:
    convert(folders / name, tmp_path / "back.pt")
    back = read_fairseq_checkpoint(tmp_path / "back.pt")
    first = read_fairseq_checkpoint(GOLDEN / f"{name}.pt", LANGUAGES[name])
    assert (back.normalize, back.fine_tuned) == (first.normalize, first.fine_tuned)
    assert back.state.keys() == first.state.keys()
    assert all(torch.equal(back.state[key], first.state[key]) for key in first.state)
    dictionary = tmp_path / "dict.ltr.txt"
    assert dictionary.exists() == first.fine_tuned
    if first.fine_tuned:
        assert dictionary.read_text(encoding="utf-8").split() == ["|", "1", "a", "1", "b", "1", "c", "1"]


def test_nothing_is_written_over_without_being_asked(folders: Path, tmp_path: Path) -> None:
    target, file = tmp_path / "folder", tmp_path / "back.pt"
    convert(GOLDEN / "base.pt", target)
    convert(folders / "base_ctc", file)
    for source, out in ((GOLDEN / "large.pt", target), (folders / "large", file)):
        with pytest.raises(UserError, match=r"there already: .*--overwrite"):
            convert(source, out)
    file.unlink()
    with pytest.raises(UserError, match=r"there already: .*dict\.ltr\.txt"):
        convert(folders / "base_ctc", file)
    convert(GOLDEN / "large.pt", target, overwrite=True)
    assert json.loads((target / "config.json").read_text())["do_stable_layer_norm"]
    convert(folders / "large", file, overwrite=True)
    assert read_fairseq_checkpoint(file).normalize


def test_overwrite_never_removes_something_else(tmp_path: Path) -> None:
    other = tmp_path / "notes"
    other.mkdir()
    (other / "a.txt").write_text("keep")
    with pytest.raises(UserError, match="is no Hugging Face model"):
        convert(GOLDEN / "base.pt", other, overwrite=True)
    source = tmp_path / "model"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / "model.pt").write_bytes((GOLDEN / "base.pt").read_bytes())
    with pytest.raises(UserError, match="its own source"):
        convert(source / "model.pt", source, overwrite=True)
    assert (other / "a.txt").read_text() == "keep" and (source / "model.pt").exists()


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fairseq_convert, "_write_tokenizer", full_disk)
    with pytest.raises(OSError, match="No space left"):
        convert(GOLDEN / "base_ctc.pt", tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_direction_and_names_must_agree(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ending in \.pt"):
        convert(folders / "base", tmp_path / "model")
    with pytest.raises(UserError, match="give a folder's name"):
        convert(GOLDEN / "base.pt", tmp_path / "model.pt")
    with pytest.raises(UserError, match="a folder holds one model"):
        convert(folders / "adapters", tmp_path / "model.pt", language="fra")


def test_folders_that_cannot_be_converted_are_named(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        convert(tmp_path, tmp_path / "model.pt")
    described = json.loads((folders / "base" / "config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text("{}")
    for change, message in (
        ({"model_type": "hubert"}, "describes hubert"),
        ({"architectures": ["Wav2Vec2ForXVector"]}, "Wav2Vec2ForXVector"),
        ({}, "cannot be loaded"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**described, **change}))
        with pytest.raises(UserError, match=message):
            convert(tmp_path, tmp_path / "model.pt")
    (tmp_path / "model.safetensors").write_bytes((folders / "base" / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**described, "num_hidden_layers": 4}))
    with pytest.raises(UserError, match=r"missing_keys: .*layers\.3\.attention"):
        convert(tmp_path, tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_dro.bin.convert_wav2vec2", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def test_command_answers_a_mistake_with_one_message(tmp_path: Path) -> None:
    bad = tmp_path / "model.pt"
    bad.write_text("<html>")
    result = run(str(bad), str(tmp_path / "out"))
    assert result.returncode == 2 and "web page" in result.stderr and "Traceback" not in result.stderr


def test_help_waits_for_neither_torch_nor_transformers() -> None:
    code = "import sys; sys.argv = ['x', '--help']\n" \
           "try:\n    import runpy; runpy.run_module('asr_dro.bin.convert_wav2vec2', run_name='__main__')\n" \
           "except SystemExit:\n    print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert "--language" in result.stdout and result.stdout.endswith("[]\n")
