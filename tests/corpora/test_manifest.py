from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.corpus import CorpusRequest, Part, Quarantined, Row, clip_name
from asr_dro.corpora.manifest import open_corpus
from asr_dro.corpora.manifest_lines import LONGEST_LINE_BYTES, Segment
from asr_dro.data.config import DataConfig
from asr_dro.errors import UserError
from tests.data_dir.tones import write_tone

MANY = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def line(path: object = "a.wav", text: object = "hei", **more: Any) -> dict[str, Any]:
    return {"audio_filepath": path, "text": text, **more}


def write_lines(path: Path, lines: Iterable[object]) -> None:
    """Objects become JSON; bytes stand as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines) + b"\n")


def request(source: Path, languages: str = "fin", **config: Any) -> CorpusRequest:
    return CorpusRequest(source, languages.split(), DataConfig(**config), cache=source.parent / "cache")


def open_part(source: Path, languages: str = "fin", **config: Any) -> Part:
    (part,) = open_corpus(request(source, languages, **config))
    return part


def read(source: Path, languages: str = "fin", split: str = "train", **config: Any) -> list[Row | Quarantined]:
    return list(open_part(source, languages, **config).rows(split))


def paths(items: Iterable[Row | Quarantined]) -> list[str]:
    return [Segment.of_clip(item.clip).path for item in items if isinstance(item, Row)]


def reasons(items: Iterable[Row | Quarantined]) -> dict[str, str]:
    return {item.clip: item.reason for item in items if isinstance(item, Quarantined)}


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
    codes = ["fin", "fi", "deu", "de", "xx-yy", "xx-yy", "tlh"]
    write_lines(tmp_path / "m/train.jsonl", [line(f"{i}.wav", lang=code) for i, code in enumerate(codes)])
    write_lines(tmp_path / "m/dev.jsonl", [line("7.wav", language="fi"), line("8.wav", lang="de", language="fi")])
    part = open_part(tmp_path / "m", "fin")
    items = list(part.rows("train"))
    assert paths(items) == ["0.wav", "1.wav"]
    assert reasons(items) == {f"train.jsonl:{n}": "unknown language 'xx-yy'" for n in (5, 6)} | {
        "train.jsonl:7": "unknown language 'tlh'"
    }
    assert paths(part.rows("dev")) == ["7.wav"], "lang goes before language"
    remarks = "\n".join(part.remarks())
    assert "'xx-yy' (2 rows" in remarks
    assert "'tlh' (1 rows" in remarks
    assert re.search(r"not asked for: deu$", remarks, flags=re.MULTILINE)
    assert [row.language for row in read(tmp_path / "m", "deu fin") if isinstance(row, Row)] == [
        "fin",
        "fin",
        "deu",
        "deu",
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
    with pytest.raises(UserError, match="no training row of deu"):
        read(tmp_path / "m", "deu", missing_languages="skip")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", None),
        (b"  \r", None),
        (b'{"audio_filepath": "b.wav"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"duration": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'["a.wav", "hei"]', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"audio_filepath": "\xff.wav", "text": "hei"}', "not UTF-8"),
        (b'{"text": "' + b"a" * LONGEST_LINE_BYTES + b'"}', "line longer than 1,000,000 bytes"),
        ({"text": "hei"}, "no audio_filepath"),
        ({"audio_filepath": "b.wav"}, "no text"),
        (line(""), "no audio_filepath"),
        (line("b.wav", text=None), "no text"),
        (line("b.wav", text=7), "text is a number, not a string"),
        (line("b.wav", text=["hei"]), "text is a list, not a string"),
        (line("b.wav", text="\ud800"), "text holds half a character"),
        (line(7), "audio_filepath is a number, not a string"),
        (line("b\0.wav"), "audio_filepath with control characters"),
        (line("b\n.wav"), "audio_filepath with control characters"),
        (line("\udcff.wav"), "audio_filepath holds half a character"),
        (line("s3://bucket/b.wav"), "audio_filepath is an address, not a file"),
        (line("b" * 200), "audio_filepath longer than 180 bytes"),
        (line("b.wav", duration=-1), "duration is not a length of time"),
        (line("b.wav", duration=0), "duration is not a length of time"),
        (line("b.wav", duration=-0.5), "duration is -0.5 s"),
        (line("b.wav", duration=float("nan")), "duration is nan s"),
        (line("b.wav", duration=float("inf")), "duration is inf s"),
        (line("b.wav", duration="3.2"), "duration is '3.2', not a number of seconds"),
        (line("b.wav", duration=True), "duration is true or false, not a number of seconds"),
        (line("b.wav", offset=-0.1, duration=1), "offset is -0.1 s"),
        (line("b.wav", offset=1), "offset without duration"),
        (line("b.wav", lang=["fin"]), "lang is a list, not a string"),
        (line("b.wav", speaker={"name": "x"}), "speaker is an object, not a string"),
        (line("b.wav", speaker="s" * 1000), "speaker has 1000 characters; at most 200"),
        (line("a.wav"), "the clip is there twice"),
        (line("./a.wav"), "the clip is there twice"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_line_is_quarantined_and_nothing_else(tmp_path: Path, bad: object, reason: str | None) -> None:
    write_lines(tmp_path / "m/train.jsonl", [line("a.wav"), bad, line("z.wav")])
    items = read(tmp_path / "m")
    assert paths(items) == ["a.wav", "z.wav"]
    assert reasons(items) == ({} if reason is None else {"train.jsonl:2": reason})


def test_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    write_lines(tmp_path / "m/train.jsonl", [])
    first, second = json.dumps(line("a.wav")), json.dumps(line("b.wav", text="a\u2028b\u0085c"), ensure_ascii=False)
    (tmp_path / "m/train.jsonl").write_bytes(f"\ufeff{first}\r\n\r\n{second}".encode())
    items = read(tmp_path / "m")
    assert paths(items) == ["a.wav", "b.wav"]
    assert isinstance(items[1], Row)
    assert items[1].sentence == "a\u2028b\u0085c"


def test_a_huge_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    import tracemalloc

    write_lines(tmp_path / "m/train.jsonl", [line("a.wav"), b"x" * 50_000_000, line("b.wav")])
    tracemalloc.start()
    items = read(tmp_path / "m")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert paths(items) == ["a.wav", "b.wav"]
    assert peak_bytes < 10_000_000


def test_a_clip_of_dev_or_test_is_not_trained_on(tmp_path: Path) -> None:
    write_lines(tmp_path / "m/train.jsonl", [line(f"{i}.wav") for i in range(4)])
    write_lines(tmp_path / "m/dev.jsonl", [line("1.wav"), line("2.wav")])
    write_lines(tmp_path / "m/test.jsonl", [line("2.wav"), line("3.wav")])
    part = open_part(tmp_path / "m")
    for _ in range(2):  # in any order, as often as one likes
        found = {split: paths(part.rows(split)) for split in ("train", "dev", "test")}
        assert found == {"train": ["0.wav"], "dev": ["1.wav"], "test": ["2.wav", "3.wav"]}
    assert reasons(part.rows("train"))["train.jsonl:2"] == "the clip is in dev or test too"


def test_segments_of_one_file(tmp_path: Path) -> None:
    cuts = [(0, 1.5), (1.5, 2.25), (3.75, 1), (1e-5, 1.5), (0.1 + 0.2, 1.5)]
    lines = [line("long.wav", offset=offset, duration=duration) for offset, duration in cuts]
    write_lines(
        tmp_path / "m/train.jsonl", [*lines, line("long.wav", duration=9), line("long.wav", offset=0, duration=1.5)]
    )
    write_tone(tmp_path / "m/long.wav")
    part = open_part(tmp_path / "m")
    items = list(part.rows("train"))
    rows = [item for item in items if isinstance(item, Row)]
    assert [row.duration_s for row in rows] == [*(duration for _, duration in cuts), 9]
    assert reasons(items) == {"train.jsonl:7": "the clip is there twice"}
    assert len({row.name for row in rows}) == len(rows)
    clips = {clip.clip: clip for clip in part.audio.clips([row.clip for row in rows])}
    for row, (offset, duration) in zip(rows, cuts, strict=False):
        clip = clips[row.clip]
        assert clip.content == tmp_path / "m/long.wav"
        assert (clip.start_s, clip.length_s) == pytest.approx((offset, duration), abs=1e-9)
        assert part.audio.path(row.clip) is None
    assert clips[rows[-1].clip].length_s is None
    assert part.audio.path(rows[-1].clip) == tmp_path / "m/long.wav"


def test_paths_of_the_users_own_and_names_inside_our_folder(tmp_path: Path) -> None:
    listed = [
        "clips/a.wav", "clips_a.wav", "clips/a.flac", "other/a.wav", "a", "a.", "./../elsewhere/a.wav", "a b/å c.wav",
        str(tmp_path / "m/deep/a.wav"), str(tmp_path / "far/a.wav"), "rec@1+2.wav", "...", "..wav", "x/.y", "v1.2/a",
        "-rf", "a-0123456789ab.wav",
    ]  # fmt: skip
    for path in listed:
        write_tone(tmp_path / "tone.wav")
        target = tmp_path / "m" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "tone.wav").read_bytes())
    write_lines(tmp_path / "m/train.jsonl", [line(path) for path in listed])
    part = open_part(tmp_path / "m")
    rows = [row for row in part.rows("train") if isinstance(row, Row)]
    assert len(rows) == len(listed)
    names = [row.name for row in rows]
    assert len({name.casefold() for name in names}) == len(listed)
    audio = tmp_path / "audio"
    for name in names:
        assert (audio / f"{name}.flac").resolve().parent == audio.resolve()
        assert name.isprintable()
        assert name.split() == [name]
    for row, path in zip(rows, listed, strict=True):
        file = part.audio.path(row.clip)
        assert file is not None
        assert file.samefile(tmp_path / "m" / path)
    assert {clip.clip for clip in part.audio.clips({row.clip for row in rows})} == {row.clip for row in rows}


def test_a_missing_file_is_left_out_by_the_audio(tmp_path: Path) -> None:
    write_lines(tmp_path / "m/train.jsonl", [line("there.wav"), line("not-there.wav")])
    write_tone(tmp_path / "m/there.wav")
    part = open_part(tmp_path / "m")
    clips = [row.clip for row in part.rows("train")]
    (clip,) = part.audio.clips(clips)
    assert clip.clip == clips[0]
    assert clip.time_ns == (tmp_path / "m/there.wav").stat().st_mtime_ns


@MANY
@given(
    st.text(
        st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs", "Cf", "Co", "Cn"]), min_size=1, max_size=30
    ),
    st.none() | st.tuples(st.floats(0, 1e9), st.floats(1e-6, 1e9)),
)
@example("rec@1+2.wav", None)
@example("rec@1+2-000000000000.wav", (1.0, 2.0))
def test_a_clips_name_says_where_its_audio_is(path: str, cut: tuple[float, float] | None) -> None:
    segment = Segment(path) if cut is None else Segment(path, round(cut[0], 6), round(cut[1], 6))
    assert Segment.of_clip(segment.clip) == segment
    name = clip_name(segment.clip)
    assert "/" not in name
    assert len(name.encode()) <= len(path.encode()) + 50
    with pytest.raises(ValueError, match="not the name"):
        Segment.of_clip("x" + segment.clip)


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


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["audio_filepath", "text", "duration", "offset", "lang", "language", "speaker", "region", "split"]
PLAUSIBLE = st.fixed_dictionaries(
    {"audio_filepath": st.sampled_from(["a.wav", "b.wav", "../c.wav", "/d.wav"]), "text": st.just("hei")},
    optional={
        "lang": st.sampled_from(["fin", "fi", "de", "?"]),
        "offset": st.floats(0, 9),
        "duration": st.floats(0.1, 9),
    },
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), JSON_VALUES, max_size=6)
RAW = st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"\r"))
HOSTILE = st.lists((PLAUSIBLE | OBJECTS).map(lambda value: json.dumps(value).encode()) | RAW, max_size=120)


@MANY
@given(HOSTILE, HOSTILE)
def test_every_hostile_line_is_one_item(
    tmp_path_factory: pytest.TempPathFactory, train: list[bytes], dev: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("hostile") / "m"
    good = [json.dumps(line(f"good{i}.wav", lang="fin", region="x")).encode() for i in range(3)]
    write_lines(folder / "train.jsonl", [good[0], *train, good[1], *train, good[2]])
    write_lines(folder / "dev.jsonl", dev)
    part = open_part(folder, "fin", group=("language", "region"))
    for split in ("train", "dev", "test"):
        items = list(part.rows(split))
        file = folder / f"{split}.jsonl"
        physical = file.read_bytes().split(b"\n") if file.exists() else []
        expected = sum(1 for raw in physical if raw.strip() and not is_of_another_language(raw))
        assert len(items) == expected
        rows = [item for item in items if isinstance(item, Row)]
        assert max(Counter(row.name for row in rows).values(), default=1) == 1
        for item in items:
            "".join([item.clip, *(item.reason if isinstance(item, Quarantined) else item.sentence)]).encode()
            if isinstance(item, Quarantined):
                assert item.reason
                assert item.reason.isprintable()
                assert re.fullmatch(rf"{split}\.jsonl:[0-9]+", item.clip)
        if split == "train":
            found = [Segment.of_clip(row.clip).path for row in rows]
            assert [path for path in found if path.startswith("good")] == ["good0.wav", "good1.wav", "good2.wav"]


def is_of_another_language(raw: bytes) -> bool:
    """Whether a line is usable but German: such lines are not rows of a set with Finnish alone."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or value.get("lang", value.get("language")) != "de":
        return False
    return value.keys() <= {"audio_filepath", "text", "lang", "offset", "duration"} and (
        "offset" not in value or "duration" in value
    )
