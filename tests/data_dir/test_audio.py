"""Decoding: right samples from any layout, a reason for anything that is not audio, whole files or none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_dro.data.audio import ClipError, convert_clip, decode, samples_if_converted
from tests.data_dir.tones import write_tone


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 32_000, 44_100, 48_000])
def test_sample_rates(tmp_path: Path, rate_hz: int) -> None:
    write_tone(tmp_path / "a.wav", seconds=1.0, rate_hz=rate_hz)
    samples = decode((tmp_path / "a.wav").read_bytes())
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert abs(len(samples) - 16_000) <= 1
    middle = slice(800, 15_200)  # resampling filters ring at the ends
    assert np.abs(samples[middle] - expected[middle]).max() < 1e-3


def test_mp3_to_flac(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3", seconds=1.0, rate_hz=48_000)
    samples = convert_clip(tmp_path / "a.mp3", tmp_path / "a.flac")
    found, rate_hz = soundfile.read(tmp_path / "a.flac")
    assert rate_hz == 16_000
    assert found.shape == (samples,)
    assert 1.0 <= samples / 16_000 < 1.1  # an MP3 holds whole frames
    spectrum = np.abs(np.fft.rfft(found[4000:12_000]))
    assert np.argmax(spectrum) == 220  # 440 Hz in half a second
    assert list(tmp_path.glob("*.tmp.*")) == []


def test_channels_are_averaged(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", rate_hz=16_000, channels=2)
    assert np.abs(decode((tmp_path / "a.wav").read_bytes())).max() == pytest.approx(0.25, abs=1e-3)


def test_what_is_not_audio(tmp_path: Path) -> None:
    write_tone(tmp_path / "good.mp3", seconds=2.0)
    good = (tmp_path / "good.mp3").read_bytes()
    broken = good[: len(good) // 2] + np.random.default_rng(0).bytes(2000) + good[len(good) // 2 + 2000 :]
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, dtype=np.float32), 16_000)
    cases = {
        "zero.mp3": (b"", "zero bytes"),
        "noise.mp3": (np.random.default_rng(1).bytes(5000), "cannot be decoded"),
        "text.mp3": (b"<html>not found</html>" * 20, "cannot be decoded"),
        "tiny.mp3": (good[:100], "cannot be decoded"),
        "half.mp3": (good[: len(good) // 2], "truncated or corrupt"),
        "broken.mp3": (broken, "cannot be decoded"),
        "empty.wav": ((tmp_path / "empty.wav").read_bytes(), "no samples"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ClipError, match=reason):
            convert_clip(tmp_path / name, tmp_path / "out.flac")
    for name, reason in {"gone.mp3": "no such file", ".": "not a file"}.items():
        with pytest.raises(ClipError, match=reason):
            convert_clip(tmp_path / name, tmp_path / "out.flac")
    os.mkfifo(tmp_path / "pipe.mp3")  # reading it would wait for ever
    with pytest.raises(ClipError, match="not a file"):
        convert_clip(tmp_path / "pipe.mp3", tmp_path / "out.flac")
    assert not (tmp_path / "out.flac").exists()


def test_a_trifle_cut_off_is_harmless(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3", seconds=1.0)
    assert len(decode((tmp_path / "a.mp3").read_bytes()[:-10])) / 16_000 > 0.9


def test_trusted_only_if_made_from_the_clip_as_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mp3", tmp_path / "a.flac"
    write_tone(source)
    assert samples_if_converted(source, target) == 0
    samples = convert_clip(source, target)
    assert samples_if_converted(source, target) == samples
    os.utime(source, ns=(1, 1))  # another clip of this name, older than the FLAC
    assert samples_if_converted(source, target) == 0
    target.write_bytes(b"fLaC")
    os.utime(target, ns=(1, 1))
    assert samples_if_converted(source, target) == 0


def test_unwritable_target_names_the_file(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3")
    with pytest.raises(OSError, match=r"gone/a\.flac"):
        convert_clip(tmp_path / "a.mp3", tmp_path / "gone/a.flac")
