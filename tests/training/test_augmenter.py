"""Augmentation measured from outside: duration and pitch of tones, powers of speech and noise, equality of draws."""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_dro.errors import UserError
from asr_dro.training.augmentation import AugmentationConfig, NoiseConfig
from asr_dro.training.augmenter import Augmenter, change_speed, mix
from asr_dro.training.noise import Samples, check_noise, find_noise, read_excerpt

SPEEDS = AugmentationConfig(speed=(0.9, 1.0, 1.1))


def tone(hz: float, seconds: float = 2.0, rate_hz: int = 16_000) -> Samples:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def dominant_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=1 << 18))
    return float(np.argmax(spectrum) * 16_000 / (1 << 18))


def power_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 1.25, 2.0])
def test_speed_changes_duration_and_pitch_and_not_loudness(factor: float) -> None:
    found = change_speed(tone(1_000), factor)
    assert found.dtype == np.float32
    assert len(found) == pytest.approx(32_000 / factor, abs=1)
    assert dominant_hz(found) == pytest.approx(1_000 * factor, rel=1e-3)
    assert power_db(found[500:-500]) == pytest.approx(power_db(tone(1_000)), abs=0.05)


def test_speed_1_changes_nothing() -> None:
    samples = tone(440)
    assert change_speed(samples, 1.0) is samples


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5])
def test_the_ratio_of_powers_is_the_one_asked_for(snr_db: float) -> None:
    speech, noise = tone(300), np.random.default_rng(0).uniform(-0.7, 0.7, 32_000).astype(np.float32)
    mixed = mix(speech, noise, snr_db)
    assert power_db(speech) - power_db(mixed - speech) == pytest.approx(snr_db, abs=0.01)
    added = mixed - speech
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1.0, abs=1e-6)


def test_digital_silence_gets_no_noise_and_is_none() -> None:
    silence = np.zeros(1_000, dtype=np.float32)
    assert np.array_equal(mix(silence, tone(300)[:1_000], 5.0), silence)
    assert np.array_equal(mix(tone(300)[:1_000], silence, 5.0), tone(300)[:1_000])


@pytest.fixture
def noise_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "noise"
    (folder / "deep" / "er").mkdir(parents=True)
    generator = np.random.default_rng(0)
    soundfile.write(folder / "long.wav", 0.1 * generator.standard_normal((160_000, 2)), 48_000)
    soundfile.write(folder / "deep" / "short.flac", 0.1 * generator.standard_normal(3_000), 16_000)
    soundfile.write(folder / "deep" / "er" / "b.mp3", 0.1 * generator.standard_normal(44_100), 44_100)
    (folder / "LICENSE").write_text("free")
    return folder


def test_files_of_a_folder(noise_folder: Path) -> None:
    os.symlink(noise_folder, noise_folder / "deep" / "loop")
    (noise_folder.parent / "elsewhere").mkdir()
    soundfile.write(noise_folder.parent / "elsewhere" / "c.WAV", np.ones(5), 16_000)
    os.symlink(noise_folder.parent / "elsewhere", noise_folder / "linked")
    names = [os.path.relpath(path, noise_folder) for path in find_noise(noise_folder)]
    assert names == ["deep/er/b.mp3", "deep/short.flac", "linked/c.WAV", "long.wav"]
    check_noise(find_noise(noise_folder))


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path, noise_folder: Path) -> None:
    with pytest.raises(UserError, match="gone is no folder"):
        find_noise(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README").touch()
    with pytest.raises(UserError, match="holds no audio"):
        find_noise(tmp_path / "empty")
    for n in range(7):
        (noise_folder / f"bad{n}.wav").write_text("not audio")
    soundfile.write(noise_folder / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(UserError, match=r"(?s)8 of 11 files .*bad0\.wav.*bad4\.wav.*and 3 more") as caught:
        check_noise(find_noise(noise_folder))
    assert "bad5" not in str(caught.value)


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999_999])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_an_excerpt_begins_where_it_should(tmp_path: Path, rate_hz: int, place: float) -> None:
    sweep = np.linspace(0, 1, 4 * rate_hz)  # the sample tells where it was
    soundfile.write(tmp_path / "a.wav", sweep, rate_hz, subtype="FLOAT")
    excerpt = read_excerpt(str(tmp_path / "a.wav"), 16_000, place)
    assert excerpt.shape == (16_000,)
    assert excerpt[8_000] == pytest.approx((place * 3 + 0.5) / 4, abs=2e-3)


def test_a_short_file_is_repeated_from_anywhere(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.arange(10) / 16, 16_000, subtype="FLOAT")
    assert (16 * read_excerpt(str(tmp_path / "a.wav"), 25, 0.75)).tolist() == [
        *range(7, 10),
        *range(10),
        *range(10),
        0,
        1,
    ]
    for length in (9, 10):  # with and without a sample to spare
        assert (16 * read_excerpt(str(tmp_path / "a.wav"), length, 0.0)).tolist() == list(range(length))


def test_draws_follow_from_seed_epoch_and_utterance_alone(noise_folder: Path) -> None:
    config = AugmentationConfig((0.9, 1.0, 1.1), NoiseConfig(str(noise_folder), probability=0.7))
    speech = tone(200, 0.5)

    def draw(order: list[int], seed: int = 1, epoch: int = 1, occurrence: int = 0) -> dict[int, bytes]:
        augmenter = Augmenter.build(config, seed=seed)
        assert augmenter is not None
        np.random.seed(len(order))  # the draws of others have no say
        return {n: augmenter(speech, f"u{n}", epoch=epoch, occurrence=occurrence).tobytes() for n in order}

    forward = draw(list(range(12)))
    assert draw(list(range(11, -1, -1))) == forward
    assert draw([3]) == {3: forward[3]}
    assert len(set(forward.values())) > 6
    for other in (draw(list(range(12)), seed=2), draw(list(range(12)), epoch=2), draw(list(range(12)), occurrence=1)):
        assert sum(other[n] == forward[n] for n in range(12)) <= 4


def test_shares_of_speeds_and_noise_are_those_asked_for(noise_folder: Path) -> None:
    speech = tone(200, 0.1)
    augmenter = Augmenter(SPEEDS, seed=3)
    lengths = Counter(len(augmenter(speech, f"u{n}", epoch=1)) for n in range(900))
    assert sorted(lengths) == [1_455, 1_600, 1_778]
    assert all(240 <= count <= 360 for count in lengths.values())  # 300 expected, deviation 14
    noisy = Augmenter.build(AugmentationConfig(noise=NoiseConfig(str(noise_folder), (5, 20), 0.25)), seed=3)
    assert noisy is not None
    mixed = [noisy(speech, f"u{n}", epoch=1) for n in range(400)]
    snrs_db = [power_db(speech) - power_db(found - speech) for found in mixed if not np.array_equal(found, speech)]
    assert 65 <= len(snrs_db) <= 135  # 100 expected, deviation 9
    assert min(snrs_db) == pytest.approx(5, abs=1)
    assert max(snrs_db) == pytest.approx(20, abs=1)
    assert np.mean(snrs_db) == pytest.approx(12.5, abs=2)


def test_noise_that_fails_in_mid_training_is_named_once_and_left_out(
    noise_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    augmenter = Augmenter.build(AugmentationConfig(noise=NoiseConfig(str(noise_folder), probability=1.0)), seed=0)
    assert augmenter is not None
    for path in find_noise(noise_folder):
        Path(path).write_text("gone bad")
    speech = tone(200, 0.1)
    with caplog.at_level(logging.WARNING):
        assert all(np.array_equal(augmenter(speech, f"u{n}", epoch=1), speech) for n in range(30))
    assert sorted(record.getMessage().split(":")[0] for record in caplog.records) == [
        f"noise {path}" for path in find_noise(noise_folder)
    ]


def test_nothing_to_do_is_no_augmenter() -> None:
    assert Augmenter.build(AugmentationConfig(), seed=1) is None
