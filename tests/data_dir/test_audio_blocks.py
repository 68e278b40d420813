from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from asr_dro.data.audio import ClipError, decode, decode_blocks

FORMATS = [("WAV", "FLOAT"), ("WAV", "PCM_U8"), ("FLAC", "PCM_16"), ("AIFF", "PCM_24"), ("OGG", "VORBIS")]


def encode(rate_hz: int, channels: int, container: str, subtype: str | None, seconds: float = 3.3) -> bytes:
    samples = np.random.default_rng(0).standard_normal((round(rate_hz * seconds) + 13, channels)) * 0.1
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2), (8_000, 3)])
def test_blocks_joined_are_the_whole_file(container: str, subtype: str, rate_hz: int, channels: int) -> None:
    encoded = encode(rate_hz, channels, container, subtype)
    for block_s in (0.37, 1.0, 10.0):
        blocks = list(decode_blocks(io.BytesIO(encoded), block_s))
        assert max(map(len, blocks)) < (block_s + 0.2) * 16_000
        np.testing.assert_array_equal(np.concatenate(blocks), decode(encoded))


@pytest.mark.parametrize(("container", "subtype", "rate_hz"), [("MP3", None, 44_100), ("OGG", "OPUS", 48_000)])
def test_formats_that_decode_in_packets(container: str, subtype: str | None, rate_hz: int) -> None:
    encoded = encode(rate_hz, 1, container, subtype)
    blocks = np.concatenate(list(decode_blocks(io.BytesIO(encoded), 1.0)))
    np.testing.assert_allclose(blocks, decode(encoded), atol=1e-6)  # libsndfile rounds MP3 by where a read begins


def test_damaged_files_are_refused() -> None:
    whole = encode(16_000, 1, "FLAC", "PCM_16")
    flat = io.BytesIO()
    soundfile.write(flat, np.array([0.0, np.nan, 0.1] * 5000), 16_000, format="WAV", subtype="FLOAT")
    empty = io.BytesIO()
    soundfile.write(empty, np.zeros(0), 16_000, format="WAV")
    for encoded, message in (
        (b"no audio at all", "cannot be decoded"),
        (whole[: len(whole) // 2], "truncated or corrupt|cannot be decoded"),
        (flat.getvalue(), "not numbers"),
        (empty.getvalue(), "no samples"),
    ):
        with pytest.raises(ClipError, match=message):
            list(decode_blocks(io.BytesIO(encoded), 0.5))


def test_a_file_that_does_not_know_its_length_is_refused() -> None:
    encoded = bytearray(encode(16_000, 1, "FLAC", "PCM_16"))
    encoded[21] &= 0xF0  # the number of samples in the stream's description, 36 bits: 0 is unknown
    encoded[22:26] = bytes(4)
    with pytest.raises(ClipError, match="does not say how long"):
        list(decode_blocks(io.BytesIO(bytes(encoded))))
