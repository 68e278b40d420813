"""eSpeak NG through ctypes: text to samples in this process, without a program start per sentence.

Legend: ``T`` samples at ``SAMPLE_RATE_HZ``.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 22_050

# Constants of speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_RATE, _PITCH, _RANGE = 1, 3, 4
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1

_BUFFER_MS = 500
_LONGEST_DATA_PATH = 150  # the library keeps its data path in 160 bytes and cuts longer ones silently


@dataclass(frozen=True)
class Speaker:
    """How one pseudo-speaker sounds.

    Args:
        variant: Name of an eSpeak voice variant, such as ``f2``.
        rate_wpm: Speaking rate in words per minute.
        pitch: Base pitch, 0-99.
        pitch_range: Liveliness, 0-99.
    """

    variant: str
    rate_wpm: int
    pitch: int
    pitch_range: int


class Synthesizer:
    """The library, initialised once; the order of the calls to :meth:`speak` decides the samples.

    The synthesiser seeds itself from the clock and keeps state from one utterance to the next, so equal samples need an
    equal seed, an equal order and a fresh process. Hence only one object per process.

    Args:
        seed: Seed of the synthesiser's noise source.

    Raises:
        RuntimeError: If this process has made one before, or the library cannot read its data.
    """

    _made_in_process: int | None = None

    def __init__(self, seed: int) -> None:
        if Synthesizer._made_in_process == os.getpid():
            raise RuntimeError("eSpeak NG has state that outlives its object: start a fresh process for each corpus")
        Synthesizer._made_in_process = os.getpid()
        import espeakng_loader  # its import loads nothing, but costs a package look-up

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._link: tempfile.TemporaryDirectory[str] | None = None
        data_path = self._short_path(espeakng_loader.get_data_path())
        rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data_path), _INITIALIZE_DONT_EXIT
        )
        if rate != SAMPLE_RATE_HZ:
            raise RuntimeError(f"eSpeak NG could not start with the data in {data_path} (it answered {rate})")
        self._library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self._library.espeak_ng_SetRandSeed(seed)
        self._samples = bytearray()
        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._callback = signature(self._collect)  # kept: the library holds only a pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _short_path(self, path: str) -> str:
        if len(os.fsencode(path)) <= _LONGEST_DATA_PATH:
            return path
        self._link = tempfile.TemporaryDirectory(prefix="espeak")
        link = Path(self._link.name) / "data"
        link.symlink_to(path)
        return str(link)

    def _collect(self, samples: int | None, number: int, _events: int | None) -> int:
        if samples and number > 0:
            self._samples += ctypes.string_at(samples, 2 * number)
        return 0

    def speak(self, text: str, voice: str, speaker: Speaker) -> npt.NDArray[np.float32]:
        """Speak one sentence.

        Args:
            text: The sentence.
            voice: Name of an eSpeak voice, such as ``es``.
            speaker: How the speaker sounds.

        Returns:
            Samples in [-1, 1], shape (T,).

        Raises:
            ValueError: If the voice does not exist.
        """
        library = self._library
        if library.espeak_SetVoiceByName(f"{voice}+{speaker.variant}".encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in ((_RATE, speaker.rate_wpm), (_PITCH, speaker.pitch), (_RANGE, speaker.pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self._samples.clear()
        size = ctypes.c_size_t(len(encoded) + 1)
        library.espeak_Synth(encoded, size, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        samples = np.frombuffer(bytes(self._samples), dtype="<i2").astype(np.float32)
        samples /= 32768
        return samples
