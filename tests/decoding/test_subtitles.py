from __future__ import annotations

import itertools
import re

import pytest

from asr_dro.data.tokens import build_token_list, decode
from asr_dro.decoding.subtitles import LINE, LINES, LONGEST_S, clock, subtitles, to_srt
from asr_dro.decoding.transcripts import Segment, TimedToken, Transcript, timed_segment

CHARACTERS = build_token_list(" abcdefghijklmnopqrstuvwxyzกขค", ["fin", "kat"])
PIECES = build_token_list("", ["fin"], pieces=["[", "<", "\u2581ab", "c", "\u2581", "\u2581d", "def"])


def spoken(text: str, *, character_s: float = 0.1, pauses: dict[int, float] | None = None) -> list[TimedToken]:
    """Say a text, a token every 0.1 s, with pauses before some characters."""
    found, now = [], 0.0
    for position, character in enumerate(text):
        now += (pauses or {}).get(position, 0.0)
        label = CHARACTERS.index("<space>" if character == " " else character)
        found.append(TimedToken(label, now, now + 0.06, 0.9))
        now += character_s
    return found


def segment_of(tokens: list[TimedToken], vocabulary: list[str] = CHARACTERS) -> Segment:
    return timed_segment(0.0, 1000.0, tokens, vocabulary)


@pytest.mark.parametrize(
    "text",
    ["word " * 60, "a", "x" * 300, "กขค" * 50, "  two  words ", f"short {'y' * 43} {'z' * 42} end", "a" * 84 + " b"],
)
def test_subtitles_hold_the_whole_text_in_lines_that_can_be_read(text: str) -> None:
    segment = segment_of(spoken(text))
    shown = list(subtitles(segment, CHARACTERS))
    assert "".join("".join(one.lines) for one in shown).replace(" ", "") == segment.text.replace(" ", "")
    for one in shown:
        assert 1 <= len(one.lines) <= LINES and max(map(len, one.lines)) <= LINE and all(one.lines)
        assert one.end_s - one.start_s <= LONGEST_S
    assert all(earlier.end_s <= later.start_s for earlier, later in itertools.pairwise(shown))
    words = " ".join(" ".join(one.lines) for one in shown)
    if max(map(len, text.split())) <= LINE:
        assert words == segment.text


def test_a_pause_ends_a_subtitle() -> None:
    tokens = spoken("one two three", pauses={4: 0.5, 8: 1.0})
    shown = [(one.start_s, one.end_s, one.lines) for one in subtitles(segment_of(tokens), CHARACTERS)]
    expected = [(0.0, 1.16, ["one two"]), (2.3, 2.76, ["three"])]
    assert [lines for *_, lines in shown] == [lines for *_, lines in expected]
    assert [times for *times, _ in shown] == [pytest.approx(times) for *times, _ in expected]


def test_pieces_of_words() -> None:
    labels = [PIECES.index(name) for name in ("\u2581ab", "c", "\u2581", "def", "\u2581d", "[fin]")]
    tokens = [TimedToken(label, float(n), n + 0.5, 1.0) for n, label in enumerate(labels)]
    segment = segment_of(tokens, PIECES)
    assert (segment.language, segment.text) == ("fin", "abc def d") == decode(labels, PIECES)
    (first, *rest) = subtitles(segment, PIECES)
    assert (first.lines, rest) == (["abc def d"], [])


def test_srt() -> None:
    segments = (
        segment_of(spoken("one two three", pauses={8: 2.0})),
        Segment(3600.0, 3661.9996, "kat", None, "ერთი ორი"),
        Segment(4000.0, 4001.0, "fin", 0.5, ""),
    )
    found = to_srt(Transcript("a.wav", 5000.0, segments), CHARACTERS)
    assert found == (
        "1\n00:00:00,000 --> 00:00:00,660\none two\n\n2\n00:00:02,800 --> 00:00:03,260\nthree\n\n"
        "3\n01:00:00,000 --> 01:01:02,000\nერთი ორი\n"
    )
    times = re.findall(r"(\d\d:\d\d:\d\d,\d\d\d) --> ", found)
    assert times == sorted(times)
    assert clock(359_999.9999) == "100:00:00,000"


def test_transcripts_name_their_languages() -> None:
    segments = (
        Segment(0.0, 1.0, "fin", 0.5, "yksi"),
        Segment(1.0, 4.0, "kat", 0.8, "ერთი"),
        Segment(4.0, 5.0, "kat", 0.4, ""),
        Segment(5.0, 6.5, "kat", None, "ორი"),
        Segment(7.0, 8.0, None, None, "[x] y"),
        Segment(8.0, 9.0, "fin", 0.9, "kaksi"),
    )
    transcript = Transcript("a.wav", 9.0, segments)
    assert transcript.line() == "[fin] yksi [kat] ერთი ორი [] [x] y [fin] kaksi"
    language, confidence = transcript.language()
    assert language == "kat" and confidence == pytest.approx((0.8 * 3 + 0.4) / 4)
    assert Transcript("a.wav", 1.0, ()).language() == (None, None)
    assert Transcript("a.wav", 1.0, ()).line() == ""
    assert transcript.to_json(CHARACTERS)["text"] == "yksi ერთი ორი [x] y kaksi"
