from __future__ import annotations

import json
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.corpus import Quarantined, Row, clip_name
from asr_dro.corpora.manifest_lines import LONGEST_LINE_BYTES, Segment
from tests.corpora.manifests import line, open_part, paths, read, reasons, write_lines
from tests.data_dir.tones import write_tone

MANY = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
BAD_LINES = [
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
]


@pytest.mark.parametrize(("bad", "reason"), BAD_LINES, ids=lambda value: repr(value)[:40])
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
    write_lines(tmp_path / "m/train.jsonl", [line("a.wav"), b"x" * 50_000_000, line("b.wav")])
    tracemalloc.start()
    items = read(tmp_path / "m")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert paths(items) == ["a.wav", "b.wav"]
    assert peak_bytes < 10_000_000


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
@example([], [b"\xef\xbb\xbf"])
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
        content = file.read_bytes() if file.exists() else b""
        physical = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")  # a byte order mark is no line
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
