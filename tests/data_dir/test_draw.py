"""Caps: the longest prefix of a fixed shuffle that is within the cap, so smaller caps lie inside larger ones."""

from __future__ import annotations

import hashlib
import random
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data.clip_table import Outcome
from asr_dro.data.draw import draw, parse_duration
from asr_dro.data.staging import StagedRow, new_staging
from asr_dro.errors import UserError

Clip = tuple[str, float]  # language, seconds; zero seconds: it cannot be measured


@pytest.mark.parametrize(
    ("value", "seconds"), [("10min", 600), ("1h", 3600), ("9h", 32_400), ("90s", 90), ("0.5h", 1800), ("all", None)]
)
def test_durations(value: str, seconds: float | None) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "10", "10m", "h", "-1h", "0s", "0.0h", "1 h", "1h ", "infh", "1e3s", "10Min", "١h"]
)
def test_what_is_no_duration(value: str) -> None:
    with pytest.raises(
        UserError, match=re.escape(f"--duration {value}: not an amount of audio; allowed are 10min, 1h")
    ):
        parse_duration(value)


class Drawn:
    """A draw from clips ``<number>``, all lengths unknown but those of part 1.

    Args:
        clips: Of part 0, 1 and 2 in turn, the last of which is not drawn from.
        cap_s: The cap.
    """

    def __init__(self, clips: Sequence[Clip], cap_s: float) -> None:
        self.measured: list[str] = []
        self.seconds = {str(number): seconds for number, (_, seconds) in enumerate(clips)}
        with tempfile.TemporaryDirectory() as folder, new_staging(Path(folder) / "db") as staging:
            staging.add(self._row(number, language) for number, (language, _) in enumerate(clips))
            draw(staging, cap_s=cap_s, parts=[0, 1], measure=self._measure, problem=self._problem)
            self.rows = {row[2]: row[7] for row in staging.usable_rows(0)}
            self.reasons = {clip: reason for _, _, clip, reason in staging.quarantined_rows()}

    def _row(self, number: int, language: str) -> StagedRow:
        part, clip = number % 3, str(number)
        known_s = self.seconds[clip] or None if part else None
        return StagedRow(part, 0, language, clip, f"{language}-{clip}", "a", language, "", known_s, None)

    def _measure(self, part: int, clips: Collection[str]) -> Iterator[list[Outcome]]:
        self.measured += clips
        yield [(clip, self.seconds[clip], "" if self.seconds[clip] else "broken") for clip in clips]

    @staticmethod
    def _problem(split: int, duration_s: float) -> str | None:
        return "long" if duration_s > 20 else None


def expected(clips: Sequence[Clip], cap_s: float) -> set[str]:
    """Return the ids that are drawn or taken as they are, by the definition."""
    taken = {f"{language}-{number}" for number, (language, _) in enumerate(clips) if number % 3 == 2}
    for wanted in ("fin", "spa"):
        ids = [(f"{wanted}-{number}", seconds) for number, (language, seconds) in enumerate(clips)
               if language == wanted and number % 3 != 2]  # fmt: skip
        usable = sorted(((name, seconds) for name, seconds in ids if 0 < seconds <= 20),
                        key=lambda clip: hashlib.sha256(clip[0].encode()).hexdigest())  # fmt: skip
        prefixes = [usable[:length] for length in range(len(usable) + 1)]
        within = [prefix for prefix in prefixes if sum(seconds for _, seconds in prefix) <= cap_s]
        taken |= {name for name, _ in within[-1]}
    return taken


clip_lists = st.lists(
    st.tuples(st.sampled_from(["fin", "spa"]), st.sampled_from([0.0, 0.5, 1.0, 2.25, 7.0, 19.5, 30.0])), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(clips=clip_lists, caps=st.lists(st.sampled_from([0.25, 1.0, 3.5, 20.0, 60.0, 1e6]), min_size=2, max_size=2))
def test_longest_prefix_within_the_cap(clips: list[Clip], caps: list[float]) -> None:
    small, large = (Drawn(clips, cap_s) for cap_s in sorted(caps))
    assert set(small.rows) == expected(clips, min(caps))
    assert set(small.rows) <= set(large.rows) == expected(clips, max(caps))
    assert small.reasons.items() <= large.reasons.items()
    assert set(small.reasons.values()) <= {"broken", "long"}


def test_caps_lie_inside_each_other() -> None:
    numbers = random.Random(1)
    clips = [(numbers.choice(["fin", "spa"]), numbers.choice([0.0, 0.3, 2.25, 7.0, 30.0])) for _ in range(2000)]
    smaller: set[str] = set()
    for cap_s in (3.0, 10.0, 60.0, 300.0, 600.0, 1000.0, 1e9):
        drawn = set(Drawn(clips, cap_s).rows)
        assert drawn == expected(clips, cap_s) > smaller
        smaller = drawn


@settings(max_examples=30, deadline=None)
@given(clips=clip_lists)
def test_other_languages_do_not_matter(clips: list[Clip]) -> None:
    alone = [(language, seconds if language == "spa" else 0.0) for language, seconds in clips]
    both = {utt_id for utt_id in Drawn(clips, 15.0).rows if utt_id.startswith("spa")}
    assert both == {utt_id for utt_id in Drawn(alone, 15.0).rows if utt_id.startswith("spa")}


def test_measures_no_more_than_needed() -> None:
    few = Drawn([("spa", 2.0)] * 9000, cap_s=60.0)
    assert sum(duration for utt_id, duration in few.rows.items() if int(utt_id[4:]) % 3 != 2 and duration) == 60.0
    assert 10 <= len(few.measured) <= 1000
    assert len(set(few.measured)) == len(few.measured)
