from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from asr_dro.report.inputs import Inputs, Sources
from asr_dro.report.utterances import FEWEST_PER_LANGUAGE, MOST_PER_LANGUAGE, audio_link, worst_utterances


def row(utt: str, language: str, cer: str, label: str = "") -> dict[str, str]:
    return {
        **{"utt_id": utt, "language": language, "reference": "kit", "hypothesis": "kid", "cer": cer},
        **{
            "hypothesis_language": label,
            "char_sub": "1",
            "char_del": "0",
            "char_ins": "0",
            "wav": "",
            "duration_s": "",
        },
    }


def inputs(rows: list[dict[str, str]], task: str = "lid+asr") -> Inputs:
    return Inputs(Sources(Path("data"), Path("exp"), "greedy", ("test",)), {"test": {"task": task}}, rows)


def test_the_worst_come_first_and_the_right_ones_not_at_all() -> None:
    rows = [
        row("b", "fin", "0.5"),
        row("a", "fin", "0.5"),
        row("c", "fin", "1.5"),
        row("d", "fin", "0.0"),
        row("e", "fin", ""),
    ]
    (entry,) = worst_utterances(inputs(rows), ["fin", "spa"])
    assert [item.row["utt_id"] for item in entry["worst"]] == ["c", "a", "b"]
    assert (entry["n_utterances"], entry["n_with_errors"]) == (5, 3)


def test_the_wrong_language_is_named() -> None:
    rows = [row("a", "fin", "0.3", "fin"), row("b", "fin", "0.2", "est"), row("c", "fin", "0.1", "")]
    (entry,) = worst_utterances(inputs(rows), ["fin"])
    assert [item.taken_for for item in entry["worst"]] == ["", "Estonian", "no language"]
    (entry,) = worst_utterances(inputs(rows, "asr"), ["fin"])  # labels without tags: nothing to take for anything
    assert [item.taken_for for item in entry["worst"]] == ["", "", ""]


@pytest.mark.parametrize(("n_languages", "n_each"), [(1, MOST_PER_LANGUAGE), (143, FEWEST_PER_LANGUAGE)])
def test_fewer_of_each_language_where_there_are_many(n_languages: int, n_each: int) -> None:
    codes = [f"l{n:03}" for n in range(n_languages)]
    rows = [row(f"{code}-{n}", code, "0.5") for code in codes for n in range(9)]
    entries = worst_utterances(inputs(rows), codes)
    assert {len(entry["worst"]) for entry in entries} == {n_each}


@pytest.mark.parametrize(
    ("wav", "link"),
    [
        ("data/audio/a.flac", "../../data/audio/a.flac"),
        ("data/my audio/50% #1?.flac", "../../data/my%20audio/50%25%20%231%3F.flac"),
        ("exp/tag/a:b.flac", "a%3Ab.flac"),  # not taken for a scheme
        ("data/ფ.flac", "../../data/%E1%83%A4.flac"),
        ('data/".flac', "../../data/%22.flac"),
        ("sox a.mp3 -t wav - |", ""),
        ("", ""),
        ("data/packs/mini/fin/fi/0001.ark:25", ""),  # no browser plays it
        ("data/0001.ark", "../../data/0001.ark"),
    ],
)
def test_audio_links_are_relative_and_quoted(wav: str, link: str) -> None:
    assert audio_link(wav, Path("exp/tag")) == link


def test_an_absolute_path_becomes_relative_to_the_report(tmp_path: Path) -> None:
    assert unquote(audio_link(str(tmp_path / "audio" / "a.flac"), tmp_path / "exp" / "tag")) == "../../audio/a.flac"
