"""How far a decoding is: a bar over all splits by seconds of audio, with the real-time factor."""

from __future__ import annotations

from tqdm import tqdm

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio [{elapsed}<{remaining}{postfix}]"


class Progress:
    """A progress bar; on the terminal only.

    Args:
        name: What goes on.
        total_s: Seconds of audio in all.
        done_s: Seconds that an earlier run has decoded.
    """

    def __init__(self, name: str, total_s: float, done_s: float = 0.0) -> None:
        self.audio_s = self.seconds = 0.0
        self._bar = tqdm(total=total_s, initial=done_s, desc=name, bar_format=_FORMAT, disable=None)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for each second of audio, 0 before any."""
        return self.seconds / self.audio_s if self.audio_s else 0.0

    def add(self, audio_s: float, seconds: float) -> None:
        """Tell that so many seconds of audio took one process so many seconds."""
        self.audio_s += audio_s
        self.seconds += seconds
        self._bar.set_postfix_str(f"RTF {self.real_time_factor:.2g}", refresh=False)
        self._bar.update(audio_s)
