"""Reading fairseq's files, real ones (tests/data/fairseq) and hostile ones."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from asr_dro.encoders.fairseq_checkpoint import read_fairseq_checkpoint
from asr_dro.encoders.fairseq_config import MAX_CONV_LAYERS, parse_conv_layers, transformers_options
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT

GOLDEN = ROOT / "tests" / "data" / "fairseq"
SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>", "|", "a", "b", "c")


@pytest.mark.parametrize("name", ["base", "large"])
@pytest.mark.parametrize("kind", ["", "_ctc"])
def test_layouts_hold_the_same_model(name: str, kind: str) -> None:
    new = read_fairseq_checkpoint(GOLDEN / f"{name}{kind}.pt")
    assert new.fine_tuned == bool(kind)
    assert new.normalize == (name == "large")
    assert new.sample_rate_hz == 16_000
    assert new.symbols == (SYMBOLS if kind else ())
    others = [f"{name}{kind}_args"] + (["large_omegaconf"] if name + kind == "large" else [])
    for other in others:
        old = read_fairseq_checkpoint(GOLDEN / f"{other}.pt")
        assert (old.fine_tuned, old.normalize, old.symbols) == (new.fine_tuned, new.normalize, new.symbols)
        assert transformers_options(old.config) == transformers_options(new.config)
        assert old.state.keys() == new.state.keys()
        assert all(torch.equal(old.state[key], new.state[key]) for key in new.state)


def test_fine_tuning_replaces_the_options_of_the_pretraining() -> None:
    pretrained, tuned = (read_fairseq_checkpoint(GOLDEN / f"base{kind}.pt").config for kind in ("", "_ctc"))
    assert pretrained["dropout"] == 0.1 and tuned["dropout"] == 0.2  # make_golden.py's FINE_TUNING
    assert pretrained["encoder_layerdrop"] == 0.05 and tuned["encoder_layerdrop"] == 0.1
    assert tuned["mask_channel_prob"] == 0.2 and tuned["final_dropout"] == 0.1


def altered(path: Path, name: str = "base", **entries: Any) -> Path:
    """Write a golden checkpoint with other entries (None removes one) and without its dictionary."""
    with torch.serialization.safe_globals([(SimpleNamespace, "fairseq.data.dictionary.Dictionary")]):
        loaded = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    whole = {**loaded, "task_state": {}, **entries}
    torch.save({key: value for key, value in whole.items() if value is not None}, path)
    return path


def configuration(name: str = "base") -> dict[str, Any]:
    with torch.serialization.safe_globals([(SimpleNamespace, "fairseq.data.dictionary.Dictionary")]):
        loaded: dict[str, Any] = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    return loaded["cfg"]  # type: ignore[no-any-return]


def test_unknown_options_are_listed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cfg = configuration()
    cfg["task"]["multiple_train_files"] = None
    cfg["model"]["option_of_2030"] = 1
    path = altered(tmp_path / "model.pt", cfg=cfg)
    for _ in range(2):
        read_fairseq_checkpoint(path)
    assert [record.message for record in caplog.records] == [
        f"{path}: these options of its configuration are not known here and not used: "
        "multiple_train_files, option_of_2030"
    ]
    read_fairseq_checkpoint(GOLDEN / "base.pt")
    assert len(caplog.records) == 1  # nothing is strange in a file of today's fairseq


class Touch:
    """An object whose pickle, once run, makes a file."""

    def __init__(self, path: Path, how: str) -> None:
        self.path, self.how = path, how

    def __reduce__(self) -> tuple[Any, ...]:
        calls: dict[str, tuple[Any, ...]] = {
            "posix.system": (os.system, (f"touch '{self.path}'",)),
            "eval": (eval, (f"open({str(self.path)!r}, 'w')",)),
            "shutil.copy": (shutil.copy, (__file__, str(self.path))),
        }
        return calls[self.how]


@pytest.mark.parametrize("how", ["posix.system", "eval", "shutil.copy"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["cfg", "model", "extra_state"])
def test_malicious_pickle_is_refused_and_not_run(tmp_path: Path, how: str, zipped: bool, where: str) -> None:
    path, witness = tmp_path / "model.pt", tmp_path / "witness"
    loaded = torch.load(GOLDEN / "base.pt", weights_only=True)
    loaded[where]["key"] = Touch(witness, how)
    torch.save(loaded, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"model\.pt is refused: .*'{how}'"):
        read_fairseq_checkpoint(path)
    assert not witness.exists()
    torch.load(path, weights_only=False)  # the file does what this test says that it would do
    assert witness.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [0, 3, 4, 5])
def test_other_pickle_protocols_run_nothing(tmp_path: Path, protocol: int) -> None:
    path, witness = tmp_path / "model.pt", tmp_path / "witness"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"model": Touch(witness, "posix.system")}, protocol))
        archive.writestr("model/version", "3\n")
    with pytest.raises(UserError, match=r"model\.pt"):
        read_fairseq_checkpoint(path)
    assert not witness.exists()


class AllowedByAnother:
    """A class that another library told torch to trust."""

    def __setstate__(self, state: object) -> None:
        raise AssertionError("its code ran")


def test_what_other_libraries_allow_is_refused_here(tmp_path: Path) -> None:
    loaded = torch.load(GOLDEN / "base.pt", weights_only=True)
    trusted = AllowedByAnother()
    trusted.value = 1  # type: ignore[attr-defined]
    torch.save({**loaded, "extra_state": trusted}, tmp_path / "model.pt")
    with torch.serialization.safe_globals([AllowedByAnother]):
        before = set(torch.serialization.get_safe_globals())
        with pytest.raises(UserError, match="AllowedByAnother"):
            read_fairseq_checkpoint(tmp_path / "model.pt")
        assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        (b"<html><body>sign in</body></html>", "web page"),
        (b"PK\x03\x04" + bytes(500), "ends too early"),
        (b'\x10\x00\x00\x00\x00\x00\x00\x00{"a": 1}', "safetensors"),
        (b"some notes", "begins with b'some notes'"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", "damaged"),  # the first bytes of torch's old format
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_fairseq_checkpoint(path)
    assert str(path) in str(raised.value)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_fairseq_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(UserError, match="is a folder"):
        read_fairseq_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "name", ["base", "base_args", "large_ctc", "large_omegaconf"]
)  # base_args is in the old format
def test_cut_files_are_named(tmp_path: Path, name: str) -> None:
    content = (GOLDEN / f"{name}.pt").read_bytes()
    path = tmp_path / "model.pt"
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(UserError, match=r"too early|damaged"):
            read_fairseq_checkpoint(path)


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    """Damage the pickle, not only the tensors: whatever it then says is read or refused with one message."""
    content = (GOLDEN / "base_ctc_args.pt").read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for position in generator.integers(0, 12_000, 3):
            damaged[position] = generator.integers(256)
        path = tmp_path / "model.pt"
        path.write_bytes(damaged)
        try:
            read_fairseq_checkpoint(path)
        except UserError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 20


NO_MODEL: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    (lambda cfg: {"model": None}, "no 'model'"),
    (lambda cfg: {"model": {"mask_emb": torch.zeros(16), "epoch": 3}}, "no tensors: epoch"),
    (lambda cfg: {"cfg": None, "args": None}, "neither 'args' nor 'cfg'"),
    (lambda cfg: {"cfg": {**cfg, "model": {**cfg["model"], "_name": "hubert"}}}, "is a model 'hubert'"),
    (lambda cfg: {"cfg": {**cfg, "model": {**cfg["model"], "_name": "wav2vec_seq2seq"}}}, "'wav2vec_seq2seq'"),
    (lambda cfg: {"cfg": {**cfg, "model": {"_name": "wav2vec_ctc", "w2v_path": "a.pt"}}}, r"lacks 'w2v_args'.*a\.pt"),
]


@pytest.mark.parametrize(("entries", "message"), NO_MODEL)
def test_other_models_are_named(
    tmp_path: Path, entries: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    path = altered(tmp_path / "model.pt", **entries(configuration()))
    with pytest.raises(UserError, match=message) as raised:
        read_fairseq_checkpoint(path)
    assert str(path) in str(raised.value)


def test_configuration_that_contains_itself_is_refused(tmp_path: Path) -> None:
    cfg = configuration()
    cfg["model"]["itself"] = cfg
    with pytest.raises(UserError, match="contains itself"):
        read_fairseq_checkpoint(altered(tmp_path / "model.pt", cfg=cfg))


def test_bare_state_of_another_library_is_named(tmp_path: Path) -> None:
    torch.save({"wav2vec2.masked_spec_embed": torch.zeros(3)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="Hugging Face"):
        read_fairseq_checkpoint(tmp_path / "pytorch_model.bin")


def test_adapters_need_a_language() -> None:
    path = GOLDEN / "adapters.pt"
    for language in (None, "deu"):
        with pytest.raises(UserError, match=rf"name one of: eng, fra \(given: {language}\)"):
            read_fairseq_checkpoint(path, language)
    english, french = (read_fairseq_checkpoint(path, language) for language in ("eng", "fra"))
    differ = {name for name, tensor in english.state.items() if not torch.equal(tensor, french.state[name])}
    own = {name for name in english.state if "adapter_layer" in name or name.startswith("w2v_encoder.proj")}
    assert differ == own and english.symbols == SYMBOLS
    with pytest.raises(UserError, match="no language adapters"):
        read_fairseq_checkpoint(GOLDEN / "base_ctc.pt", "eng")


@pytest.mark.parametrize(
    "text",
    [
        "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
        " [(512, 10, 5)]+[(512, 3, 2)]*4 + [(512,2,2)] * 2",
        "[[8, 10, 5], [4, 3, 2]]",
    ],
)
def test_convolutions_as_python_reads_them(text: str) -> None:
    assert parse_conv_layers(text) == [tuple(layer) for layer in eval(text.strip())]
    assert parse_conv_layers(eval(text.strip())) == parse_conv_layers(text)  # some files hold the list itself


@pytest.mark.parametrize(
    "value",
    ["", "[]", "512", "[(512, 10)]", "[(512, 10, 0)]", "[(8, 3, 2)] * 10**9", f"[(8, 3, 2)] * {MAX_CONV_LAYERS + 1}",
     "__import__('os').getcwd()", "[(8, 3, len('ab'))]", "[(8, 3, 2)] * -1", "(" * 5000, None, 3, [[1, 2]], ["ab"]],
)  # fmt: skip
def test_strange_convolutions_are_refused(value: object) -> None:
    with pytest.raises(UserError, match="conv_feature_layers"):
        parse_conv_layers(value)


def test_unsupported_options_are_named_together() -> None:
    config = {"activation_fn": "swish", "layer_type": "conformer", "pos_conv_depth": 5, "encoder_layers": "12"}
    with pytest.raises(UserError) as raised:
        transformers_options(config)
    message = str(raised.value)
    assert all(f"{key}={value!r}" in message for key, value in config.items())
    with pytest.raises(UserError, match=r"adp_num=3 .*layer_norm_first=False"):
        transformers_options({"layer_type": "trf_adp", "adp_num": 3, "adp_act_fn": "relu", "adp_trf_idx": "all"})
