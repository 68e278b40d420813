from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_dro.data.audio import ClipError, decode
from asr_dro.decoding.recordings import Recording, duration_by_header_s
from asr_dro.decoding.segments import Cutting
from tests.decoding.experiments import speech, write_audio

CUTTING = Cutting(window_s=3.0, overlap_s=1.0)


@pytest.mark.parametrize(("name", "rate_hz"), [("a.wav", 16_000), ("a.flac", 16_000), ("a.wav", 22_050)])
def test_windows_hold_the_samples_of_their_places(tmp_path: Path, name: str, rate_hz: int) -> None:
    parts = [speech(2, seed=1, silence_s=0.9), speech(7, seed=2), speech(1, seed=3, silence_s=0.9)]
    stereo = np.stack([np.concatenate(parts), np.concatenate(parts) * 0.5], axis=1)
    path = write_audio(tmp_path / name, stereo, rate_hz)
    whole = decode(path.read_bytes())
    recording = Recording(path, CUTTING, 480)
    windows = list(recording.windows())
    plan = recording.plan
    assert plan.samples == len(whole)
    assert [(window.segment, window.span) for window in windows] == plan.windows
    assert len(plan.segments) == 3 and len(windows) > 4
    for window in windows:
        assert len(window.samples) <= 3.0 * 16_000
        np.testing.assert_array_equal(window.samples, whole[window.span.start : window.span.stop])


def test_a_recording_no_longer_than_a_window_is_heard_whole(tmp_path: Path) -> None:
    samples = np.concatenate([speech(1, seed=0, silence_s=0.4), speech(0.4, seed=1)])
    (window,) = Recording(write_audio(tmp_path / "a.wav", samples), CUTTING, 480).windows()
    np.testing.assert_array_equal(window.samples, samples)
    silent = Recording(write_audio(tmp_path / "b.wav", np.zeros(20_000, dtype=np.float32)), CUTTING, 480)
    assert list(silent.windows()) == [] and silent.plan.samples == 20_000


def test_no_more_is_held_than_a_window_and_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "long.wav", np.concatenate([speech(60, seed=seed) for seed in range(3)]))
    sizes = []
    real: Any = np.concatenate

    def watched(arrays: Any, *rest: Any) -> Any:
        joined = real(arrays, *rest)
        sizes.append(joined.nbytes)
        return joined

    recording = Recording(path, CUTTING, 480)
    monkeypatch.setattr(np, "concatenate", watched)
    assert len(list(recording.windows())) > 80
    assert max(sizes) < (3.0 + 2 * 10.0) * 16_000 * 4


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "folder.wav").mkdir()
    whole = write_audio(tmp_path / "whole.flac", speech(8, seed=0)).read_bytes()
    (tmp_path / "half.flac").write_bytes(whole[: len(whole) // 2])
    reasons = {
        "pipe.wav": "not a file",
        "empty.wav": "zero bytes",
        "text.wav": "cannot be decoded",
        "gone.wav": "no such file",
        "folder.wav": "not a file",
        "half.flac": "truncated|cannot be decoded",
        "nul\0.wav": "cannot be read",
    }
    for name, reason in reasons.items():
        with pytest.raises(ClipError, match=reason):
            list(Recording(tmp_path / name, CUTTING, 480).windows())
        assert duration_by_header_s(tmp_path / name) == (8.0 if name == "half.flac" else 0.0)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", speech(40, seed=0))
    windows = Recording(path, CUTTING, 480).windows()
    next(windows)
    write_audio(tmp_path / "b.wav", speech(2, seed=0)).replace(path)
    assert len(list(windows)) > 10, "an open file stays what it was"

    recording = Recording(path, CUTTING, 480)
    recording.plan = recording._plan(16_000 * 40, np.zeros(4_000, dtype=np.float32))
    with pytest.raises(ClipError, match="changed while it was read"):
        list(recording._read_again())
