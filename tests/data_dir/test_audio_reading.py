"""Reading for training and decoding: right samples of any file, a reason for anything else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from asr_dro.data import audio_reading
from asr_dro.data.audio import ClipError
from asr_dro.data.audio_reading import check_audio_is_there, read_audio
from asr_dro.data.packed_columns import read_strings
from asr_dro.errors import UserError
from tests.data_dir.tones import write_tone


def test_flac_at_16_khz_is_read_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    samples = read_audio(str(path), 16_000)
    assert samples.dtype == np.float32
    assert np.array_equal(samples, soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize(("suffix", "rate_hz", "channels"), [("wav", 48_000, 2), ("ogg", 8_000, 1), ("mp3", 44_100, 2)])
def test_other_files_are_mixed_and_resampled(tmp_path: Path, suffix: str, rate_hz: int, channels: int) -> None:
    path = tmp_path / f"a.{suffix}"
    write_tone(path, seconds=2.0, rate_hz=rate_hz, channels=channels)
    samples = read_audio(str(path), 32_000)
    mixed = soundfile.read(path, always_2d=True)[0].mean(axis=1)
    expected = resample_poly(mixed, 160, rate_hz // 100)  # another resampler
    assert abs(len(samples) - len(expected)) <= 1
    middle = slice(3_000, 28_000)
    assert np.abs(samples[middle] - expected[middle]).max() < 5e-3


def test_a_small_difference_from_the_declared_length_is_harmless(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.mp3", seconds=1.0, rate_hz=48_000)
    for declared in (15_000, 16_000, 17_000, 12_000):
        assert 16_000 <= len(read_audio(str(tmp_path / "a.mp3"), declared)) < 17_600


@pytest.mark.parametrize(("seconds", "declared_s"), [(60.0, 5.0), (1.0, 5.0), (0.05, 0.1)])
def test_another_length_than_declared_is_another_file(tmp_path: Path, seconds: float, declared_s: float) -> None:
    write_tone(tmp_path / "a.wav", seconds=seconds, rate_hz=16_000)
    with pytest.raises(ClipError, match=rf"{seconds:.2f} s long, not {declared_s:.2f} s"):
        read_audio(str(tmp_path / "a.wav"), round(declared_s * 16_000))


def test_whatever_is_wrong_is_a_reason_and_never_another_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tone(tmp_path / "good.mp3", seconds=2.0)
    good = (tmp_path / "good.mp3").read_bytes()
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "half.mp3").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.mp3").write_text("<html>not found</html>")
    os.mkfifo(tmp_path / "pipe.mp3")
    reasons = {
        "gone.mp3": "no such file",
        "empty.mp3": "zero bytes",
        "half.mp3": "truncated",
        "text.mp3": "cannot be decoded",
        "pipe.mp3": "not a file",
        ".": "not a file",
        "good.mp3/x": "cannot be read: Not a directory",
        "nul\0.mp3": "cannot be read",
    }
    for name, reason in reasons.items():
        with pytest.raises(ClipError, match=reason):
            read_audio(str(tmp_path / name), 32_000)

    def fail(encoded: bytes) -> None:
        raise RuntimeError(f"{len(encoded)} bytes of trouble")

    monkeypatch.setattr(audio_reading, "decode", fail)
    with pytest.raises(ClipError, match="bytes of trouble"):
        read_audio(str(tmp_path / "good.mp3"), 32_000)


def test_a_corpus_that_has_moved_is_noticed_before_the_run(tmp_path: Path) -> None:
    scp = tmp_path / "wav.scp"
    scp.write_text("".join(f"u{n:04} {tmp_path}/{n}.wav\n" for n in range(1_000)))
    paths = read_strings(scp)[1]
    with pytest.raises(UserError, match=r"wav\.scp: there is no audio; 91 of 1000 .*0\.wav"):
        check_audio_is_there(paths, scp)
    (tmp_path / "990.wav").touch()  # one of those that are looked for
    check_audio_is_there(paths, scp)
    scp.write_text("")
    check_audio_is_there(read_strings(scp)[1], scp)
    scp.write_text("u here/0.wav\n")
    with pytest.raises(UserError, match="relative to "):
        check_audio_is_there(read_strings(scp)[1], scp)
