"""Stages 2 and 3: labels, lengths and groups come from metadata alone and agree with the vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.data.data_dir import Utterance, read_two_columns, write_data_dir
from asr_dro.data.lengths import make_lengths, make_tokens, read_groups, read_together
from asr_dro.data.tokens import Tokenizer, decode, read_token_list
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


def test_groups_and_languages_that_training_lacks(tmp_path: Path) -> None:
    other = [Utterance(f"{lang}-b-1", "x", "a", f"{lang}-b", lang, "west", 1.0) for lang in ("kat", "spa")]
    prepared = write_set(tmp_path, dev=other)
    make_tokens(prepared)
    with pytest.raises(UserError, match=r"dev/utt2group: train has no utterance of the groups west") as error:
        make_lengths(prepared)
    assert "dev/utt2lang: train has no utterance of the languages kat" in str(error.value)
    assert not (prepared / ".lengths.done.json").exists()
    assert not (prepared / "train/token_ids").exists()


@pytest.mark.parametrize(
    ("task", "tokens", "labels"),
    [
        ("asr", "<blank> <unk> <space> a b á ä <sos/eos>", "6 6 2 4"),
        ("lid", "<blank> <unk> <space> [fin] [spa] <sos/eos>", "3"),
    ],
)
def test_tasks(tmp_path: Path, task: str, tokens: str, labels: str) -> None:
    prepared = write_set(tmp_path)
    make_tokens(prepared)
    make_lengths(prepared)
    (prepared / "data.yaml").write_text(f"task: {task}\n")
    assert make_tokens(prepared)
    assert make_lengths(prepared)
    assert read_token_list(prepared / "tokens.txt") == tokens.split()
    assert read_two_columns(prepared / "train/token_ids")["fin-a-1"] == labels


def test_a_task_without_tags_takes_languages_that_training_lacks(tmp_path: Path) -> None:
    prepared = write_set(tmp_path, dev=[Utterance("kat-b-1", "x", "a", "kat-b", "kat", "south", 1.0)])
    (prepared / "data.yaml").write_text("task: asr\n")
    make_tokens(prepared)
    assert make_lengths(prepared)
    assert read_two_columns(prepared / "dev/token_ids") == {"kat-b-1": "3"}


def test_pieces(tmp_path: Path) -> None:
    prepared = write_set(tmp_path)
    (prepared / "data.yaml").write_text("tokens: {type: unigram, vocabulary_size: 5}\n")
    assert make_tokens(prepared)
    tokenizer = Tokenizer.load(prepared)
    assert set("ab▁áä") < set(tokenizer.tokens)
    assert tokenizer.tokens[-3:] == ("[fin]", "[spa]", "<sos/eos>")
    assert make_lengths(prepared)
    labels = read_two_columns(prepared / "train/token_ids")["fin-a-1"].split()
    assert decode(map(int, labels), tokenizer.tokens) == ("fin", "ää b")
    (prepared / "spm.model").unlink()
    assert make_tokens(prepared)
    assert not make_tokens(prepared)
    (prepared / "data.yaml").write_text("tokens: {type: char}\n")
    assert make_tokens(prepared)
    assert not (prepared / "spm.model").exists()
    assert make_lengths(prepared)


def test_pieces_of_another_training_are_refused(tmp_path: Path) -> None:
    prepared = write_set(tmp_path)
    (prepared / "data.yaml").write_text("tokens: {type: bpe, vocabulary_size: 6}\n")
    make_tokens(prepared)
    tokens = read_token_list(prepared / "tokens.txt")
    tokens[2:4] = tokens[3:1:-1]
    (prepared / "tokens.txt").write_text("\n".join(tokens) + "\n")
    with pytest.raises(UserError, match=r"tokens\.txt and spm\.model do not belong together"):
        make_lengths(prepared)


def test_too_many_pieces(tmp_path: Path) -> None:
    prepared = write_set(tmp_path)
    (prepared / "data.yaml").write_text("tokens: {type: bpe}\n")
    with pytest.raises(UserError, match=r"vocabulary_size is 2000 \(tokens\.type bpe\); .* allows 5 to \d+"):
        make_tokens(prepared)
    assert not (prepared / "tokens.txt").exists()


@pytest.mark.parametrize("kind", ["{min_count: 2}", "{type: bpe, vocabulary_size: 4, min_count: 2}"])
def test_rare_characters(tmp_path: Path, kind: str) -> None:
    train = [
        Utterance(f"spa-a-{n}", "x", text, "spa-a", "spa", "spa", 1.0) for n, text in enumerate(["ab a", "b ñ ñ z"])
    ]
    prepared = write_set(tmp_path, train=train, dev=train)
    (prepared / "data.yaml").write_text(f"tokens: {kind}\n")
    make_tokens(prepared)
    assert Tokenizer.load(prepared).characters() == {"a", "b", "ñ"}
    make_lengths(prepared)
    assert (prepared / "oov.tsv").read_text().splitlines()[1:] == [
        "spa\tdev\t7\t1\t0.14285714285714285\tU+007A z 1",
        "spa\ttrain\t7\t1\t0.14285714285714285\tU+007A z 1",
    ]


def test_characters_out_of_the_vocabulary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dev = [Utterance("fin-b-1", "x", "a\u202e  ää\u0301 zzz b", "b", "fin", "north", 1.0), TRAIN[1]]
    prepared = write_set(tmp_path, dev=dev)
    make_tokens(prepared)
    make_lengths(prepared)
    lines = (prepared / "oov.tsv").read_text().splitlines()
    assert lines == [
        "language\tsplit\tcharacters\tout_of_vocabulary\tshare\tcommonest",
        "fin\tdev\t9\t5\t0.5555555555555556\tU+007A z 3, U+0301 ◌\u0301 1, U+202E 1",
        "fin\ttrain\t3\t0\t0.0\t",
        "spa\tdev\t2\t0\t0.0\t",
        "spa\ttrain\t2\t0\t0.0\t",
    ]
    assert caplog.messages == [
        "more than 1 % of the characters are not in tokens.txt: fin dev 56 % (U+007A z 3, U+0301 ◌\u0301 1, U+202E 1)"
    ]


def test_few_unknown_characters_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    dev = [Utterance("fin-b-1", "x", "a" * 199 + "ż", "b", "fin", "north", 1.0)]
    prepared = write_set(tmp_path, dev=dev)
    make_tokens(prepared)
    make_lengths(prepared)
    assert caplog.messages == ["characters that are not in tokens.txt: fin dev 0.5 % (U+017C ż 1) (all in oov.tsv)"]


@pytest.mark.parametrize("lines", ["fin-a-1 fin\n", "fin-a-1 fin\nspa-a-2 spa\n", "fin-a-1 fin\nspa-a-1 spa\nt fin\n"])
def test_files_that_differ_in_their_utterances(tmp_path: Path, lines: str) -> None:
    prepared = write_set(tmp_path)
    (prepared / "train/utt2lang").write_text(lines)
    with pytest.raises(
        UserError, match=r"train: text, utt2lang differ in their utterances at (spa-a-1|t); run stage 1"
    ):
        list(read_together(prepared / "train", "text", "utt2lang"))
    with pytest.raises(UserError, match="differ"):
        make_tokens(prepared)


def test_stages_out_of_order(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train/text is missing; run the earlier stages"):
        make_tokens(tmp_path)
    with pytest.raises(UserError, match="run stage 2"):
        make_lengths(tmp_path)
    with pytest.raises(UserError, match="run stage 3"):
        read_groups(tmp_path / "groups.txt")
    with pytest.raises(UserError, match="is empty; run stage 1"):
        make_tokens(write_set(tmp_path, train=[]))
