"""Archives: hostile ones lead nowhere, cut-off ones are errors, and each is read to its end for its tables once."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from asr_dro.corpora.common_voice import archive as archive_module
from asr_dro.corpora.common_voice.archive import ArchiveAudio, copy_tables, peek
from asr_dro.corpora.corpus import EncodedClip
from asr_dro.data.processes import exclusive
from asr_dro.errors import UserError
from tests.corpora.releases import CLIPS, RELEASE, clip, parts_of, rows_of, write_packed

INSIDE = f"{RELEASE}/fi"
TABLE = b"client_id\tpath\tsentence\nc\ta.mp3\tHei.\n"
TIME_S = 1_700_000_000


def pack(path: Path, members: list[tuple[str, bytes | str | None]], *, kind: bytes = tarfile.SYMTYPE) -> Path:
    """Write an archive; a member of bytes is a file, of text a link to it, of None a device."""
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.mtime = TIME_S
            if isinstance(content, bytes):
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = (tarfile.CHRTYPE, "") if content is None else (kind, content)
                packed.addfile(member)
    return path


def clips_of(path: Path, *wanted: str, inside: str = INSIDE) -> dict[str, Path | bytes]:
    return {item.clip: item.content for item in ArchiveAudio(path, inside).clips(wanted)}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_hostile_members_are_passed_over(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    hostile: list[tuple[str, bytes | str | None]] = [
        (f"{INSIDE}/clips/link.mp3", str(secret)),
        (f"{INSIDE}/clips/device.mp3", None),
        (f"{INSIDE}/clips/../../../../up.mp3", b"up"),
        (f"{INSIDE}/clips/../train.tsv", b"up"),
        ("/etc/train.tsv", b"absolute"),
        ("../train.tsv", b"above"),
        ("train.tsv", str(secret)),
        (f"/{INSIDE}/clips/absolute.mp3", b"absolute"),
        (f"{INSIDE}/clips", str(tmp_path)),
        (f"{INSIDE}/clips/secret", str(secret)),
        ("clips/outside.mp3", b"outside"),
    ]
    members = [*hostile, (f"{INSIDE}/train.tsv", TABLE), (f"./{INSIDE}/clips/a.mp3", b"audio"), *hostile]
    path = pack(tmp_path / "fi.tar.gz", members, kind=kind)
    before = sorted(tmp_path.rglob("*"))
    wanted = ["link.mp3", "device.mp3", "up.mp3", "absolute.mp3", "secret", "outside.mp3", "../train.tsv", "a.mp3"]
    assert clips_of(path, *wanted) == {"a.mp3": b"audio"}
    assert sorted(tmp_path.rglob("*")) == before
    copied = copy_tables(path, tmp_path / "cache")
    assert (copied.inside, copied.has_clips) == (INSIDE, True)
    assert (copied.tables / "train.tsv").read_bytes() == TABLE
    made = {file.name for file in tmp_path.rglob("*") if file.is_file()}
    assert made == {"secret", "fi.tar.gz", ".lock", "train.tsv", "archive.json"}


def test_order_time_and_once(tmp_path: Path) -> None:
    members: list[tuple[str, bytes | str | None]] = [
        (f"{INSIDE}/clips/b.mp3", b"b"),
        (f"{INSIDE}/clips/a.mp3", b"a"),
        (f"{INSIDE}/clips/b.mp3", b"again"),
        (f"{INSIDE}/clips/c/d.mp3", b"d"),
    ]
    path = pack(tmp_path / "fi.tar.gz", members)
    found = list(ArchiveAudio(path, INSIDE).clips({"a.mp3", "b.mp3", "c/d.mp3", "absent.mp3"}))
    assert found == [
        EncodedClip("b.mp3", b"b", TIME_S * 10**9),
        EncodedClip("a.mp3", b"a", TIME_S * 10**9),
        EncodedClip("c/d.mp3", b"d", TIME_S * 10**9),
    ]
    assert list(ArchiveAudio(path, INSIDE).clips([])) == []


def test_huge_members_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "_LARGEST_CLIP", 10)
    path = pack(tmp_path / "fi.tar.gz", [(f"{INSIDE}/clips/a.mp3", b"x" * 11), (f"{INSIDE}/clips/b.mp3", b"x" * 10)])
    assert clips_of(path, "a.mp3", "b.mp3") == {"b.mp3": b"x" * 10}


@pytest.mark.parametrize("ending", [".tar.gz", ".tar"])
def test_cut_off_anywhere_is_an_error(tmp_path: Path, ending: str) -> None:
    whole = write_packed(tmp_path / f"corpus/fi{ending}")
    content = whole.read_bytes()
    if ending == ".tar":  # between members, inside a header, inside a content, and the end mark itself
        ends_at = len(content.rstrip(b"\0"))
        lengths = [512, 700, 5 * 512, len(content) // 2, len(content) // 2 // 512 * 512, ends_at // 512 * 512]
    else:
        lengths = [1, 100, len(content) // 3, len(content) - 9, len(content) - 1]
    for number, length in enumerate(lengths):
        cut = tmp_path / f"cut{number}" / whole.name
        cut.parent.mkdir()
        cut.write_bytes(content[:length])
        with pytest.raises(UserError, match=rf"{cut} was cut off or is damaged \(.+\); download it again"):
            parts_of(cut.parent)
        with pytest.raises(UserError, match="was cut off or is damaged"):
            clips_of(cut, "absent.mp3")
        assert not list(tmp_path.rglob("cache/fi-*"))


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    whole = write_packed(tmp_path / "corpus/fi.tar")
    content = bytearray(whole.read_bytes())
    for offset in range(len(content) // 2 // 512 * 512, len(content), 512):  # the next header
        if content[offset + 257 : offset + 262] == b"ustar":
            content[offset] ^= 1
            break
    whole.write_bytes(content)
    with pytest.raises(UserError, match="bad checksum"):
        parts_of(whole.parent)
    good = write_packed(tmp_path / "corpus/es.tar", inside="es").read_bytes()
    for padding in (b"", bytes(200_000)):  # which may follow the end mark
        packed = bytearray(gzip.compress(good + padding))
        (tmp_path / "es.tar.gz").write_bytes(packed)
        assert len(parts_of(tmp_path / "es.tar.gz", "spa")) == 1
        packed[-5] ^= 1  # the checksum
        (tmp_path / "es.tar.gz").write_bytes(packed)
        with pytest.raises(UserError, match="CRC check failed"):
            parts_of(tmp_path / "es.tar.gz", "spa")


def test_what_was_read_before_the_end_broke_off_counts(tmp_path: Path) -> None:
    whole = write_packed(tmp_path / "corpus/fi.tar")
    (part,) = parts_of(whole.parent)
    clips = [row.clip for row in rows_of(part, "train")]
    complete = list(part.audio.clips(clips))
    content = whole.read_bytes()
    whole.write_bytes(content[: content.index(f"clips/{clips[2]}".encode())])
    read: list[EncodedClip] = []
    with pytest.raises(UserError, match="was cut off"):
        for item in part.audio.clips(clips):
            read.append(item)  # what was read before the error must be seen
    assert read == complete[:2]  # with their times: what was made of them is known again
    whole.write_bytes(content)
    assert list(part.audio.clips(clips)) == complete


def test_tables_are_copied_once_and_again_if_the_archive_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_packed(tmp_path / "corpus/fi.tar.gz")
    before = [row.sentence for row in rows_of(parts_of(path.parent)[0], "train")]
    copies = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.tsv")}
    assert {file.name for file in copies} == {
        "train.tsv", "dev.tsv", "test.tsv", "validated.tsv", "clip_durations.tsv",
    }  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(archive_module, "_copy", None)
        (part,) = parts_of(path.parent)
        assert [row.sentence for row in rows_of(part, "train")] == before
        assert part.inputs() == [path]
    write_packed(path, [*CLIPS, clip("train", 77)])
    assert len(rows_of(parts_of(path.parent)[0], "train")) == len(before) + 1
    shutil.rmtree(tmp_path / "cache")
    assert len(rows_of(parts_of(path)[0], "train")) == len(before) + 1


def test_only_archives_of_wanted_languages_are_read_to_the_end(tmp_path: Path) -> None:
    write_packed(tmp_path / "corpus/fi.tar.gz")
    for name in ("es.tar.gz", "other.tar.gz"):
        (tmp_path / "corpus" / name).write_bytes(b"broken")
    assert [part.name for part in parts_of(tmp_path / "corpus")] == ["fin/fi"]
    with pytest.raises(UserError, match=r"es\.tar\.gz was cut off or is damaged"):
        parts_of(tmp_path / "corpus", "fin", "spa")
    with pytest.raises(UserError, match=r"other\.tar\.gz does not say which locale it holds"):
        parts_of(tmp_path / "corpus", "kat")


def test_archives_of_no_or_several_locales_or_without_clips(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    path = tmp_path / "corpus/fi.tar.gz"
    pack(path, [("readme.txt", b"text")])
    with pytest.raises(UserError, match="holds no table of clips"):
        parts_of(path)
    pack(path, [("fi/train.tsv", TABLE), ("fi/clips/a.mp3", b""), ("es/train.tsv", TABLE)])
    with pytest.raises(UserError, match=r"holds tables in 2 folders \(es, fi\)"):
        parts_of(path)
    pack(path, [("fi/train.tsv", TABLE)])
    with pytest.raises(UserError, match="has tables but no clips"):
        parts_of(path)


@pytest.mark.parametrize(
    ("member", "inside"),
    [
        (f"{INSIDE}/clips/a.mp3", INSIDE),
        ("./fi/train.tsv", "fi"),
        ("train.tsv", ""),
        ("clips/a.mp3", ""),
        ("readme.txt", None),
    ],
)
def test_peek(tmp_path: Path, member: str, inside: str | None) -> None:
    assert peek(pack(tmp_path / "x.tar.gz", [("readme.txt", b""), (member, b"")])) == inside


def test_kept_audio_needs_files(tmp_path: Path) -> None:
    (part,) = parts_of(write_packed(tmp_path / "corpus/fi.tar.gz"))
    assert part.audio.path(CLIPS[0].path) is None


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    members: list[tuple[str, bytes | str | None]] = [(f"fi/clips/{number}.mp3", b"x") for number in range(10_000)]
    path = pack(tmp_path / "fi.tar.gz", [*members, ("fi/train.tsv", TABLE)])
    script = """
import sys, tracemalloc
from pathlib import Path
from asr_dro.corpora.common_voice.archive import copy_tables
tracemalloc.start()
copy_tables(Path(sys.argv[1]), Path(sys.argv[2]))
sys.stdout.write(str(tracemalloc.get_traced_memory()[1]))
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "cache")]
    environment = os.environ | {"PYTHONPATH": str(root)}
    peak = int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert peak < 4_000_000  # tarfile alone would keep 1 kB a member


def test_locks_are_of_one_archive(tmp_path: Path) -> None:
    """Stage 1 of another language holds its own archive only: its locks would else be waited for, for hours."""
    path = write_packed(tmp_path / "corpus/fi.tar.gz")
    cache = tmp_path / "cache"
    with exclusive(cache), exclusive(cache / "locks" / "other"):
        script = "import sys; from pathlib import Path; from asr_dro.corpora.common_voice.archive import *\n"
        command = [
            sys.executable,
            "-c",
            f"{script}copy_tables(Path(sys.argv[1]), Path(sys.argv[2]))",
            str(path),
            str(cache),
        ]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run(command, env=environment, check=True, timeout=60)
    assert list(cache.rglob("train.tsv"))
