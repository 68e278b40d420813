"""Decoding: right samples from any layout, a reason for anything that is not audio, whole files or none."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.corpora.corpus import EncodedClip
from asr_dro.data.audio import (
    ClipError,
    check_chunk,
    convert_chunk,
    convert_clip,
    decode,
    duration_s,
    measure_chunk,
    samples_if_converted,
)
from tests.data_dir.tones import write_tone


def clip_of(path: Path) -> EncodedClip:
    return EncodedClip(path.name, path, path.stat().st_mtime_ns if path.exists() else 0)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_sample_rates(tmp_path: Path, rate_hz: int) -> None:
    write_tone(tmp_path / "a.wav", seconds=1.0, rate_hz=rate_hz)
    samples = decode((tmp_path / "a.wav").read_bytes())
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert abs(len(samples) - 16_000) <= 1
    middle = slice(800, 15_200)  # resampling filters ring at the ends
    assert np.abs(samples[middle] - expected[middle]).max() < 1e-3


def test_mp3_to_flac(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3", seconds=1.0, rate_hz=48_000)
    samples = convert_clip(clip_of(tmp_path / "a.mp3"), tmp_path / "a.flac")
    found, rate_hz = soundfile.read(tmp_path / "a.flac")
    assert rate_hz == 16_000
    assert found.shape == (samples,)
    assert 1.0 <= samples / 16_000 < 1.1  # an MP3 holds whole frames
    spectrum = np.abs(np.fft.rfft(found[4000:12_000]))
    assert np.argmax(spectrum) == 220  # 440 Hz in half a second
    assert list(tmp_path.glob("*.tmp.*")) == []


def test_bytes_are_as_good_as_a_file(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3")
    encoded = clip_of(tmp_path / "a.mp3")
    convert_clip(encoded, tmp_path / "file.flac")
    convert_clip(dataclasses.replace(encoded, content=(tmp_path / "a.mp3").read_bytes()), tmp_path / "bytes.flac")
    assert (tmp_path / "file.flac").read_bytes() == (tmp_path / "bytes.flac").read_bytes()
    assert (tmp_path / "bytes.flac").stat().st_mtime_ns == encoded.time_ns


def test_channels_are_averaged(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", rate_hz=16_000, channels=2)
    assert np.abs(decode((tmp_path / "a.wav").read_bytes())).max() == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_segments(tmp_path: Path, suffix: str) -> None:
    steps = np.repeat([0.1, 0.2, 0.3, 0.4], 12_000)  # half a second each
    tone = steps * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 24_000)
    path = tmp_path / f"long.{suffix}"
    soundfile.write(path, tone, 24_000, format=suffix.upper())
    for start_s, length_s, expected_s, peak in ((0.5, 0.5, 0.5, 0.2), (1.5, None, 0.5, 0.4), (0.0, 0.25, 0.25, 0.1)):
        segment = EncodedClip("a", path, 1, start_s, length_s)
        assert duration_s(segment) == pytest.approx(expected_s, abs=0.1)  # an MP3 is padded at its end
        samples = convert_clip(segment, tmp_path / "a.flac")
        assert samples / 16_000 == pytest.approx(duration_s(segment), abs=1e-3)
        found, _ = soundfile.read(tmp_path / "a.flac")
        quarter = len(found) // 4
        assert np.abs(found[quarter : 2 * quarter]).max() == pytest.approx(peak, abs=0.03)
    for start_s, length_s, reason in (
        (1.8, 0.5, r"ends 0\.\d\d s after the end of its file"),
        (9.0, None, "no samples"),
    ):
        with pytest.raises(ClipError, match=reason):
            convert_clip(EncodedClip("a", path, 1, start_s, length_s), tmp_path / "a.flac")
        assert measure_chunk([EncodedClip("a", path, 1, start_s, length_s)])[0][2]


def test_what_is_not_audio(tmp_path: Path) -> None:
    write_tone(tmp_path / "good.mp3", seconds=2.0)
    good = (tmp_path / "good.mp3").read_bytes()
    broken = good[: len(good) // 2] + np.random.default_rng(0).bytes(2000) + good[len(good) // 2 + 2000 :]
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, dtype=np.float32), 16_000)
    soundfile.write(tmp_path / "slow.wav", np.zeros(1000, dtype=np.float32), 100)
    cases = {
        "zero.mp3": (b"", "zero bytes"),
        "noise.mp3": (np.random.default_rng(1).bytes(5000), "cannot be decoded"),
        "text.mp3": (b"<html>not found</html>" * 20, "cannot be decoded"),
        "tiny.mp3": (good[:100], "cannot be decoded"),
        "half.mp3": (good[: len(good) // 2], "truncated or corrupt"),
        "broken.mp3": (broken, "cannot be decoded"),
        "empty.wav": ((tmp_path / "empty.wav").read_bytes(), "no samples"),
        "slow.wav": ((tmp_path / "slow.wav").read_bytes(), "sample rate of 100 Hz"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        for encoded in (clip_of(tmp_path / name), EncodedClip(name, content, 1)):
            with pytest.raises(ClipError, match=reason):
                convert_clip(encoded, tmp_path / "out.flac")
    os.mkfifo(tmp_path / "pipe.mp3")  # reading it would wait for ever
    (tmp_path / "folder.mp3").mkdir()
    for name, reason in {"gone.mp3": "no such file", "folder.mp3": "not a file", "pipe.mp3": "not a file"}.items():
        with pytest.raises(ClipError, match=reason):
            convert_clip(clip_of(tmp_path / name), tmp_path / "out.flac")
        outcome = (name, 0.0, reason)
        with_length = dataclasses.replace(clip_of(tmp_path / name), length_s=1.0)
        assert measure_chunk([clip_of(tmp_path / name)]) == check_chunk([with_length]) == [outcome]
    assert not (tmp_path / "out.flac").exists()


def test_silence(tmp_path: Path) -> None:
    for peak, is_silent in ((0.0, True), (0.9e-4, True), (1.2e-4, False)):
        samples = -peak * np.sin(np.arange(16_000)) ** 2
        soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
        found = convert_chunk([clip_of(tmp_path / "a.wav")], tmp_path)
        assert found == [("a.wav", 0.0, "silent") if is_silent else ("a.wav", 1.0, "")]
        assert (tmp_path / "a.flac").exists() != is_silent


def test_an_hour_is_not_a_sentence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(3601 * 1000, dtype=np.int16), 1000)
    with pytest.raises(ClipError, match="3601 s is longer than an hour"):
        decode((tmp_path / "a.wav").read_bytes())


def test_header_that_asks_for_all_the_memory() -> None:
    flac = bytearray(_encoded("FLAC"))
    # STREAMINFO from byte 18 on: rate (20 bits), channels - 1 (3), bits per sample - 1 (5), frames (36)
    rate_hz, frames = 655_350, 655_350 * 3000
    flac[18:26] = (rate_hz << 44 | 7 << 41 | 15 << 36 | frames).to_bytes(8, "big")
    with pytest.raises(ClipError, match=r"cannot be decoded|truncated"):
        decode(bytes(flac))


def _encoded(suffix: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, 0.3 * np.sin(np.arange(4000) / 5), 16_000, format=suffix)
    return stream.getvalue()


@settings(max_examples=200, deadline=None)
@given(
    content=st.sampled_from([_encoded("WAV"), _encoded("FLAC"), _encoded("MP3"), _encoded("OGG")]),
    changes=st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
)
def test_damaged_headers_never_end_the_run(content: bytes, changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(content)
    for position, replacement in changes:
        damaged[position : position + len(replacement)] = replacement
    encoded = EncodedClip("a", bytes(damaged), 1)
    measured = measure_chunk([encoded])[0]
    try:
        assert np.isfinite(decode(bytes(damaged))).all()
    except ClipError as error:
        assert str(error)
    assert measured[2] or measured[1] > 0


def test_a_trifle_cut_off_is_harmless(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3", seconds=1.0)
    assert len(decode((tmp_path / "a.mp3").read_bytes()[:-10])) / 16_000 > 0.9


def test_trusted_only_if_made_from_the_clip_as_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mp3", tmp_path / "a.flac"
    write_tone(source)
    assert samples_if_converted(clip_of(source), target) == 0
    samples = convert_clip(clip_of(source), target)
    assert samples_if_converted(clip_of(source), target) == samples
    before = target.stat().st_ino
    assert convert_chunk([clip_of(source)], tmp_path) == [("a.mp3", samples / 16_000, "")]
    assert target.stat().st_ino == before
    os.utime(source, ns=(1, 1))  # another clip of this name, older than the FLAC
    assert samples_if_converted(clip_of(source), target) == 0
    target.write_bytes(b"fLaC")
    os.utime(target, ns=(1, 1))
    assert samples_if_converted(clip_of(source), target) == 0


def test_lengths_from_headers(tmp_path: Path) -> None:
    for suffix, rate_hz in (("wav", 8_000), ("flac", 44_100), ("mp3", 32_000), ("mp3", 48_000)):
        path = tmp_path / f"{rate_hz}.{suffix}"
        write_tone(path, seconds=1.5, rate_hz=rate_hz)
        expected = len(decode(path.read_bytes())) / 16_000
        assert measure_chunk([clip_of(path)])[0][1] == pytest.approx(expected, abs=1e-3)
        assert check_chunk([clip_of(path)]) == measure_chunk([clip_of(path)])
        assert check_chunk([dataclasses.replace(clip_of(path), length_s=7.0)]) == [(path.name, 7.0, "")]


def test_unwritable_target_names_the_file(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3")
    with pytest.raises(OSError, match=r"gone/a\.flac"):
        convert_clip(clip_of(tmp_path / "a.mp3"), tmp_path / "gone/a.flac")
