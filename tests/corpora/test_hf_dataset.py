"""``saved_dataset`` was written by datasets 5.0.1: a ``DatasetDict`` and, in ``parquet``, the same train split."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from asr_dro.corpora.corpus import Row
from asr_dro.corpora.hf_tables import Table
from asr_dro.errors import UserError
from tests.corpora.saved import audio, clips_of, columns, open_part, read, reasons, save, save_dict, tone, wav

SAVED = Path(__file__).with_name("saved_dataset")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A dataset written by the library itself."""
    return Path(shutil.copytree(SAVED, tmp_path / "saved"))


def test_what_the_library_saved(saved: Path) -> None:
    part = open_part(saved, "deu fin")
    rows = {split: [row for row in part.rows(split) if isinstance(row, Row)] for split in ("train", "dev", "test")}
    assert {split: [(row.sentence, row.language) for row in found] for split, found in rows.items()} == {
        "train": [("train 0", "fin"), ("train 1", "deu"), ("train 2", "fin")],
        "dev": [("validation 0", "fin")],
        "test": [("test 0", "deu")],
    }
    assert [row.speaker for row in rows["train"]] == ["speaker 0", "speaker 1", "speaker 2"]
    assert [row.clip for row in rows["train"]] == ["train-00000000", "train-00000001", "train-00000002"]
    for found in rows.values():
        decoded = audio(part, [row.clip for row in found])
        for number, row in enumerate(found):
            samples, rate_hz = decoded[row.clip]
            assert rate_hz == 16_000
            assert np.abs(samples - tone(1000 + 100 * number)).max() < 1 / 32767
    assert part.audio.path(rows["train"][0].clip) is None
    assert {path.name for path in part.inputs()} == {"dataset_dict.json", "state.json", "data-00000-of-00001.arrow"}
    assert len(part.inputs()) == 7


def test_parquet_as_on_the_hub(saved: Path) -> None:
    one, other = open_part(saved, "deu fin"), open_part(saved / "parquet", "deu fin")
    assert list(one.rows("train")) == list(other.rows("train"))
    clips = clips_of(other.rows("train"))
    wanted = audio(one, clips)
    for clip, (samples, _) in audio(other, clips).items():
        assert np.array_equal(samples, wanted[clip][0])
    assert list(other.rows("test")) == []
    assert {f"{other.name}: no {split} rows" for split in ("dev", "test")} <= set(other.remarks())


def test_a_single_split_is_train(saved: Path) -> None:
    part = open_part(saved / "validation", "fin")
    assert len(list(part.rows("train"))) == 1
    assert any("single split" in remark for remark in part.remarks())


@pytest.mark.parametrize(
    "layout", ["{}.parquet", "data/{}-0000{}-of-00002.parquet", "{}/000{}.parquet", "data/{}-0.parquet"]
)
def test_layouts_of_parquet(tmp_path: Path, layout: str) -> None:
    shards = 2 if layout.count("{}") == 2 else 1
    for split in ("train", "validation"):
        for shard in range(shards):
            path = tmp_path / "p" / layout.format(split, shard)
            path.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.table(columns(2)), path)
    part = open_part(tmp_path / "p")
    assert len(list(part.rows("train"))) == len(list(part.rows("dev"))) == 2 * shards
    assert len(audio(part, clips_of(part.rows("train")))) == 2 * shards


@pytest.mark.parametrize("kind", ["encoded", "whole", "large", "path", "absolute path", "path in struct"])
def test_kinds_of_audio(tmp_path: Path, kind: str) -> None:
    encoded = [wav(tone(hz)) for hz in (1000, 2000)]
    for name, content in zip("ab", encoded, strict=True):
        (tmp_path / "saved").mkdir(exist_ok=True)
        (tmp_path / "saved" / f"{name}.wav").write_bytes(content)
    struct = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    held = {
        "encoded": [{"bytes": content, "path": "elsewhere.wav"} for content in encoded],
        "whole": encoded,
        "large": pyarrow.array(encoded, pyarrow.large_binary()),
        "path": ["a.wav", "b.wav"],
        "absolute path": [str(tmp_path / "saved" / f"{name}.wav") for name in "ab"],
        "path in struct": pyarrow.array([{"bytes": None, "path": "a.wav"}, {"bytes": None, "path": "b.wav"}], struct),
    }
    part = open_part(save(tmp_path / "saved", {"audio": held[kind], "text": ["a", "b"]}))
    decoded = audio(part, clips_of(part.rows("train")))
    for clip, hz in (("train-00000000", 1000), ("train-00000001", 2000)):
        assert np.abs(decoded[clip][0] - tone(hz)).max() < 1 / 32767


@pytest.mark.parametrize("kind", [pyarrow.float32(), pyarrow.float64()], ids=str)
def test_raw_samples(tmp_path: Path, kind: pyarrow.DataType) -> None:
    loud = tone(1500) * 4
    waves = [tone(1000), tone(2000, 50), loud, np.zeros(0, np.float32)]
    values = pyarrow.array([wave.tolist() for wave in waves], pyarrow.list_(kind))
    part = open_part(save(tmp_path / "saved", {"input_values": values, "text": list("abcd")}))
    decoded = list(audio(part, clips_of(part.rows("train"))).values())
    assert [rate_hz for _, rate_hz in decoded] == [16_000] * 4
    assert np.array_equal(decoded[0][0], waves[0]), "32-bit float: bit for bit"
    assert np.array_equal(decoded[1][0], waves[1])
    assert np.abs(decoded[2][0]).max() == pytest.approx(0.9)
    assert np.corrcoef(decoded[2][0], loud)[0, 1] == pytest.approx(1)
    assert len(decoded[3][0]) == 0
    assert any("beyond full scale" in remark for remark in part.remarks())


def test_raw_samples_at_other_rates(tmp_path: Path) -> None:
    rates = [8000, 16_000, 0, None, -1, 10**9]
    source = save(
        tmp_path / "column",
        {"input_values": [[0.5] * 8] * 6, "text": ["a"] * 6, "sampling_rate": rates},
        rows_per_batch=4,
    )
    part = open_part(source)
    items = list(part.rows("train"))
    assert reasons(items) == {f"train-0000000{row}": f"sampling_rate is {rates[row]}" for row in (2, 3, 4, 5)}
    assert [rate_hz for _, rate_hz in audio(part, clips_of(items)).values()] == [8000, 16_000]
    decoded = [{"array": [0.25] * 8, "sampling_rate": 22_050, "path": "x"}, None]
    part = open_part(save(tmp_path / "struct", {"audio": decoded, "text": ["a", "b"]}))
    ((samples, rate_hz),) = audio(part, clips_of(part.rows("train"))).values()
    assert (rate_hz, samples.tolist()) == (22_050, [0.25] * 8)


def test_only_wanted_clips_in_any_portion(tmp_path: Path) -> None:
    table = pyarrow.table(columns(23))
    (tmp_path / "p").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "p/train.parquet", row_group_size=5)
    for source in (tmp_path / "p", save(tmp_path / "s", columns(23), rows_per_batch=4)):
        part = open_part(source)
        clips = clips_of(part.rows("train"))
        assert len(clips) == 23
        wanted = {clips[row] for row in (0, 4, 5, 17, 22)}
        found = audio(part, wanted)
        assert set(found) == wanted
        for row in (0, 4, 5, 17, 22):
            assert np.abs(found[clips[row]][0] - tone(1000 + 100 * row)).max() < 1 / 32767
        assert audio(part, ()) == {}


@pytest.mark.parametrize(
    ("ids", "are_names"),
    [
        (["a", "b/c", "d.wav"], True),
        ([7, 8, 9], True),
        (["a", "a", "b"], False),
        (["a/b", "a_b", "c"], False),
        (["a.wav", "a.mp3", "b"], False),
        (["a", None, "b"], False),
        (["a", "", "b"], False),
        (["a\n", "b", "c"], False),
        (["a" * 200, "b", "c"], False),
    ],
    ids=str,
)
def test_ids_name_the_clips_if_they_can(tmp_path: Path, ids: list[object], are_names: bool) -> None:
    part = open_part(save(tmp_path / "saved", columns(3, id=ids)))
    items = list(part.rows("train"))
    expected = [str(one) for one in ids] if are_names else [f"train-{row:08d}" for row in range(3)]
    assert clips_of(items) == expected
    decoded = audio(part, expected[1:])
    assert list(decoded) == expected[1:]
    assert np.abs(decoded[expected[2]][0] - tone(1200)).max() < 1 / 32767
    assert any("ids are not unique" in remark for remark in part.remarks()) != are_names


def test_ids_must_be_unique_in_all_splits(tmp_path: Path) -> None:
    source = save_dict(tmp_path / "saved", {"train": columns(2, id=["a", "b"]), "test": columns(1, id=["a"])})
    part = open_part(source)
    assert clips_of(part.rows("train")) == ["train-00000000", "train-00000001"]
    assert clips_of(part.rows("test")) == ["test-00000000"]


def test_text_is_read_without_the_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_columns = list[str]()
    original = Table.batches

    def note(self: Table, names: Sequence[str], *more: Any) -> Iterator[tuple[int, Any]]:
        read_columns.extend(names)
        return original(self, names, *more)

    monkeypatch.setattr(Table, "batches", note)
    list(open_part(save(tmp_path / "s", columns(2, lang=["fi", "fi"]))).rows("train"))
    assert set(read_columns) == {"text", "lang"}


def test_languages(tmp_path: Path) -> None:
    codes = ["fi", "de", None, "tlh", "fin", b"\xff".decode(errors="surrogateescape")]
    values = pyarrow.array([code.encode(errors="surrogateescape") if code else None for code in codes]).cast(
        pyarrow.binary()
    )
    strings = pyarrow.StringArray.from_buffers(len(codes), *values.buffers()[1:], values.buffers()[0])
    source = save(tmp_path / "saved", columns(6, language=strings))
    part = open_part(source)
    items = list(part.rows("train"))
    assert clips_of(items) == ["train-00000000", "train-00000004"]
    assert reasons(items) == {
        "train-00000002": "no language",
        "train-00000003": "unknown language 'tlh'",
        "train-00000005": "language is not UTF-8, not a string",
    }
    assert any("'tlh' (1 rows" in remark for remark in part.remarks())
    with pytest.raises(
        UserError, match=r"no training row of kat \(Georgian\)\n  Training rows there: deu \(1\), fin \(2\)"
    ):
        read(source, "fin kat")
    without = save(tmp_path / "without", columns(2))
    assert {item.language for item in read(without, "kat")} == {"kat"}
    with pytest.raises(UserError, match="several were asked for: deu fin"):
        read(without, "deu fin")


def test_values_that_cannot_be_used(tmp_path: Path) -> None:
    number = 9
    data = columns(number, duration=[1.5, None, 0.0, -1.0, float("nan"), float("inf"), 2.0, 3.0, 4.0])
    data["text"] = [*(f"text {row}" for row in range(6)), None, "", "x"]
    data["speaker"] = [*"abcdefgh", "s" * 500]
    items = read(save(tmp_path / "saved", data))
    assert clips_of(items) == [f"train-0000000{row}" for row in (0, 1, 7)]
    assert [item.duration_s for item in items if isinstance(item, Row)] == [1.5, None, 3.0]
    assert list(reasons(items).values()) == [
        "duration is 0 s", "duration is -1 s", "duration is nan s", "duration is inf s", "no text",
        "speaker has 500 characters; at most 200",
    ]  # fmt: skip


def test_rows_may_say_which_corpus_they_are_of(tmp_path: Path) -> None:
    def corpora(name: str, values: list[Any], **options: Any) -> list[str]:
        items = read(save(tmp_path / name, columns(3, corpus=values), **options))
        return [item.corpus for item in items if isinstance(item, Row)]

    assert corpora("names", ["fleurs", None, "mls"]) == ["fleurs", "", "mls"]
    assert corpora("classes", [1, 0, -1], classes={"corpus": ["fleurs", "mls"]}) == ["mls", "fleurs", ""]
    assert corpora("numbers", [1, 0, 2]) == ["", "", ""], "numbers without names name no corpus"
    assert list(reasons(read(save(tmp_path / "long", columns(1, corpus=["c" * 500]))))) == ["train-00000000"]


def test_columns(tmp_path: Path) -> None:
    more: dict[str, Any] = {"gender": [1, 0, -1], "age": [30, None, 50], "speaker_id": [1, 2, 3]}
    source = save(tmp_path / "saved", columns(3, **more), classes={"gender": ["f", "m"]})
    items = read(source, group=("gender", "language", "age"))
    assert [item.columns for item in items if isinstance(item, Row)] == [("m", "30"), ("f", ""), ("", "50")]
    assert [item.speaker for item in items if isinstance(item, Row)] == ["1", "2", "3"]
    with pytest.raises(UserError, match=r"no column accent.*columns there: audio, text, gender, age, speaker_id"):
        read(source, group=("accent",))
    for name in ("sentence", "transcription", "transcript"):
        renamed = columns(2)
        renamed[name] = renamed.pop("text")
        assert len(clips_of(read(save(tmp_path / name, renamed)))) == 2
    with pytest.raises(UserError, match=r"(?s)no audio.*and no text.*Columns there: a \(int64\), b \(list<"):
        read(save(tmp_path / "other", {"a": [1], "b": [["x"]]}))


def test_splits_by_any_name(tmp_path: Path) -> None:
    part = open_part(save_dict(tmp_path / "s", {"train": columns(1), "valid": columns(2), "train.other": columns(3)}))
    assert len(list(part.rows("dev"))) == 2
    assert any("'train.other' is left out" in remark for remark in part.remarks())
    with pytest.raises(UserError, match="several splits for dev: dev, train, validation"):
        open_part(save_dict(tmp_path / "t", {"train": columns(1), "dev": columns(1), "validation": columns(1)}))
    with pytest.raises(UserError, match="no split train; splits there: test"):
        open_part(save_dict(tmp_path / "u", {"test": columns(1)}))
    with pytest.raises(UserError, match="other columns in test than in train"):
        open_part(save_dict(tmp_path / "v", {"train": columns(1), "test": columns(1, lang=["fi"])}))
    assert re.fullmatch(r"s-[0-9a-f]{8}", part.name)


def test_the_first_reading_is_remembered(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_part(saved, "deu fin")
    with monkeypatch.context() as patch:
        patch.setattr(Table, "batches", lambda *_: pytest.fail("read again"))
        open_part(saved, "deu")
    save(saved / "train", columns(2, locale=["ka", "ka"]) | {"client_id": ["a", "b"]})
    state = json.loads((saved / "train/state.json").read_text())
    assert state["_data_files"]
    for split in ("validation", "test"):
        save(saved / split, columns(1, locale=["ka"]) | {"client_id": ["a"]})
    assert len(clips_of(read(saved, "kat"))) == 2
