"""The synthesiser: equal samples in a fresh process, and clear errors."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import espeakng_loader

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hashlib, sys
from asr_dro.corpora.espeak import SAMPLE_RATE_HZ, Speaker, Synthesizer
synthesizer, speaker = Synthesizer(int(sys.argv[1])), Speaker("f2", 160, 50, 50)
digest = hashlib.sha256()
for text in ("Lunes, Francia.", "martes", "Lunes, Francia."):
    samples = synthesizer.speak(text, "es", speaker)
    assert 0.3 < len(samples) / SAMPLE_RATE_HZ < 3 and 0.05 < abs(samples).max() <= 1, samples
    digest.update(samples.tobytes())
print(digest.hexdigest())
assert len(synthesizer.speak("", "es", speaker)) < SAMPLE_RATE_HZ
fast = synthesizer.speak("Lunes, Francia.", "es", Speaker("f2", 320, 50, 50))
assert len(fast) < 0.7 * len(samples)
wrong = (lambda: synthesizer.speak("a", "xx", speaker)), (lambda: Synthesizer(1))
for call, error in zip(wrong, (ValueError, RuntimeError)):
    try:
        call()
    except error as expected:
        print(expected)
    else:
        raise SystemExit("no error")
"""


def run(seed: int, *, site: Path | None = None) -> list[str]:
    path = f"{ROOT}:{site}" if site else str(ROOT)
    command = [sys.executable, "-c", SCRIPT, str(seed)]
    return subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True
    ).stdout.splitlines()


def test_fresh_processes(tmp_path: Path) -> None:
    first = run(1)
    assert len(first[0]) == hashlib.sha256().digest_size * 2
    assert first[1:] == [
        "eSpeak NG has no voice 'xx'",
        "eSpeak NG has state that outlives its object: start a fresh process for each corpus",
    ]
    deep = tmp_path / ("x" * 200)  # the library itself takes paths of 160 bytes
    deep.symlink_to(espeakng_loader.get_data_path())
    (tmp_path / "site").mkdir()
    (tmp_path / "site/espeakng_loader.py").write_text(
        f"def get_library_path(): return {espeakng_loader.get_library_path()!r}\n"
        f"def get_data_path(): return {str(deep)!r}\n"
    )
    assert run(1, site=tmp_path / "site") == first


def test_every_voice_of_the_table_is_there() -> None:
    script = """
from asr_dro.corpora.espeak import Speaker, Synthesizer
from asr_dro.data.languages import languages
synthesizer = Synthesizer(1)
for language in languages().values():
    if language.espeak_voice:
        synthesizer.speak("a", language.espeak_voice, Speaker("m3", 175, 50, 50))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")  # the library also complains about a voice without its dictionary
