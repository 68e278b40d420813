"""Stages 2 and 3: labels, lengths and groups come from metadata alone and agree with the vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.data.data_dir import Utterance, read_two_columns, write_data_dir
from asr_dro.data.lengths import make_lengths, make_tokens, read_groups
from asr_dro.data.tokens import decode, read_token_list
from asr_dro.errors import UserError

TRAIN = [
    Utterance("fin-a-1", "no/such.flac", "ää b", "fin-a", "fin", "north", 1.0000625),
    Utterance("spa-a-1", "no/such.flac", "a á", "spa-a", "spa", "south", 0.5),
]


def write_set(folder: Path, *, train: list[Utterance] | None = None, dev: list[Utterance] | None = None) -> Path:
    write_data_dir(folder / "train", TRAIN if train is None else train)
    write_data_dir(folder / "dev", TRAIN if dev is None else dev)
    write_data_dir(folder / "test", [])
    return folder


def test_files(tmp_path: Path) -> None:
    other = Utterance("spa-b-1", "no/such.flac", "az a", "spa-b", "spa", "south", 2.5)
    prepared = write_set(tmp_path, dev=[other])
    assert make_tokens(prepared)
    tokens = read_token_list(prepared / "tokens.txt")
    assert tokens == ["<blank>", "<unk>", "<space>", "a", "b", "á", "ä", "[fin]", "[spa]", "<sos/eos>"]
    assert make_lengths(prepared)
    assert read_groups(prepared / "groups.txt") == ["north", "south"]
    assert read_two_columns(prepared / "train/utt2num_samples") == {"fin-a-1": "16001", "spa-a-1": "8000"}
    assert read_two_columns(prepared / "train/group_ids") == {"fin-a-1": "0", "spa-a-1": "1"}
    assert read_two_columns(prepared / "train/token_ids") == {"fin-a-1": "7 6 6 2 4", "spa-a-1": "8 3 2 5"}
    assert read_two_columns(prepared / "dev/token_ids") == {"spa-b-1": "8 3 1 2 3"}  # z is unknown
    assert read_two_columns(prepared / "dev/group_ids") == {"spa-b-1": "1"}
    assert read_two_columns(prepared / "test/token_ids") == {}
    labels = read_two_columns(prepared / "train/token_ids")["fin-a-1"].split()
    assert decode(map(int, labels), tokens) == ("fin", "ää b")


def test_second_run_does_nothing_and_changes_are_seen(tmp_path: Path) -> None:
    prepared = write_set(tmp_path)
    make_tokens(prepared)
    make_lengths(prepared)
    assert not make_tokens(prepared)
    assert not make_lengths(prepared)
    before = (prepared / "train/token_ids").stat().st_ino
    (prepared / "dev/token_ids").unlink()
    assert make_lengths(prepared)
    assert (prepared / "train/token_ids").stat().st_ino == before
    write_set(prepared, train=[*TRAIN, Utterance("spa-c-1", "x", "ñ", "spa-c", "spa", "south", 1.0)])
    assert make_tokens(prepared)
    assert make_lengths(prepared)
    assert "spa-c-1" in read_two_columns(prepared / "train/token_ids")


def test_group_that_training_lacks(tmp_path: Path) -> None:
    prepared = write_set(tmp_path, dev=[Utterance("spa-b-1", "x", "a", "spa-b", "spa", "west", 1.0)])
    make_tokens(prepared)
    with pytest.raises(UserError, match=r"dev/utt2group: train has no utterance of the groups west"):
        make_lengths(prepared)
    assert not (prepared / ".lengths.done.json").exists()


def test_stages_out_of_order(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train/text is missing; run the earlier stages"):
        make_tokens(tmp_path)
    with pytest.raises(UserError, match="run stage 2"):
        make_lengths(tmp_path)
    with pytest.raises(UserError, match="run stage 3"):
        read_groups(tmp_path / "groups.txt")
    with pytest.raises(UserError, match="is empty; run stage 1"):
        make_tokens(write_set(tmp_path, train=[]))
