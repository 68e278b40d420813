"""Files of packs by themselves: their bytes, what kills and damage leave of them, places that are none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import kaldiio  # type: ignore[import-untyped]
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data import packing
from asr_dro.data.audio import ClipError
from asr_dro.data.audio_reading import read_audio
from asr_dro.data.pack_format import is_audio_there, split_place
from asr_dro.data.packing import EncodedFlac, PackWriter, packed_places
from asr_dro.errors import UserError
from tests.data_dir.tones import write_tone


def flac(clip: str, seconds: float = 0.1, time_ns: int = 1) -> EncodedFlac:
    samples = round(16_000 * seconds)
    content = (clip.encode() * samples)[:samples]
    return EncodedFlac(clip, time_ns, samples, content, "")


def pack(folder: Path, clips: Sequence[EncodedFlac], *, most_bytes: int = 10**9) -> None:
    with PackWriter(folder, most_bytes=most_bytes) as writer:
        for clip in clips:
            writer.add(clip)


def found(folder: Path) -> dict[str, bytes]:
    """Return the clips of a part's packs as kaldiio's offsets give them, without a use of our reader."""
    contents = {}
    for place in packed_places(folder):
        path, _, offset = place.wav.rpartition(":")
        data = Path(path).read_bytes()[int(offset) :]
        assert data[:5] == b"AUDIO"
        length = int.from_bytes(data[6 : 6 + data[5]], "little")
        contents[place.clip] = data[6 + data[5] :][:length]
    return contents


def test_entries_are_those_that_kaldiio_writes(tmp_path: Path) -> None:
    for seconds in (0.1, 1.0, 5.0):  # lengths of two and three bytes
        tone = tmp_path / f"{seconds}.flac"
        write_tone(tone, seconds=seconds, rate_hz=16_000)
        samples, rate_hz = soundfile.read(tone, dtype="int16")
        kaldiio.save_ark(
            str(tmp_path / "theirs.ark"),
            {"é": (samples, rate_hz)},
            write_function="soundfile",
            write_kwargs={"format": "flac"},
        )
        theirs = (tmp_path / "theirs.ark").read_bytes()
        content = theirs[theirs.index(b"fLaC") :]
        folder = tmp_path / f"ours{seconds}"
        pack(folder, [EncodedFlac("é.mp3", 1, len(samples), content, "")])
        assert (folder / "0001.ark").read_bytes() == theirs


@settings(max_examples=10, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5), st.integers(1, 400))
def test_clips_come_back_from_packs_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, clips: list[bytes], most: int
) -> None:
    folder = tmp_path_factory.mktemp("packs")
    wanted = {f"{number}.wav": content for number, content in enumerate(clips)}
    pack(folder, [EncodedFlac(clip, 1, 1, content, "") for clip, content in wanted.items()], most_bytes=most)
    assert found(folder) == wanted
    for path in folder.glob("*.ark"):
        assert path.stat().st_size <= most or path.read_bytes().count(b" AUDIO") == 1


def test_what_a_kill_leaves_between_pack_and_index(tmp_path: Path) -> None:
    clips = [flac(f"{number}.wav") for number in range(6)]
    pack(tmp_path, clips[:3], most_bytes=4_000)  # packs of two clips
    undisturbed = tmp_path / "undisturbed"
    pack(undisturbed, clips, most_bytes=4_000)
    (tmp_path / "0003.ark").write_bytes(b"begun, and nothing noted")
    with open(tmp_path / "0002.ark", "ab") as file:
        file.write(b"3 AUDIO\x02")
    pack(tmp_path, clips[3:], most_bytes=4_000)
    for path in undisturbed.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("cut", [0, 1, 10, 1_700, 3_000])
def test_damaged_packs_are_not_gone_on_with(tmp_path: Path, cut: int) -> None:
    """Old lines of the index speak of what was there: nothing may ever come to lie at their places."""
    clips = [flac(f"{number}.wav") for number in range(4)]
    pack(tmp_path, clips[:2])
    os.truncate(tmp_path / "0001.ark", (tmp_path / "0001.ark").stat().st_size - cut)
    lost = {clip.clip for clip in clips[:2]} - found(tmp_path).keys()
    assert len(lost) == (0 if cut == 0 else 1 if cut < 1_600 else 2)
    pack(tmp_path, [*clips[2:], *(clip for clip in clips[:2] if clip.clip in lost)])
    assert found(tmp_path) == {clip.clip: clip.flac for clip in clips}
    assert (tmp_path / "0002.ark").exists() == (cut > 0)


def test_lost_packs_and_a_lost_index(tmp_path: Path) -> None:
    clips = [flac(f"{number}.wav") for number in range(4)]
    pack(tmp_path, clips[:2])
    (tmp_path / "0001.ark").rename(tmp_path / "elsewhere")
    pack(tmp_path, clips[2:])
    assert found(tmp_path).keys() == {"2.wav", "3.wav"}
    (tmp_path / "elsewhere").rename(tmp_path / "0001.ark")  # it was only unmounted
    assert found(tmp_path).keys() == {clip.clip for clip in clips}
    before = [(tmp_path / f"000{number}.ark").read_bytes() for number in (1, 2)]
    (tmp_path / "index.tsv").unlink()
    pack(tmp_path, clips[:1])
    assert [(tmp_path / f"000{number}.ark").read_bytes() for number in (1, 2)] == before  # sets may name places there
    assert list(found(tmp_path)) == ["0.wav"]
    assert (tmp_path / "0003.ark").exists()


@pytest.mark.parametrize("line", ["nonsense\n", "a\t1\t1\t1\t0\n", "a\t1\t1\tx\t0\t9\n", "a\t-1\t1\t1\t0\t9\n"])
def test_a_damaged_index_is_refused(tmp_path: Path, line: str) -> None:
    pack(tmp_path, [flac("a.wav")])
    with open(tmp_path / "index.tsv", "a") as file:
        file.write(line)
    with pytest.raises(UserError, match=r"index\.tsv:3: not a line of an index of packs; remove"):
        list(packed_places(tmp_path))
    with pytest.raises(UserError, match=r"index\.tsv:3"):
        pack(tmp_path, [flac("b.wav")])


@pytest.mark.parametrize("left", [0, 7, 43])
def test_an_index_cut_off_in_its_header_or_first_line(tmp_path: Path, left: int) -> None:
    pack(tmp_path, [flac("a.wav")])
    os.truncate(tmp_path / "index.tsv", left)
    assert list(packed_places(tmp_path)) == []
    pack(tmp_path, [flac("b.wav")])
    assert list(found(tmp_path)) == ["b.wav"]


@pytest.mark.parametrize("fails_again", [False, True])
def test_a_failing_index_is_not_garbled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_again: bool) -> None:
    """A line may be half written when the disk is full; it is tried once more at the end, when there may be room."""
    write, failures = packing._write, [1] * (2 if fails_again else 1)

    def fill(file: BinaryIO, data: bytes) -> None:
        if data.startswith(b"1.wav\t") and failures:
            failures.pop()
            write(file, data[:9])
            raise OSError(28, "No space left on device")
        write(file, data)

    pack(tmp_path, [flac("0.wav")])
    monkeypatch.setattr(packing, "_write", fill)
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*index\.tsv'"),
        PackWriter(tmp_path, synced_bytes=1) as writer,
    ):
        writer.add(flac("1.wav"))
    assert list(found(tmp_path)) == ["0.wav", *([] if fails_again else ["1.wav"])]
    pack(tmp_path, [flac("2.wav"), flac("1.wav")])
    assert sorted(found(tmp_path)) == ["0.wav", "1.wav", "2.wav"]


def test_the_first_trouble_is_the_one_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ZeroDivisionError), PackWriter(tmp_path) as writer:
        writer.add(flac("0.wav"))
        monkeypatch.setattr(packing, "_write", fail)
        raise ZeroDivisionError
    assert found(tmp_path) == {}


def test_places_that_are_damaged_or_no_places(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.flac", rate_hz=16_000)
    content = (tmp_path / "a.flac").read_bytes()
    pack(tmp_path / "p", [EncodedFlac("a.wav", 1, 9_600, content, ""), EncodedFlac("b.wav", 1, 9_600, content, "")])
    first, second = (place.wav for place in packed_places(tmp_path / "p"))
    ark = tmp_path / "p/0001.ark"
    assert len(read_audio(first, 9_600)) == len(read_audio(second, 9_600)) == 9_600
    size = ark.stat().st_size
    huge = ark.read_bytes() + b"c AUDIO\x08" + b"\xff" * 8 + b"d AUDIO\xff" + b"\xff" * 300
    ark.write_bytes(huge)
    problems = {
        f"{ark}:{len(huge)}": "cannot be read: the pack ends before this clip",
        f"{ark}:{10**17}": "cannot be read: the pack ends before this clip",
        f"{ark}:0": "cannot be read: no clip begins at this place of the pack",
        f"{ark}:{size + 2}": "cannot be read: the pack ends before this clip",  # says that it is 2 ** 64 - 1 bytes long
        f"{ark}:{size + 18}": "cannot be read: no clip begins at this place of the pack",
        f"{tmp_path}/gone.ark:5": "no such file",
        f"{tmp_path / 'p'}:5": "no such file",
        f"{ark}:-1": "no such file",
        f"{ark}:": "no such file",
        f"{ark}\0.ark:5": "cannot be read: embedded null byte",
    }
    for wav, problem in problems.items():
        with pytest.raises(ClipError, match=f"^{problem}"):
            read_audio(wav, 9_600)
    assert not is_audio_there(f"{ark}:{len(huge)}") and not is_audio_there(f"{ark}\0.ark:5")
    assert is_audio_there(second) and is_audio_there(str(tmp_path / "a.flac"))
    (tmp_path / "folder.ark").mkdir()
    with pytest.raises(ClipError, match="not a file"):
        read_audio(f"{tmp_path}/folder.ark:5", 9_600)
    os.truncate(ark, size - 1)
    assert len(read_audio(first, 9_600)) == 9_600
    with pytest.raises(ClipError, match="the pack ends before this clip"):
        read_audio(second, 9_600)
    for cut in range(8, 0, -1):  # within the head of the second clip
        os.truncate(ark, int(second.rpartition(":")[2]) + cut)
        with pytest.raises(ClipError, match="the pack ends before this clip"):
            read_audio(second, 9_600)


def test_files_whose_names_look_like_places(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.flac", rate_hz=16_000)
    for name in ("10:30", "a.ark:12", "x.wav:7", ".ark:1"):
        shutil.copyfile(tmp_path / "a.flac", tmp_path / name)
        assert len(read_audio(str(tmp_path / name), 9_600)) == 9_600
        assert is_audio_there(str(tmp_path / name))
    assert split_place("10:30") is split_place("x.wav:7") is split_place("a.ark") is None
    assert split_place("a:1.ark:12") == ("a:1.ark", 12)
