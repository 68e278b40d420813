"""Releases of every era, as folders and as archives: the same rows come out of each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asr_dro.corpora.common_voice.durations import Durations
from asr_dro.corpora.corpus import Row
from asr_dro.corpora.release import ERAS, Era, ReleasedClip, write_archive
from asr_dro.data.data_dir import SPLITS
from asr_dro.errors import UserError
from tests.corpora.releases import CLIPS, RELEASE, clip, parts_of, rows_of, write_locale, write_packed

Lay = Callable[[Path, Era], Path]


def _folder(out: Path, era: Era) -> Path:
    write_locale(out / RELEASE / "fi" if era.has_locale_folder else out, era=era)
    return out


def _archive(out: Path, era: Era, name: str) -> Path:
    folder = write_locale(out.parent / "unpacked", era=era)
    out.mkdir()
    write_archive(out / name, folder, f"{RELEASE}/fi" if era.has_locale_folder else "")
    shutil.rmtree(folder)
    return out / name


LAYOUTS: dict[str, Lay] = {
    "folder": _folder,
    "locale's folder": lambda out, era: write_locale(out / "fi", era=era).parent,
    "bare": lambda out, era: write_locale(out, era=era),
    "downloaded": lambda out, era: _archive(out, era, f"{RELEASE}-fi.tar.gz").parent,
    "data collective": lambda out, era: _archive(out, era, "mcv-scripted-fi-v25.0.tar.gz").parent,
    "oldest archive": lambda out, era: _archive(out, era, "fi.tar.gz"),
    "plain tar": lambda out, era: _archive(out, era, "fi.tar"),
    "nameless archive": lambda out, era: _archive(out, era, "download.tgz"),
}


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_era_in_every_layout(tmp_path: Path, era: Era, layout: str) -> None:
    (part,) = parts_of(LAYOUTS[layout](tmp_path / "corpus", era))
    assert part.name == "fin/fi"
    for split in SPLITS:
        clips = [one for one in CLIPS if one.table == split]
        assert list(part.rows(split)) == [
            Row(
                one.path,
                one.sentence,
                one.client_id,
                "fin",
                one.duration_ms / 1000 if era.durations else None,
            )
            for one in clips
        ]
        encoded = {item.clip: item.content for item in part.audio.clips({one.path for one in clips} | {"absent.mp3"})}
        contents = {clip: item if isinstance(item, bytes) else item.read_bytes() for clip, item in encoded.items()}
        assert contents == {one.path: one.path.encode() for one in clips}
    is_folder = layout in ("folder", "locale's folder", "bare")
    assert (part.audio.path(CLIPS[0].path) is not None) == is_folder
    assert all(path.exists() for path in part.inputs() if path.name not in ("times.txt", "clip_durations.tsv"))


def test_a_bare_release_says_its_language_or_is_told(tmp_path: Path) -> None:
    bare = write_locale(tmp_path / "en", era=ERAS[0])  # the folder's name says nothing: it may be anything
    (part,) = parts_of(bare, "fin")
    assert part.name == "fin/fi"
    with pytest.raises(UserError, match=r"does not say which language it holds; give one language in place of fin,spa"):
        parts_of(bare, "fin", "spa")
    said = write_locale(tmp_path / "said", era=ERAS[1])
    (part,) = parts_of(said, "fin", "spa", missing_languages="skip")
    assert part.name == "fin/fi"
    with pytest.raises(UserError, match=r"no spa .*locale es is not there"):
        parts_of(said, "spa")


@pytest.mark.parametrize(
    "lines",
    [
        ["`cv-corpus-15.0-2023-09-08/fi/clips/a.mp3` = 6192", "`cv-corpus/fi/clips/b.mp3` = 1"],
        ["/data/cv-corpus-14.0/fi/clips/a.mp3 = 6192", "b.mp3 = 1"],
        ["fi/clips/a.mp3\t6192", "b\t1"],
        ["clips/a.mp3\t6192\r", "clips/b.mp3\t1\r"],
    ],
)
def test_times(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "times.txt").write_text("\n".join([*lines, "", "garbage", "c.mp3 = -1", "d.mp3 = 0", "e = x"]))
    durations = Durations(tmp_path / "times.txt")
    assert len(durations) == 2
    assert [durations(name) for name in ("a.mp3", "b.mp3", "c.mp3", "d.mp3")] == [6.192, 0.001, None, None]


@pytest.mark.parametrize("clips", [0, 1, 2, 3, 1000, 50_000])
def test_durations_of_many_clips(tmp_path: Path, clips: int) -> None:
    table = tmp_path / "clip_durations.tsv"
    lines = "".join(f"{number + 1}\tx\tclip_{number}.mp3\r\n" for number in range(clips))
    table.write_bytes(f"\ufeffduration[ms]\tother\tclip\r\n{lines}99999999999\tx\tlong.mp3\n7\tx\n".encode())
    durations = Durations(table)
    assert len(durations) == clips
    assert [durations(f"clip_{number}.mp3") for number in range(clips)] == [(n + 1) / 1000 for n in range(clips)]
    assert not any(durations(f"clip_{number}.mp3") for number in range(clips, clips + 1000))
    table.write_text("file\tlength\na.mp3\t5\n")
    assert len(Durations(table)) == 0


def test_missing_clips_and_folders_in_their_place(tmp_path: Path) -> None:
    (part,) = parts_of(write_locale(tmp_path / "fi").parent)
    clips = [row.clip for row in rows_of(part, "train")]
    (tmp_path / "fi/clips" / clips[0]).unlink()
    assert [item.clip for item in part.audio.clips(clips)] == clips[1:]
    assert list(part.audio.clips([f"{clips[1]}/inside.mp3"])) == []


def test_several_locales_of_a_language(tmp_path: Path) -> None:
    write_locale(tmp_path / "corpus/zh-CN", locale="zh-CN")
    write_packed(tmp_path / "corpus/taiwan.tar.gz", inside=f"{RELEASE}/zh-TW")
    write_locale(tmp_path / "corpus/zh-HK", locale="zh-HK")
    assert [part.name for part in parts_of(tmp_path / "corpus", "cmn", "yue")] == [
        "cmn/zh-CN",
        "cmn/zh-TW",
        "yue/zh-HK",
    ]
    only = {"cmn": frozenset({"zh-TW"}), "yue": frozenset({"a name of another corpus"})}
    assert [part.name for part in parts_of(tmp_path / "corpus", "cmn", "yue", only=only)] == ["cmn/zh-TW", "yue/zh-HK"]


def test_a_folder_wins_over_an_archive(tmp_path: Path) -> None:
    write_packed(tmp_path / "corpus/fi.tar.gz", [clip("train", 99)])
    write_locale(tmp_path / "corpus" / RELEASE / "fi")
    (part,) = parts_of(tmp_path / "corpus")
    assert len(rows_of(part, "train")) == 4
    assert any("fi.tar.gz is not read" in remark for remark in part.remarks())


@pytest.mark.parametrize("names", [("fi.tar.gz", f"{RELEASE}-fi.tar"), ("mcv-scripted-fi-v24.0.tgz", "second.tar.gz")])
def test_two_archives_of_one_locale(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        write_packed(tmp_path / "corpus" / name)
    with pytest.raises(UserError, match="several releases of fi: ") as error:
        parts_of(tmp_path / "corpus")
    assert all(name in str(error.value) for name in names)
    assert "is not there" not in str(error.value)


def test_two_folders_of_one_locale(tmp_path: Path) -> None:
    for release in (RELEASE, "cv-corpus-24.0-2025-12-05"):
        write_locale(tmp_path / "corpus" / release / "fi")
    with pytest.raises(UserError, match=r"several releases of fi: .*24\.0.*25\.0"):
        parts_of(tmp_path / "corpus")
    assert len(parts_of(tmp_path / "corpus" / RELEASE)) == 1


def test_the_longest_name_of_a_locale_counts(tmp_path: Path) -> None:
    write_packed(tmp_path / "corpus/cv-corpus-25.0-2026-03-06-nan-tw.tar.gz", inside="")
    write_packed(tmp_path / "corpus/rm-sursilv.tar.gz", inside="")
    assert [part.name for part in parts_of(tmp_path / "corpus", "nan", "roh")] == ["nan/nan-tw", "roh/rm-sursilv"]
    with pytest.raises(UserError, match="no twi"):
        parts_of(tmp_path / "corpus", "twi")


def test_everything_that_is_lacking_at_once(tmp_path: Path) -> None:
    for locale in ("fi", "lg", "ja", "or"):
        write_locale(tmp_path / "corpus" / locale, locale=locale)
    wanted = ["ceb", "fin", "jpn", "lga", "org_jpn", "ory", "swe"]
    with pytest.raises(UserError) as error:
        parts_of(tmp_path / "corpus", *wanted)
    message = str(error.value)
    for said in (
        "no ceb (Cebuano): there is no folder ceb, and Common Voice has no locale of it",
        "no swe (Swedish): locale sv-SE is not there",
        "no lga (Ganda (lga)): Common Voice's locale lg is read as lug",
        "no org_jpn (Japanese (org_jpn)): Common Voice's locale ja is read as jpn",
        "no ory (Odia): Common Voice's locale or is read as ori",
        "Locales there: fi ja lg or (as languages: fin,jpn,lug,ori)",
        "--lang-set fin,jpn, or missing_languages: skip",
    ):
        assert said in message
    parts = parts_of(tmp_path / "corpus", *wanted, missing_languages="skip")
    assert [part.name for part in parts] == ["fin/fi", "jpn/ja"]
    with pytest.raises(UserError, match="no ceb"):
        parts_of(tmp_path / "corpus", "ceb", missing_languages="skip")


def test_all_problems_of_the_tables_at_once(tmp_path: Path) -> None:
    for locale in ("es", "fi", "ka"):
        write_locale(tmp_path / "corpus" / locale, locale=locale)
    (tmp_path / "corpus/es/train.tsv").unlink()
    (tmp_path / "corpus/fi/dev.tsv").write_text("path\tsentence\n")
    shutil.rmtree(tmp_path / "corpus/ka/clips")
    (tmp_path / "corpus/ka/clips").touch()
    with pytest.raises(UserError) as error:
        parts_of(tmp_path / "corpus", "fin", "kat", "spa")
    message = str(error.value)
    assert "es/train.tsv cannot be read: No such file or directory; train: validated" in message
    assert "fi/dev.tsv: column 'client_id' is missing" in message
    assert "ka/clips is not a folder" in message


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No locale is there; expected below it: <locale>/train\.tsv"):
        parts_of(tmp_path, "fin")
    with pytest.raises(UserError, match=r"neither a folder nor an archive; set the corpus's variable in db\.sh"):
        parts_of(tmp_path / "nowhere", "fin")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file was cut off or is damaged"):
        parts_of(tmp_path / "file", "fin")


@pytest.mark.parametrize("content", [None, b"", b"client_id\tpath\tsentence\n"])
def test_a_locale_without_test(tmp_path: Path, content: bytes | None) -> None:
    folder = write_locale(tmp_path / "corpus/fi")
    for split in ("dev", "test"):
        (folder / f"{split}.tsv").unlink() if content is None else (folder / f"{split}.tsv").write_bytes(content)
    for train in ("official", "validated"):
        (part,) = parts_of(tmp_path / "corpus", train=train)
        assert [len(rows_of(part, split)) for split in SPLITS] == [4 if train == "official" else 12, 0, 0]
        assert "fi: test.tsv is missing or has no row" in part.remarks()


def test_one_clip_can_be_everything(tmp_path: Path) -> None:
    one = ReleasedClip("train", "a.mp3", "Yksi.", "c", 500)
    (part,) = parts_of(write_locale(tmp_path / "corpus/fi", [one]).parent)
    assert list(part.rows("train")) == [Row("a.mp3", "Yksi.", "c", "fin", 0.5)]
