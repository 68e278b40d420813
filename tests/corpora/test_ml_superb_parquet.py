"""ML-SUPERB's parquet packaging, against a reading of whole tables."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.corpora import ml_superb_parquet
from asr_dro.corpora.corpus import EncodedClip, Part, Quarantined, Row
from asr_dro.corpora.ml_superb import open_corpus
from asr_dro.corpora.ml_superb_labels import few_shot_utterances
from asr_dro.corpora.ml_superb_parquet import split_of
from asr_dro.errors import UserError
from tests.corpora.ml_superb_release import request, shard_row, tone, write_shard

LABELS = {"ces": "cv", "pol": "mls", "org_jpn": "cv"}


def rows_of(first: int, count: int) -> list[dict[str, Any]]:
    """Return rows of all labels, ids from ``first`` on."""
    return [
        shard_row(f"{prefix}_{label.removeprefix('org_')}_{number:06d}", label, number)
        for label, prefix in LABELS.items()
        for number in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def packaging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packaging")
    write_shard(root / "data" / "train-00000-of-00002.parquet", rows_of(0, 5))
    write_shard(root / "data" / "train-00001-of-00002.parquet", rows_of(5, 6))
    write_shard(root / "data" / "dev-00000-of-00001.parquet", rows_of(100, 4))
    dialects = [
        shard_row("ms_speech_tam_000001", "hin", 1, "[hin] tamil"),
        shard_row("ms_speech_hin_000002", "hin", 2, "[hin] hindi"),
        shard_row("dialects_ces_000001", "ces", 3),
    ]
    write_shard(root / "data" / "dev_dialect-00000-of-00001.parquet", dialects)
    return root


def usable(part: Part, split: str) -> list[Row]:
    return [row for row in part.rows(split) if isinstance(row, Row)]


def reasons(part: Part, split: str) -> list[tuple[str, str]]:
    return [(row.clip, row.reason) for row in part.rows(split) if isinstance(row, Quarantined)]


def read_whole(root: Path, split: str, label: str) -> list[dict[str, Any]]:
    """Return a label's rows from all shards of a split, read as whole tables."""
    import pyarrow.parquet

    tables = [pyarrow.parquet.read_table(path) for path in sorted(root.rglob(f"{split}-*.parquet"))]
    return [row for table in tables for row in table.to_pylist() if row["language"] == label]


@pytest.mark.parametrize("label", ["ces", "pol", "org_jpn"])
def test_rows_and_audio_are_those_of_the_shards(packaging: Path, label: str) -> None:
    part = open_corpus(request(packaging, label))[0]
    expected = {split: read_whole(packaging, split, label) for split in ("train", "dev")}
    assert [len(rows) for rows in expected.values()] == [11, 4]
    for split, rows in expected.items():
        assert [
            (row.name, row.sentence, row.language, row.speaker) for row in part.rows(split) if isinstance(row, Row)
        ] == [(row["id"], row["text"].removeprefix(f"[{label}] "), label, "") for row in rows]
    content = {f"{row['id']}.wav": row["audio"]["bytes"] for rows in expected.values() for row in rows}
    clips = list(part.audio.clips([*content, "nobody.wav"]))
    assert {clip.clip: clip.content for clip in clips} == content and len(clips) == len(content)
    assert part.audio.path(clips[0].clip) is None
    times_ns = {path.stat().st_mtime_ns for path in part.inputs()}
    assert {clip.time_ns for clip in clips} <= times_ns
    assert len(part.inputs()) == 3


def test_only_the_wanted_clips_are_yielded(packaging: Path) -> None:
    part = open_corpus(request(packaging, "pol"))[0]
    clips = [clip.clip for clip in part.audio.clips(["mls_pol_000003.wav", "mls_pol_000101.wav", "cv_ces_000001.wav"])]
    assert sorted(clips) == ["mls_pol_000003.wav", "mls_pol_000101.wav"]


def test_audio_of_other_languages_stays_unread(packaging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = open_corpus(request(packaging, "org_jpn"))[0]
    opened: list[int] = []
    batches = ml_superb_parquet._batches

    def record(file: Any, groups: Sequence[int], columns: Sequence[str], rows: int = 1024) -> Any:
        opened.extend(groups if "audio.bytes" in columns else [])
        return batches(file, groups, columns, rows)

    monkeypatch.setattr(ml_superb_parquet, "_batches", record)
    list(part.rows("train"))
    assert opened == []
    list(part.audio.clips(["cv_jpn_000000.wav", "cv_jpn_000001.wav"]))  # rows 10 and 11 of 15, four in a group
    assert opened == [2]


@pytest.mark.parametrize(("duration", "drawn"), [("all", True), ("1h", True), ("10min", False), ("20min", False)])
def test_ten_minutes_are_left_to_stage_1(packaging: Path, duration: str, drawn: bool) -> None:
    part = open_corpus(request(packaging, "ces", duration))[0]
    assert part.draws_itself is drawn
    assert len(usable(part, "train")) == 11


def test_language_varieties_serve_as_test_with_their_true_label(
    packaging: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "data").mkdir()
    for path in (packaging / "data").iterdir():
        os.symlink(path, tmp_path / "data" / path.name)
    write_shard(
        tmp_path / "data" / "train-00002-of-00003.parquet",
        [shard_row("cv_tam_000001", "tam"), shard_row("cv_hin_000001", "hin")],
    )
    parts = open_corpus(request(tmp_path, "tam hin ces"))
    found = {part.name: [(row.clip, row.sentence, row.language) for row in usable(part, "test")] for part in parts}
    assert found == {
        "ces/commonvoice": [],
        "ces/dialects": [("dialects_ces_000001.wav", "text of dialects_ces_000001", "ces")],
        "hin/commonvoice": [],
        "hin/ms_speech": [("ms_speech_hin_000002.wav", "hindi", "hin")],
        "tam/commonvoice": [],
        "tam/ms_speech": [("ms_speech_tam_000001.wav", "tamil", "tam")],
    }
    assert [clip.content for clip in parts[-1].audio.clips(["ms_speech_tam_000001.wav"])] == [tone(1)]
    assert "no test set; its language varieties (dev_dialect) serve as test" in caplog.text
    write_shard(tmp_path / "data" / "test-00000-of-00001.parquet", [shard_row("cv_ces_000901", "ces")])
    parts = open_corpus(request(tmp_path, "ces"))
    assert [row.name for part in parts for row in usable(part, "test")] == ["cv_ces_000901"]


def test_a_language_without_training_data_is_lacking(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-0.parquet", [shard_row("fleurs_ori_000001", "ori")])
    write_shard(tmp_path / "dev-0.parquet", [shard_row("cv_ory_000001", "ory"), shard_row("NST_nor_000001", "nor")])
    with pytest.raises(UserError, match=r"there without training utterances: nor \(Norwegian\), ory \(Odia\)\n"):
        open_corpus(request(tmp_path, "ori ory nor"))
    parts = open_corpus(request(tmp_path, "ori nor", label_repairs=["ory"], missing_languages="skip"))
    assert [(part.name, len(usable(part, "dev"))) for part in parts] == [("ory/commonvoice", 1), ("ori/fleurs", 0)]


def test_few_shot_ids_hold_here_too(tmp_path: Path) -> None:
    names = sorted(few_shot_utterances()["lit"])[:3]
    write_shard(tmp_path / "train-0.parquet", [shard_row(name, "lit") for name in [*names, "cv_lit_999999"]])
    parts = open_corpus(request(tmp_path, "lit", "1h"))
    assert sorted(row.name for part in parts for row in usable(part, "train")) == names
    assert parts[0].remarks() == ["lit/commonvoice: few-shot; 2 of its 2 training utterances are there"]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("data/train-00000-of-00027.parquet", "train"),
        ("data/dev_dialect-00000-of-00002.parquet", "dev_dialect"),
        ("default/dev/0000.parquet", "dev"),
        ("default/dev_dialect/0001.parquet", "dev_dialect"),
        ("validation.parquet", "dev"),
        ("data/devel-00000-of-00001.parquet", None),
        ("other/0000.parquet", None),
    ],
)
def test_splits_are_found_in_names(path: str, split: str | None) -> None:
    assert split_of(Path(path)) == split


def test_the_hubs_cache_and_its_conversion_are_found(tmp_path: Path) -> None:
    deep = tmp_path / "hub" / "datasets--espnet--ml_superb_hf" / "snapshots" / "5a0634"
    write_shard(deep / "data" / "train-00000-of-00001.parquet", rows_of(0, 2))
    assert len(open_corpus(request(tmp_path / "hub", "ces"))) == 1
    write_shard(tmp_path / "hub" / "default" / "train" / "0000.parquet", rows_of(0, 2))
    with pytest.raises(UserError, match="several parquet packagings"):
        open_corpus(request(tmp_path / "hub", "ces"))
    assert len(usable(open_corpus(request(tmp_path / "hub" / "default", "ces"))[0], "train")) == 2


def test_an_id_counts_once_and_has_the_audio_of_its_row(tmp_path: Path) -> None:
    name = "cv_ces_000001"
    other = [shard_row(name, "pol", 5), shard_row("cv_ces_000002", "pol", 6)]
    write_shard(tmp_path / "train-0.parquet", [*other, shard_row(name, "ces", 1), shard_row("cv_ces_000002", "ces", 2)])
    write_shard(tmp_path / "dev-0.parquet", [shard_row(name, "ces", 3), shard_row(name, "ces", 4)], 1)
    part = open_corpus(request(tmp_path, "ces"))[0]
    assert reasons(part, "train") == [(f"{name}.wav", "utterance is also in dev")]
    assert reasons(part, "dev") == [(f"{name}.wav", "utterance is there twice")]
    assert [clip.content for clip in part.audio.clips([f"{name}.wav", "cv_ces_000002.wav"])] == [tone(3), tone(2)]


def test_null_and_hostile_rows(tmp_path: Path) -> None:
    rows = [
        shard_row("cv_ces_000001", "ces", text="") | {"text": None},
        shard_row("cv_ces_../../x", "ces"),
        shard_row("cv_ces_000002", "ces") | {"audio": None},
        shard_row("cv_ces_000003", "ces") | {"audio": {"bytes": None, "path": "a.wav"}},
        shard_row("cv_ces_000004", "ces", text="[ces] [ces] [laugh] kept"),
        shard_row("cv_ces_000005", " ces ", text="no tag"),
        shard_row("cv_ces_000006", ""),
        shard_row("cv_ces_000007", "../ces"),
    ]
    write_shard(tmp_path / "train-0.parquet", rows)
    part = open_corpus(request(tmp_path, "ces"))[0]
    assert [(row.name, row.sentence) for row in usable(part, "train")][2:] == [
        ("cv_ces_000004", "[ces] [laugh] kept"),
        ("cv_ces_000005", "no tag"),
    ]
    assert reasons(part, "train") == [
        ("cv_ces_000001.wav", "no transcript"),
        ("ces/commonvoice, train:2", "utterance id is a path"),
    ]
    wanted = [row.clip for row in usable(part, "train")]
    assert sorted(clip.clip for clip in part.audio.clips(wanted)) == ["cv_ces_000004.wav", "cv_ces_000005.wav"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.binary(max_size=20), st.sampled_from([b"ces", b"pol", b"\xff"]), st.binary(max_size=20)),
        min_size=1,
    )
)
def test_any_bytes_give_one_item_for_each_row(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[bytes, bytes, bytes]]
) -> None:
    import pyarrow
    import pyarrow.parquet

    root = tmp_path_factory.mktemp("hostile")
    cells = [(b"cv_ces_" + name, language, text) for name, language, text in cells] + [(b"cv_ces_x", b"ces", b"x")]
    names = ("id", "language", "text")
    buffers = {name: pyarrow.array([row[index] for row in cells], pyarrow.binary()) for index, name in enumerate(names)}
    columns = {
        name: pyarrow.Array.from_buffers(pyarrow.string(), len(cells), array.buffers())
        for name, array in buffers.items()
    }
    columns["audio"] = pyarrow.array([{"bytes": b"", "path": ""}] * len(cells))
    pyarrow.parquet.write_table(pyarrow.table(columns), root / "train-0.parquet", row_group_size=3)
    parts = open_corpus(request(root, "ces"))
    rows = [row for part in parts for row in part.rows("train")]
    assert len(rows) == sum(language == b"ces" for _, language, _ in cells)
    for row in rows:
        assert row.clip.isprintable() and "\t" not in row.clip
        if isinstance(row, Row):
            row.sentence.encode()
            assert "/" not in row.clip
    for part in parts:
        assert all(clip.content == b"" for clip in part.audio.clips([row.clip for row in rows]))


def test_a_truncated_shard_is_named(packaging: Path, tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes((packaging / "data" / "dev-00000-of-00001.parquet").read_bytes()[:-50])
    with pytest.raises(UserError, match=r"train-00000-of-00001\.parquet cannot be read"):
        open_corpus(request(tmp_path, "ces"))


def test_wrong_columns_are_named_for_all_shards(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "sentence": ["b"]}), tmp_path / "train-0.parquet")
    table = pyarrow.table({"id": [1], "language": ["ces"], "audio": [b"bytes"], "text": ["b"]})
    pyarrow.parquet.write_table(table, tmp_path / "dev-0.parquet")
    with pytest.raises(UserError) as error:
        open_corpus(request(tmp_path, "ces"))
    assert "train-0.parquet: no column language, audio, text; columns there: id, sentence" in str(error.value)
    assert "dev-0.parquet: column id must hold strings, not int64" in str(error.value)
    assert "dev-0.parquet: column audio must hold bytes" in str(error.value)


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    """A shard of 40 MB that does not compress; few row groups of it may be in memory."""
    import pyarrow

    content = [os.urandom(100_000) for _ in range(400)]
    rows = [
        shard_row(f"cv_ces_{number:06d}", "ces") | {"audio": {"bytes": content[number], "path": None}}
        for number in range(400)
    ]
    path = write_shard(tmp_path / "train-0.parquet", rows, rows_per_group=25)
    part = open_corpus(request(tmp_path, "ces"))[0]
    clips = part.audio.clips([f"{row['id']}.wav" for row in rows])
    del rows
    before, highest, count = pyarrow.total_allocated_bytes(), 0, 0
    for number, clip in enumerate(clips):
        assert isinstance(clip, EncodedClip) and clip.content == content[number]
        highest, count = max(highest, pyarrow.total_allocated_bytes() - before), count + 1
    assert count == 400
    assert highest < path.stat().st_size / 3
