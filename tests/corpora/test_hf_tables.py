"""Damaged and hostile datasets: each is a message that names the file, never a crash and never another file."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from asr_dro.corpora.hf_tables import Table, find_tables
from asr_dro.errors import UserError
from tests.corpora.saved import clips_of, columns, open_part, read, save, save_dict
from tests.shell_sandbox import ROOT

SAVED = Path(__file__).with_name("saved_dataset")
ARROW, PARQUET = "data-00000-of-00001.arrow", "data/train-00000-of-00001.parquet"


@pytest.mark.parametrize(("folder", "name"), [("train", ARROW), ("parquet", PARQUET)])
def test_damaged_bytes_never_crash(tmp_path: Path, folder: str, name: str) -> None:
    """What can still be read is read; everything else is a message with the file's name."""
    whole = (SAVED / folder / name).read_bytes()
    shutil.copytree(SAVED / folder, tmp_path / "d")
    readable = refused = 0
    for seed in range(250):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3, 10])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 255, rng.randrange(256)])
        (tmp_path / "d" / name).write_bytes(damaged[: rng.choice([None, None, rng.randrange(len(damaged))])])
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        try:
            part = open_part(tmp_path / "d", "fin deu", missing_languages="skip")
            for clip in part.audio.clips(clips_of(part.rows("train"))):
                assert clip.content
            readable += 1
        except UserError as error:
            assert str(tmp_path / "d") in str(error)
            refused += 1
    assert readable > 20
    assert refused > 20


@pytest.mark.parametrize("content", [b"", b"PAR1", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"])
@pytest.mark.parametrize(("folder", "name"), [("train", ARROW), ("parquet", PARQUET)])
def test_what_is_no_table(tmp_path: Path, folder: str, name: str, content: bytes) -> None:
    shutil.copytree(SAVED / folder, tmp_path / "d")
    (tmp_path / "d" / name).write_bytes(content)
    reason = "git lfs pull" if b"lfs" in content else "."
    with pytest.raises(UserError, match=rf"{name} cannot be read: .*{reason}"):
        open_part(tmp_path / "d")


def test_a_table_that_ends_early_is_found_while_it_is_read(tmp_path: Path) -> None:
    source = save(tmp_path / "d", columns(40))
    part = open_part(source)
    path = source / ARROW
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=f"{ARROW} cannot be read"):
        list(part.rows("train"))
    with pytest.raises(UserError, match=f"{ARROW} cannot be read"):
        list(part.audio.clips({"train-00000039"}))


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        "{}",
        '{"_data_files": 7}',
        '{"_data_files": [7]}',
        '{"_data_files": [{"filename": "../secret.arrow"}]}',
        '{"_data_files": [{"filename": "/secret.arrow"}]}',
        '{"_data_files": [{"filename": ".."}]}',
        '{"_data_files": [{"filename": "a\\u0000b"}]}',
        '{"_data_files": [{"filename": "not there.arrow"}]}',
        '{"_data_files": [{"filename": "' + ARROW + '"}], "_indices_data_files": [{"filename": "x"}]}',
        "[" * 100_000,
    ],
    ids=lambda state: str(state)[:60],
)
def test_hostile_states(tmp_path: Path, state: str) -> None:
    source = save(tmp_path / "d", columns(2))
    (source.parent / "secret.arrow").write_bytes((source / ARROW).read_bytes())
    (source / "state.json").write_text(state)
    with pytest.raises(UserError, match=r"state.json|cannot be read|old version"):
        open_part(source)


@pytest.mark.parametrize("splits", [None, [], "train", ["../d"], ["train", 7]])
def test_hostile_lists_of_splits(tmp_path: Path, splits: object) -> None:
    source = save_dict(tmp_path / "d", {"train": columns(1)})
    (source / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    with pytest.raises(UserError, match=r"does not list the splits|no split train"):
        open_part(source)


def test_folders_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder; set HF_DATASET"):
        find_tables(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"neither what save_to_disk writes.*nor parquet"):
        find_tables(tmp_path)
    save(tmp_path / "fi", columns(1))
    save(tmp_path / "de", columns(1))
    with pytest.raises(UserError, match=r"give one of them: de, fi$"):
        find_tables(tmp_path)


def test_shards_with_other_columns(tmp_path: Path) -> None:
    for shard, more in enumerate(({}, {"lang": ["fi"]})):
        table = pyarrow.table(columns(1, **more))
        pyarrow.parquet.write_table(table, tmp_path / f"train-0000{shard}-of-00002.parquet")
    with pytest.raises(UserError, match=r"train-00001-of-00002.parquet has other columns than .*train-00000"):
        open_part(tmp_path)


def test_paths_in_a_dataset_that_lead_nowhere(tmp_path: Path) -> None:
    paths = ["missing.wav", "a\0b.wav", "", None, "x" * 5000]
    source = save(tmp_path / "d", {"audio": paths, "text": ["a"] * 5})
    part = open_part(source)
    clips = clips_of(part.rows("train"))
    assert len(clips) == 5
    found = [clip.clip for clip in part.audio.clips(clips)]
    assert found in ([], ["train-00000002"]), "the folder itself is for stage 1 to refuse"


def test_a_text_that_is_not_utf8_costs_its_row_only(tmp_path: Path) -> None:
    raw = [b"one", b"\xc3\x28", b"three", b"\xed\xa0\x80"]
    binary = pyarrow.array(raw, pyarrow.binary())
    strings = pyarrow.StringArray.from_buffers(len(raw), *binary.buffers()[1:])
    data = columns(4)
    data["text"] = strings
    items = read(save(tmp_path / "d", data))
    assert clips_of(items) == ["train-00000000", "train-00000002"]
    assert len(items) == 4


def test_batches_count_rows_over_all_files(tmp_path: Path) -> None:
    for shard in range(3):
        table = pyarrow.table({"text": [f"{shard}-{row}" for row in range(5)]})
        pyarrow.parquet.write_table(table, tmp_path / f"{shard}.parquet", row_group_size=2)
    table = Table(tuple(tmp_path / f"{shard}.parquet" for shard in range(3)))
    found = {}
    for first, batch in table.batches(["text"], lambda first, rows: first <= 7 < first + rows or first == 0):
        found.update({first + row: text for row, text in enumerate(batch.column("text").to_pylist())})
    assert found == {0: "0-0", 1: "0-1", 7: "1-2", 8: "1-3"}


def test_audio_is_read_in_portions_and_not_for_the_text(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).bytes(250_000)
    table = pyarrow.table({"audio": [{"bytes": noise, "path": "x"}] * 300, "text": ["a"] * 300})
    source = tmp_path / "p"
    source.mkdir()
    pyarrow.parquet.write_table(table, source / "train.parquet", use_dictionary=False, write_batch_size=4)
    code = f"""
import pathlib, pyarrow
from tests.corpora.saved import clips_of, open_part
part = open_part(pathlib.Path({str(source)!r}))
clips = clips_of(part.rows("train"))
for_text = pyarrow.default_memory_pool().max_memory()
(clip,) = part.audio.clips({{clips[299]}})
print(for_text, pyarrow.default_memory_pool().max_memory(), len(clip.content))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    for_text, for_audio, length = map(int, result.stdout.split())
    assert for_text < 4_000_000
    assert for_audio < 50_000_000, "all of it would be 75 MB"
    assert length == 250_000


def test_light_modules_stay_light() -> None:
    code = "import asr_dro.corpora.registry, asr_dro.corpora.manifest, sys; "
    code += "assert not {'pyarrow', 'numpy', 'soundfile'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
