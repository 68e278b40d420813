"""Audio of prepared sets as training and decoding read it: any format, rate and number of channels.

Legend: ``T`` samples.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_dro.data.audio import ClipError, decode
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.pack_format import is_audio_there, read_entry, split_place
from asr_dro.data.packed_columns import PackedStrings
from asr_dro.errors import UserError

SHORTEST_S = 0.08  # two and a half windows of 32 ms; shorter audio breaks front ends
_LENGTHS_DIFFER = 1.5  # times the declared length, upwards or downwards, and
_SLACK_S = 0.5  # seconds: what encoders and headers may be wrong by
_PROBED = 100  # files that are looked for before a long run
_FEW = 10  # unreadable utterances that are borne however few there are, half of them at most
_SHARE = 0.01  # of all utterances that is borne otherwise

logger = logging.getLogger(__name__)

Samples = NDArray[np.float32]


def read_audio(path: str, expected_samples: int) -> Samples:
    """Read an entry of ``wav.scp`` as mono at ``SAMPLE_RATE_HZ``.

    Args:
        path: A file of any format of libsndfile, or ``<pack>.ark:<offset>``.
        expected_samples: Length that its prepared set declares. Batches are planned with it: a file of seconds that
            turns out to last an hour would exhaust the memory.

    Returns:
        Samples, (T,); those of a file with that rate and one channel are as libsndfile decodes them.

    Raises:
        ClipError: If the file cannot be read or is not of the declared length, small differences aside.
    """
    encoded = _read_bytes(path)
    try:
        samples: Samples = decode(encoded)
    except ClipError:
        raise
    except Exception as error:  # of libraries on damaged files; one file must not end a training of days
        raise ClipError(f"cannot be decoded: {error}") from error
    slack = round(_SLACK_S * SAMPLE_RATE_HZ)
    longest = _LENGTHS_DIFFER * expected_samples + slack
    shortest = max(SHORTEST_S * SAMPLE_RATE_HZ, (expected_samples - slack) / _LENGTHS_DIFFER)
    if not shortest <= len(samples) <= longest:
        found_s, expected_s = len(samples) / SAMPLE_RATE_HZ, expected_samples / SAMPLE_RATE_HZ
        raise ClipError(f"{found_s:.2f} s long, not {expected_s:.2f} s as the prepared set says")
    return samples


def _read_bytes(path: str) -> bytes:
    place = split_place(path)
    if place is not None and os.path.lexists(place[0]):  # or else it is a file that happens to be called so
        path = place[0]
    else:
        place = None
    file = Path(path)
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for ever
            raise ClipError("not a file")
        if place is not None:
            with open(file, "rb") as pack:
                return read_entry(pack, place[1])
        encoded = file.read_bytes()
    except FileNotFoundError:
        raise ClipError("no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, a damaged pack
        raise ClipError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not encoded:
        raise ClipError("zero bytes")
    return encoded


def check_audio_is_there(paths: PackedStrings, origin: Path) -> None:
    """Look for some of the files before a long run: a corpus that has moved is missing as a whole.

    Args:
        paths: The second column of a ``wav.scp``.
        origin: That file, for the message.

    Raises:
        UserError: If there are paths and none of those looked for is a file.
    """
    probed = [paths[position] for position in range(0, len(paths), 1 + len(paths) // _PROBED)]
    if probed and not any(map(is_audio_there, probed)):
        here = "" if os.path.isabs(probed[0]) else f" (relative to {Path.cwd()})"
        raise UserError(
            f"{origin}: there is no audio; {len(probed)} of {len(paths)} files looked for, e.g. {probed[0]}{here}. "
            "If the corpus has moved, put it back or run stage 1 again."
        )


def most_unreadable(utterances: int) -> int:
    """Return how many of so many utterances may be unreadable before a run ends."""
    return max(min(_FEW, utterances // 2), int(_SHARE * utterances))


class UnreadableUtterances:
    """Names the utterances that cannot be read, each once, and ends a run that lacks more than 1 %.

    Args:
        split: Where they are from, for messages.
        consequence: What becomes of such an utterance, for messages.
    """

    def __init__(self, split: str, *, consequence: str) -> None:
        self.split, self.consequence = split, consequence
        self._named: set[str] = set()
        self._epoch, self._number, self._bearable = 0, 0, 0

    def begin(self, utterances: int, *, epoch: int = 1) -> None:
        """Begin, or go on with, an epoch of so many utterances for this process."""
        if epoch != self._epoch:
            self._epoch, self._number = epoch, 0
        self._bearable = most_unreadable(utterances)

    def add(self, failures: Mapping[str, str]) -> None:
        """Count the failures of a batch.

        Args:
            failures: Reason by utterance id.

        Raises:
            UserError: If there are more than a run bears.
        """
        self._number += len(failures)
        for utt_id, reason in failures.items():
            if utt_id not in self._named:
                self._named.add(utt_id)
                logger.warning("%s: %s cannot be read, %s: %s", self.split, utt_id, self.consequence, reason)
        if self._number > self._bearable:
            raise UserError(
                f"{self.split}: {self._number} utterances could not be read, and more than {self._bearable} are too "
                f"many; the last: {reason}. Is the corpus still there, and whole? Mend it and start again."
            )
