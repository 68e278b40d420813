"""Caps: as much training audio per language as was asked for, always the same clips, and 10 min inside 1 h.

The clips of a language are put in the order of a hash of their names; drawn is the longest run of them from the first
on whose lengths add up to no more than the cap. So a smaller cap draws a part of what a larger one does, and neither
other languages nor the number of processes matter.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from asr_dro.data.clip_table import Outcome
from asr_dro.data.data_dir import SPLITS
from asr_dro.data.staging import Candidate, Staging
from asr_dro.errors import UserError

ALL = "all"
_TRAIN = SPLITS.index("train")
_PAGE = 512  # clips measured before the draw goes on
_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|min|h)")

Problem = Callable[[int, float], str | None]  # split, seconds -> why such a clip cannot be used
Measure = Callable[[int, Collection[str]], Iterable[list[Outcome]]]  # part, clips -> what their audio says


def parse_duration(value: str) -> float | None:
    """Return seconds for ``10min``, ``1h``, ``0.5h``, ``90s``; None for ``all``.

    Raises:
        UserError: For anything else.
    """
    if value == ALL:
        return None
    match = _DURATION.fullmatch(value)
    if match is None or float(match[1]) == 0:
        raise UserError(
            f"--duration {value}: not an amount of audio; allowed are 10min, 1h, 9h, any other <number>s, "
            f"<number>min or <number>h above 0, and {ALL}"
        )
    return float(match[1]) * _UNITS_S[match[2]]


def draw(staging: Staging, *, cap_s: float, parts: Collection[int], measure: Measure, problem: Problem) -> None:
    """Leave of each language's training rows what is within the cap; the others are in the set no more.

    Args:
        staging: All rows.
        cap_s: Seconds per language.
        parts: Positions of the parts to draw from; the others are taken as they are.
        measure: Measures clips of unknown length; called for no more clips than the draw needs.
        problem: What clips of some length are not drawn but quarantined for.
    """
    for language in sorted(staging.languages(_TRAIN)):
        total_s = 0.0
        candidates = staging.start_draw(language, parts)
        while page := list(itertools.islice(candidates, _PAGE)):
            durations = _durations(page, measure)
            drawn, failed, is_full = [], [], False
            for candidate, (duration_s, reason) in zip(page, durations, strict=True):
                why = reason or problem(_TRAIN, duration_s)
                if why:
                    failed.append((candidate.row, why))
                    continue
                is_full = total_s + duration_s > cap_s
                if is_full:
                    break
                total_s += duration_s
                drawn.append((candidate.row, duration_s))
            staging.draw(drawn, failed)
            if is_full:
                break


def _durations(page: list[Candidate], measure: Measure) -> Iterator[tuple[float, str]]:
    """Yield seconds and reason for each candidate, in their order."""
    unknown: dict[int, list[str]] = {}
    for candidate in page:
        if candidate.duration_s is None and candidate.failure is None:
            unknown.setdefault(candidate.part, []).append(candidate.clip)
    found: Mapping[tuple[int, str], tuple[float, str]] = {
        (part, clip): (duration_s, reason)
        for part, clips in unknown.items()
        for outcomes in measure(part, clips)
        for clip, duration_s, reason in outcomes
    }
    for candidate in page:
        if candidate.failure is not None:
            yield 0.0, candidate.failure
        elif candidate.duration_s is not None:
            yield candidate.duration_s, ""
        else:
            yield found.get((candidate.part, candidate.clip), (0.0, "no such file"))
