from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from asr_dro.corpora.corpus import Row
from asr_dro.errors import UserError
from tests.corpora.manifests import line, open_part, paths, read, reasons, write_lines


@pytest.mark.parametrize("ending", ["jsonl", "json"])
@pytest.mark.parametrize("dev", ["dev", "valid", "validation"])
def test_a_folder_with_a_file_for_each_split(tmp_path: Path, ending: str, dev: str) -> None:
    for name in ("train", dev, "test"):
        write_lines(tmp_path / "mine" / f"{name}.{ending}", [line(f"{name}.wav", name, duration=1.5, speaker="s1")])
    part = open_part(tmp_path / "mine")
    for split, name in zip(("train", "dev", "test"), ("train", dev, "test"), strict=True):
        (row,) = part.rows(split)
        assert isinstance(row, Row)
        assert (row.sentence, row.speaker, row.language, row.duration_s) == (name, "s1", "fin", 1.5)
        assert part.audio.path(row.clip) == tmp_path / "mine" / f"{name}.wav"
    assert {path.name for path in part.inputs()} == {f"{name}.{ending}" for name in ("train", dev, "test")}


def test_one_file_whose_lines_say_their_split(tmp_path: Path) -> None:
    lines: list[object] = [
        line(f"{i}.wav", split=split) for i, split in enumerate(["train", "dev", "valid", "test", "x"])
    ]
    write_lines(tmp_path / "all.jsonl", [*lines, line("5.wav"), b"{"])
    part = open_part(tmp_path / "all.jsonl")
    found = {split: list(part.rows(split)) for split in ("train", "dev", "test")}
    assert {split: paths(items) for split, items in found.items()} == {
        "train": ["0.wav"],
        "dev": ["1.wav", "2.wav"],
        "test": ["3.wav"],
    }
    assert set(reasons(found["train"])) == {"all.jsonl:5", "all.jsonl:6", "all.jsonl:7"}
    assert sum(map(len, found.values())) == 7
    assert "allowed: train, dev" in reasons(found["train"])["all.jsonl:5"]


def test_languages_by_any_code_and_only_those_asked_for(tmp_path: Path) -> None:
    codes = ["fin", "fi", "deu", "de", "xx-yy", "xx-yy", "tlh", "Finnish", "odia"]
    write_lines(tmp_path / "m/train.jsonl", [line(f"{i}.wav", lang=code) for i, code in enumerate(codes)])
    write_lines(tmp_path / "m/dev.jsonl", [line("8.wav", language="fi"), line("99.wav", lang="de", language="fi")])
    part = open_part(tmp_path / "m", "fin")
    items = list(part.rows("train"))
    assert paths(items) == ["0.wav", "1.wav", "7.wav"]
    assert reasons(items) == {f"train.jsonl:{n}": "unknown language 'xx-yy'" for n in (5, 6)} | {
        "train.jsonl:7": "unknown language 'tlh'",
        "train.jsonl:9": "unknown language 'odia'",  # ori and ory are both called so
    }
    assert paths(part.rows("dev")) == ["8.wav"], "lang goes before language"
    remarks = "\n".join(part.remarks())
    assert "'xx-yy' (2 rows" in remarks
    assert "'tlh' (1 rows" in remarks
    assert re.search(r"not asked for: deu$", remarks, flags=re.MULTILINE)
    assert [row.language for row in read(tmp_path / "m", "deu fin") if isinstance(row, Row)] == [
        "fin",
        "fin",
        "deu",
        "deu",
        "fin",
    ]


def test_without_languages_only_one_can_be_asked_for(tmp_path: Path) -> None:
    write_lines(tmp_path / "m/train.jsonl", [line(), b"not JSON"])
    items = read(tmp_path / "m", "kat")
    assert [item.language for item in items] == ["kat", "kat"]
    with pytest.raises(UserError, match=r"several were asked for: deu fin.*single one"):
        read(tmp_path / "m", "deu fin")


def test_a_line_without_language_among_others_is_not_guessed(tmp_path: Path) -> None:
    write_lines(tmp_path / "m/train.jsonl", [line("a.wav", lang="fin"), line("b.wav"), line("c.wav", lang="")])
    items = read(tmp_path / "m")
    assert paths(items) == ["a.wav"]
    assert reasons(items) == {"train.jsonl:2": "no language", "train.jsonl:3": "no language"}


def test_languages_that_are_lacking(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "m/train.jsonl", [line("a.wav", lang="fin"), line("b.wav", lang="fi"), line("c", lang="qqq")]
    )
    write_lines(tmp_path / "m/dev.jsonl", [line("d.wav", lang="kat")])
    with pytest.raises(UserError) as raised:
        read(tmp_path / "m", "deu fin kat")
    message = str(raised.value)
    for part in (
        "deu (German)",
        "kat (Georgian)",
        "fin (2)",
        "'qqq' (1 rows",
        "--lang-set fin,",
        "missing_languages: skip",
    ):
        assert part in message, part
    part_ = open_part(tmp_path / "m", "deu fin kat", missing_languages="skip")
    assert len(list(part_.rows("train"))) == 3
    assert list(part_.rows("dev")) == [], "a language without training rows is left out as a whole"
    assert any("left out" in remark and "deu kat" in remark for remark in part_.remarks())
    with pytest.raises(UserError, match=r"(?s)no training row of deu.*To take what is there: --lang-set fin$"):
        read(tmp_path / "m", "deu", missing_languages="skip")


def test_a_clip_of_dev_or_test_is_not_trained_on(tmp_path: Path) -> None:
    write_lines(tmp_path / "m/train.jsonl", [line(f"{i}.wav") for i in range(4)])
    write_lines(tmp_path / "m/dev.jsonl", [line("1.wav"), line("2.wav")])
    write_lines(tmp_path / "m/test.jsonl", [line("2.wav"), line("3.wav")])
    part = open_part(tmp_path / "m")
    for _ in range(2):  # in any order, as often as one likes
        found = {split: paths(part.rows(split)) for split in ("train", "dev", "test")}
        assert found == {"train": ["0.wav"], "dev": ["1.wav"], "test": ["2.wav", "3.wav"]}
    assert reasons(part.rows("train"))["train.jsonl:2"] == "the clip is in dev or test too"


def test_columns_for_groups(tmp_path: Path) -> None:
    lines = [line("a.wav", region="north", age=30), line("b.wav", region=None), line("c.wav", region=["x"])]
    write_lines(tmp_path / "m/train.jsonl", lines)
    items = read(tmp_path / "m", group=("language", "region", "age"))
    assert [item.columns for item in items if isinstance(item, Row)] == [("north", "30"), ("", "")]
    assert reasons(items) == {"train.jsonl:3": "region is a list, not a string"}
    with pytest.raises(UserError, match=r"no column town.*columns there: age, audio_filepath, region, text"):
        read(tmp_path / "m", group=("town",))


def test_what_is_wrong_with_the_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; set MANIFEST"):
        open_part(tmp_path / "nowhere")
    write_lines(tmp_path / "m/all_train.jsonl", [line()])
    write_lines(tmp_path / "m/dev.json", [line()])
    write_lines(tmp_path / "m/valid.jsonl", [line()])
    with pytest.raises(
        UserError, match=r"(?s)several manifests for dev: dev.json, valid.jsonl.*no train.jsonl.*all_train"
    ):
        open_part(tmp_path / "m")
    with pytest.raises(UserError, match=r"no usable line that says its `split`"):
        open_part(tmp_path / "m/dev.json")
    (tmp_path / "m/valid.jsonl").unlink()
    (tmp_path / "m/train.jsonl").write_text(json.dumps([line()], indent=1))
    with pytest.raises(UserError, match="is a JSON list"):
        open_part(tmp_path / "m")
    write_lines(tmp_path / "m/train.jsonl", [b"utt1 hei", b"utt2 hei"])
    with pytest.raises(UserError, match=r"(?s)no usable row for training.*train.jsonl:1: not JSON"):
        open_part(tmp_path / "m")
    (tmp_path / "m/train.jsonl").unlink()
    (tmp_path / "m/train.jsonl").mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        open_part(tmp_path / "m")


def test_the_first_reading_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "m/train.jsonl"
    write_lines(manifest, [line("a.wav", lang="fin", region="n")])
    open_part(tmp_path / "m", group=("region",))

    def fail(*_: object) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr("asr_dro.corpora.manifest.read_lines", fail)
        open_part(tmp_path / "m", group=("region",))
        with pytest.raises(UserError, match="no training row of deu"):
            open_part(tmp_path / "m", "deu")
    write_lines(manifest, [line("a.wav", lang="fin", region="n"), line("b.wav", lang="de")])
    assert paths(read(tmp_path / "m", "deu")) == ["b.wav"]
    (cache,) = (tmp_path / "cache").iterdir()
    cache.write_text('{"made_from": {}}')
    assert paths(read(tmp_path / "m", "deu")) == ["b.wav"], "a spoilt cache is made anew"


def test_two_manifests_keep_their_audio_apart(tmp_path: Path) -> None:
    names = set()
    for folder in ("one/corpus", "two/corpus", "three/häßlich ../corpus"):
        write_lines(tmp_path / folder / "train.jsonl", [line()])
        name = open_part(tmp_path / folder).name
        assert re.fullmatch(r"[\w-]+", name, flags=re.ASCII)
        names.add(name)
    assert len(names) == 3
    (tmp_path / "link").symlink_to(tmp_path / "one/corpus")
    assert open_part(tmp_path / "link").name in names
