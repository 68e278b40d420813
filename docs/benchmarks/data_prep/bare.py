"""The limit that preparation is compared with: decode, resample and encode every clip, one after another, no more.

python3 docs/benchmarks/data_prep/bare.py CLIPS_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import soundfile
import soxr


def main() -> None:
    """Convert every MP3 of one folder to 16 kHz FLAC in another."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    for clip in sorted(source.glob("*.mp3")):
        samples, rate_hz = soundfile.read(clip, dtype="float32")
        resampled = soxr.resample(samples, rate_hz, 16_000, quality="HQ")
        soundfile.write(target / f"{clip.stem}.flac", resampled, 16_000, subtype="PCM_16")


if __name__ == "__main__":
    main()
