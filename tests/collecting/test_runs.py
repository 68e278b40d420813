from __future__ import annotations

import logging
from pathlib import Path

import pytest
import yaml

from asr_dro.collecting.find import Place
from asr_dro.collecting.reading import LONGEST_TEXT, one_line, read_epochs
from asr_dro.collecting.runs import Run, read_run
from asr_dro.config import write_run_config
from tests.collecting.experiments import write, write_run


def read(folder: Path) -> Run:
    return read_run(Place(folder.parent, folder))


def test_what_is_known(tmp_path: Path) -> None:
    run = read(write_run(tmp_path / "x", model="xlsr", objective="ctc_dro", seed=3, lang_set="ml_superb_all143_1h"))
    assert (run.corpus, run.lang_set, run.data) == ("ml_superb", "all143_1h", "f00d")
    assert (run.model, run.objective, run.seed) == ("xlsr", "ctc_dro", 3)
    assert (run.audio_h, run.cpu_h, run.gpu_h) == (2.0, 1.0, None)  # 2 x 900 s in 2 processes
    assert (run.commit, run.host, run.tag) == ("0123456789ab", "Some CPU, 2 cores", "x")


def test_hours_on_gpus(tmp_path: Path) -> None:
    host = {"cpu": "Some CPU", "cores": 64, "gpu": "4 x NVIDIA H200"}
    made = {"device": "cuda", "processes": 4, "dirty": True, "host": host}
    run = read(write_run(tmp_path / "x", environment=made, epochs=3))
    assert (run.gpu_h, run.cpu_h, run.host, run.commit) == (3.0, None, "4 x NVIDIA H200", "0123456789ab+")


def test_older_records_tell_the_devices_by_the_command(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x")
    for command, hours in (("./run.sh --ngpu 2", (1.0, None)), ("./run.sh --ngpu=0", (None, 0.5)), ("'", (None, 0.5))):
        write(folder / "environment.json", f'{{"command": "{command}"}}')
        run = read(folder)
        assert (run.gpu_h, run.cpu_h) == hours
        assert run.audio_h is None


def test_names_are_those_that_a_real_configuration_notes(tmp_path: Path) -> None:
    files = [Path("conf/model/xlsr.yaml"), Path("egs/a/conf/lang/fin.yaml"), Path("conf/objective/group_dro.yaml")]
    write_run_config(tmp_path / "x" / "train.yaml", {"encoder": "wav2vec2", "objective": "other", "seed": 7}, files)
    run = read(tmp_path / "x")
    assert (run.model, run.objective, run.seed) == ("xlsr", "group_dro", 7)
    write_run_config(tmp_path / "x" / "train.yaml", {"encoder": "wav2vec2", "objective": "other", "seed": 8})
    run = read(tmp_path / "x")
    assert (run.model, run.objective, run.seed) == ("wav2vec2", "other", 8)


def test_without_a_record_of_its_data_the_command_says_which(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", environment={"command": "./run.sh --corpus common_voice --lang_set=fin,kat"})
    (folder / "checkpoints" / "inputs.json").unlink()
    run = read(folder)
    assert (run.corpus, run.lang_set, run.data) == ("common_voice", "fin,kat", "")


@pytest.mark.parametrize("content", ["", "\0", "[1]", "a: [", "{", '"text"', "null", "\ud800", "&a [*a]", "a: " * 500])
@pytest.mark.parametrize("name", ["train.yaml", "environment.json", "train.jsonl", "checkpoints/inputs.json"])
def test_damaged_files_cost_their_own_facts_only(tmp_path: Path, name: str, content: str) -> None:
    folder = write_run(tmp_path / "x")
    (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    run = read(folder)
    assert run.state == "trained"
    assert run.tag == "x"
    if name != "train.yaml":
        assert (run.model, run.seed) == ("separable_conv", 1)
    if name != "environment.json":
        assert run.commit == "0123456789ab"


def test_a_damaged_file_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_run(tmp_path / "x")
    write(folder / "train.yaml", "a: [")
    write(folder / "environment.json", "{")
    with caplog.at_level(logging.WARNING):
        read(folder)
    assert "train.yaml cannot be read" in caplog.text
    assert "environment.json cannot be read" in caplog.text


@pytest.mark.parametrize("seed", ["true", "one", "1.5", "null"])
def test_an_odd_seed_is_none(tmp_path: Path, seed: str) -> None:
    write(tmp_path / "x" / "train.yaml", f"seed: {seed}\n")
    assert read(tmp_path / "x").seed is None


def test_epochs_are_counted_without_their_long_parts(tmp_path: Path) -> None:
    """A line that a kill cut off and one that is damaged are passed over; parts come in any order or are missing."""
    lines = [
        '{"epoch": 1, "seconds": 10.5, "train": {"loss": 1}, "dev": {"seconds": 100}, "lr_by_level": {}}',
        '{"seconds": 2, "epoch": 2}',
        '{"dev": {"a": 1}, "epoch": 3, "train": {"b": 1}, "seconds": 4}',
        "no JSON",
        '{"epoch": 5, "seconds": "many"}',
        '{"epoch": 6, "seconds": NaN}',
        '{"epoch": 7, "seconds": 3, "tra',
    ]
    path = write(tmp_path / "train.jsonl", "\n".join(lines))
    epochs, seconds = read_epochs(path)
    assert (epochs, seconds) == (5, 16.5)
    assert read_epochs(tmp_path / "none") == (0, 0.0)


def test_texts_are_one_line_of_bounded_length() -> None:
    assert one_line("a\tb\r\n\x1b[31mc\u2028d") == "a b [31mc d"
    assert len(one_line("x" * 10_000)) == LONGEST_TEXT
    assert one_line(None) == ""


def test_the_fast_parser_reads_what_the_slow_one_reads(tmp_path: Path) -> None:
    text = "a: {b: 0.0001, c: [1, null]}\nd: true\n"
    write(tmp_path / "x" / "train.yaml", text)
    assert read(tmp_path / "x").config == yaml.safe_load(text)
