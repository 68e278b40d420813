"""ML-SUPERB's folders, against an independent reading of the lists."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.corpus import Part, Quarantined, Row
from asr_dro.corpora.ml_superb import open_corpus
from asr_dro.corpora.ml_superb_labels import few_shot_utterances
from asr_dro.errors import UserError
from tests.corpora.ml_superb_release import request, tone, write_folders, write_pair

SPLITS = ("train", "dev", "test")
PAIRS = [("commonvoice", "cv", "ces"), ("voxpopuli", "voxpopuli", "ces"), ("M-AILABS", "mailabs", "pol")]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("corpora") / "eighth_version", PAIRS)


def usable(part: Part, split: str) -> list[Row]:
    return [row for row in part.rows(split) if isinstance(row, Row)]


def quarantined(part: Part, split: str) -> dict[str, str]:
    return {row.clip: row.reason for row in part.rows(split) if isinstance(row, Quarantined)}


def read_as_the_benchmark(folder: Path, name: str) -> list[tuple[str, str]]:
    """Return (id, text) as the benchmark's own recipe reads a list."""
    lines = (folder / f"transcript_{name}.txt").read_text(encoding="utf-8").splitlines()
    return [(fields[0], fields[2]) for fields in (line.strip().split(maxsplit=2) for line in lines)]


@pytest.mark.parametrize(
    ("duration", "train", "drawn"),
    [("10min", "10min_train", True), ("1h", "1h_train", True), ("all", "1h_train", True), ("30min", "1h_train", False)],
)
def test_rows_are_those_of_the_lists(release: Path, duration: str, train: str, drawn: bool) -> None:
    parts = open_corpus(request(release, "ces pol", duration))
    assert [part.name for part in parts] == ["ces/commonvoice", "ces/voxpopuli", "pol/M-AILABS"]
    for part in parts:
        assert part.draws_itself is drawn
        label, corpus = part.name.split("/")
        for split, name in zip(SPLITS, (train, "10min_dev", "10min_test"), strict=True):
            expected = read_as_the_benchmark(release / corpus / label, name)
            rows = list(part.rows(split))
            assert all(isinstance(row, Row) and row.language == label and not row.speaker for row in rows)
            assert [(row.name, row.sentence) for row in rows if isinstance(row, Row)] == expected
            assert rows == list(part.rows(split)), "a second reading gives the same"


def test_audio_is_yielded_as_files(release: Path) -> None:
    part = open_corpus(request(release, "pol"))[0]
    wanted = [row.clip for split in SPLITS for row in usable(part, split)]
    clips = {clip.clip: clip for clip in part.audio.clips([*wanted, "not_there.wav", "../pol/wav/x.wav"])}
    assert sorted(clips) == sorted(wanted)
    for number, name in enumerate(sorted(wanted)):
        path = clips[name].content
        assert isinstance(path, Path) and path == part.audio.path(name)
        assert clips[name].time_ns == path.stat().st_mtime_ns
        assert (soundfile.read(path)[0] == soundfile.read(io.BytesIO(tone(number)))[0]).all()


def test_inputs_change_with_lists_and_audio(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "release", PAIRS[2:])
    folder = root / "M-AILABS" / "pol"
    inputs = open_corpus(request(root, "pol", "10min"))[0].inputs()
    lists = [f"transcript_{name}.txt" for name in ("10min_train", "10min_dev", "10min_test")]
    assert sorted(inputs) == sorted([*(folder / name for name in lists), folder / "wav"])


@pytest.mark.parametrize("duration", ["10min", "1h", "all", "9h"])
def test_few_shot_languages_have_their_five_utterances(tmp_path: Path, duration: str) -> None:
    names = sorted(few_shot_utterances()["tsn"])
    for corpus, prefix in (("googlei18n_tts", "googlei18n-tts"), ("nchlt", "nchlt")):
        write_pair(
            tmp_path / corpus / "tsn", prefix, {"10min_train": 20, "1h_train": 120, "10min_dev": 2, "10min_test": 3}
        )
    parts = open_corpus(request(tmp_path, "tsn", duration))
    assert sorted(row.name for part in parts for row in usable(part, "train")) == names
    assert [len(usable(part, "test")) for part in parts] == [3, 3]
    rejected = quarantined(parts[0], "train")
    assert len(rejected) == 120 - 3
    assert set(rejected.values()) == {"few-shot language: not one of its five training utterances"}
    assert parts[0].remarks() == ["tsn/googlei18n_tts: few-shot; 3 of its 3 training utterances are there"]


def test_few_shot_utterances_of_corpora_that_are_not_there_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    open_corpus(request(write_folders(tmp_path, [("fleurs", "fleurs", "kaz")]), "kaz"))
    assert "cv_kaz_000080, cv_kaz_000097, cv_kaz_000111" in caplog.text
    assert "1 of the 14 known corpora" in caplog.text and "voxforge" in caplog.text


def test_only_limits_a_language_to_some_corpora(release: Path) -> None:
    parts = open_corpus(request(release, "ces pol", only={"ces": ["voxpopuli"]}))
    assert [part.name for part in parts] == ["ces/voxpopuli", "pol/M-AILABS"]
    with pytest.raises(UserError, match="ces is not in fleurs, mls; it is in commonvoice, voxpopuli"):
        open_corpus(request(release, "ces pol", only={"ces": ["voxpopuli", "mls", "fleurs"]}))


def test_a_locale_of_common_voice_limits_nothing_here(release: Path) -> None:
    parts = open_corpus(request(release, "ces", only={"ces": ["cs"]}))
    assert [part.name for part in parts] == ["ces/commonvoice", "ces/voxpopuli"]


def test_groups_may_be_corpora(release: Path) -> None:
    parts = open_corpus(request(release, "ces pol", group=["language", "corpus", "label"]))
    columns = {part.name: {row.columns for row in usable(part, "dev")} for part in parts}
    assert columns["ces/voxpopuli"] == {("voxpopuli", "ces")}
    with pytest.raises(UserError, match="no column gender; ML-SUPERB has language, corpus, label"):
        open_corpus(request(release, "ces", group=["gender"]))


def write_lists(folder: Path, **lists: bytes) -> Path:
    folder.joinpath("wav").mkdir(parents=True, exist_ok=True)
    for name in ("10min_train", "1h_train", "10min_dev", "10min_test"):
        (folder / f"transcript_{name}.txt").write_bytes(lists.get(name, b""))
    return folder.parents[1]


BAD_LINES = (
    b"\xef\xbb\xbfcv_ces_000001\t1.2\tone\ttwo\r\n"
    b"cv_ces_000002 A  spaces  between\tand a tab\n"
    b"cv_ces_000003\t\tno second field\n"
    b"cv_ces_000004\t1.0\t\n"
    b"cv_ces_000005 1.0\n"
    b"\n"
    b"cv_ces_000001\t1.2\tonce more\n"
    b"../../etc/passwd\t1\ttext\n"
    b"..\t1\ttext\n"
    b"cv_ces_\x07\t1\ttext\n"
    b"cv_ces_000006\t1\t\xff\xfe\n" + b"x" * 300 + b"\t1\ttext\n"
    b"cv_ces_000007\t1\tdev has it\n"
    b"cv_ces_000008\t1\ttest has it\n"
    b"cv_ces_000009\t1\ta\xe2\x80\xa8line separator and \x0b tab\n"
    b"cv_ces_000010\t1\tlast, without a line end"
)


def test_every_kind_of_bad_line_has_its_reason(tmp_path: Path) -> None:
    dev, test = b"cv_ces_000007\t1\tdev\ncv_ces_000008\t1\ttoo\n", b"cv_ces_000008\t1\ttest\n"
    root = write_lists(
        tmp_path / "commonvoice" / "ces", **{"1h_train": BAD_LINES, "10min_dev": dev, "10min_test": test}
    )
    part = open_corpus(request(root, "ces"))[0]
    assert [(row.name[-2:], row.sentence) for row in usable(part, "train")] == [
        ("01", "one\ttwo"),
        ("02", "spaces  between\tand a tab"),
        ("03", "no second field"),
        ("09", "a\u2028line separator and \x0b tab"),
        ("10", "last, without a line end"),
    ]
    reasons = [(row.clip, row.reason) for row in part.rows("train") if isinstance(row, Quarantined)]
    assert reasons == [
        ("cv_ces_000004.wav", "no transcript"),
        ("transcript_1h_train.txt:5", "2 fields where a list has utterance, a second one, and text"),
        ("transcript_1h_train.txt:6", "0 fields where a list has utterance, a second one, and text"),
        ("cv_ces_000001.wav", "utterance is there twice"),
        ("transcript_1h_train.txt:8", "utterance id is a path"),
        ("transcript_1h_train.txt:9", "utterance id is a path"),
        ("transcript_1h_train.txt:10", "utterance id with white space or control characters"),
        ("transcript_1h_train.txt:11", "not UTF-8"),
        ("transcript_1h_train.txt:12", "utterance id longer than 200 bytes"),
        ("cv_ces_000007.wav", "utterance is also in dev"),
        ("cv_ces_000008.wav", "utterance is also in dev"),
    ]
    assert [row.name[-2:] for row in usable(part, "dev")] == ["07"]
    assert quarantined(part, "dev") == {"cv_ces_000008.wav": "utterance is also in test"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.text(max_size=60).map(str.encode)
        | st.builds(
            lambda name, gap, text: f"{name}{gap}1{gap}{text}".encode(),
            st.text("ab/.\0\u202e\ufeff_1", max_size=8),
            st.sampled_from("\t \u3000\x1c"),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        ),
        max_size=12,
    )
)
@example([b"\r\r", b"a\t\t", b"a b c\r", b"\xef\xbb\xbf", b"a\x00\t1\tb", b"...\t\t\x00"])
def test_hostile_lists_give_one_item_for_each_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    content = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    root = write_lists(tmp_path_factory.mktemp("hostile") / "commonvoice" / "ces", **{"1h_train": content})
    rows: list[Any] = list(open_corpus(request(root, "ces"))[0].rows("train"))
    assert len(rows) == len(lines)
    for row, line in zip(rows, content.split(b"\n")[:-1], strict=True):
        if isinstance(row, Row):
            assert row.clip.endswith(".wav") and "/" not in row.clip and row.clip.isprintable()
            assert line.removesuffix(b"\r").decode().strip().endswith(row.sentence.strip())
            assert row.name in line.decode() and row.sentence.strip()
        else:
            assert row.reason and row.reason.isprintable() and row.language == "ces"
            assert row.clip.isprintable()
    names = [row.name for row in rows if isinstance(row, Row)]
    assert len(names) == len(set(names))
