"""``train: validated``: nobody and nothing of dev and test is heard in training, and all else is."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_dro.corpora.common_voice.held_out import REASONS, sentence_key
from asr_dro.corpora.corpus import Quarantined, Row
from asr_dro.corpora.release import ReleasedClip
from asr_dro.errors import UserError
from tests.corpora.releases import (
    CLIPS,
    DELTA,
    RELEASE,
    client,
    clip,
    parts_of,
    quarantined_of,
    rows_of,
    write_locale,
    write_packed,
)

VALIDATED = [
    *CLIPS,
    clip("validated", 100, "Uusi lause.", "new"),
    clip("validated", 101, "Toinen lause.", "dev 0"),
    clip("validated", 102, "NIIN ON — dev 13!", "new"),
    clip("validated", 103, "none  \u00a0test, 23?", "another"),
    clip("validated", 104, "?!", "new"),
]


def plain(sentence: str) -> str:
    """Compare as the definition says: NFC, folded case, one space for white space, without punctuation."""
    folded = " ".join(unicodedata.normalize("NFC", sentence).casefold().split())
    return "".join(character for character in folded if not unicodedata.category(character).startswith("P"))


def test_no_leak_and_no_loss(tmp_path: Path) -> None:
    (part,) = parts_of(write_locale(tmp_path / "corpus/fi", VALIDATED).parent, train="validated")
    train = rows_of(part, "train")
    assert [row.clip for row in train] == [one.path for one in VALIDATED if one.table == "train"] + [
        clip("validated", 100).path,
        clip("validated", 104).path,
    ]
    held_out = [*rows_of(part, "dev"), *rows_of(part, "test")]
    assert len(held_out) == 8
    assert Counter(reason for _, reason in quarantined_of(part, "train")) == {
        REASONS[0]: 8,
        REASONS[1]: 1,
        REASONS[2]: 2,
    }
    assert (clip("validated", 101).path, "speaker of dev or test") in quarantined_of(part, "train")
    assert part.remarks() == [
        "fi: train.tsv has 4 clips; validated.tsv 17, of which 6 have neither a clip (8), a speaker (1) "
        "nor a sentence (2) of dev or test"
    ]


def test_official_says_what_validated_has(tmp_path: Path) -> None:
    (part,) = parts_of(write_locale(tmp_path / "corpus/fi", VALIDATED).parent)
    assert len(rows_of(part, "train")) == 4
    assert part.remarks()[0].startswith("fi: train.tsv has 4 clips; validated.tsv 17 ")


words = st.sampled_from(["Hei", "hei", "HEI", "yö", "yo\u0308", "Straße", "STRASSE", "don't", "dont", "a", "।", "は"])
marks = st.sampled_from([" ", "  ", "\u00a0", ", ", " — ", ". ", "! ", "\u200f ", " \u2028"])
sentences = st.lists(st.tuples(words, marks).map("".join), min_size=1, max_size=3).map("".join)
tables = st.sampled_from(["train", "dev", "test", "validated", "validated", "other"])
clips = st.lists(st.tuples(tables, sentences, st.integers(0, 12)), max_size=15)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=clips, second=clips)
def test_no_leak_whatever_the_tables_hold(
    tmp_path: Path, first: list[tuple[str, str, int]], second: list[tuple[str, str, int]]
) -> None:
    """Two locales of one language share speakers and sentences; train of each avoids dev and test of both."""
    validated = 0
    for locale, drawn in (("zh-CN", first), ("zh-TW", second)):
        released = [
            ReleasedClip(table, f"{locale}_{number}.mp3", sentence.replace("\u2028", " "), client(str(speaker)), 1000)
            for number, (table, sentence, speaker) in enumerate(drawn)
        ]
        validated += sum(one.table != "other" for one in released)
        write_locale(tmp_path / "corpus" / locale, released, locale=locale)
    parts = parts_of(tmp_path / "corpus", "cmn", train="validated")
    train = [row for part in parts for row in rows_of(part, "train")]
    held_out = [row for part in parts for split in ("dev", "test") for row in rows_of(part, split)]
    assert not {row.speaker for row in train} & {row.speaker for row in held_out}
    assert not {plain(row.sentence) for row in train} & {plain(row.sentence) for row in held_out} - {""}
    assert not {row.clip for row in train} & {row.clip for row in held_out}
    assert sum(len(list(part.rows("train"))) for part in parts) == validated
    keys = {sentence_key(row.sentence) for row in held_out}
    for part in parts:
        for row in part.rows("train"):
            if isinstance(row, Quarantined) and row.reason == REASONS[2]:
                locale, _, number = row.clip.removesuffix(".mp3").partition("_")
                _, sentence, speaker = (first if locale == "zh-CN" else second)[int(number)]
                assert sentence_key(sentence) in keys
                assert client(str(speaker)) not in {row.speaker for row in held_out}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Hello.", "hello", True),
        ("Hello, world", "hello   WORLD!", True),
        ("well-known", "Well known", True),
        ("Straße", "STRASSE", True),
        ("yö", "yo\u0308", True),
        ("שלום", "\u200fשלום", True),
        ("नमस्ते।", "नमस्ते", True),
        ("कि", "क", False),
        ("a", "b", False),
        ("1 + 1", "1 1", False),
    ],
)
def test_what_one_sentence_is(first: str, second: str, same: bool) -> None:
    assert (sentence_key(first) == sentence_key(second)) is same


@given(st.text(), st.text())
def test_equal_by_the_definition_is_equal(first: str, second: str) -> None:
    assert plain(first) != plain(second) or sentence_key(first) == sentence_key(second)
    assert sentence_key(f"{first}!") == sentence_key(first)


def test_unusable_rows_are_counted(tmp_path: Path) -> None:
    folder = write_locale(tmp_path / "corpus/fi", VALIDATED)
    with open(folder / "validated.tsv", "ab") as file:
        file.write(b"too\tfew\n\xff\n")
    (part,) = parts_of(tmp_path / "corpus", train="validated")
    assert len(list(part.rows("train"))) == 19
    assert "validated.tsv 19, of which 6 " in part.remarks()[0]
    assert part.remarks()[0].endswith("; 2 are unusable")


ADDED = [clip("validated", 200, "Aivan uusi.", "new"), clip("validated", 201, "x", "test 1"), clip("other", 202)]


@pytest.mark.parametrize("packed", [False, True])
def test_deltas_join_training(tmp_path: Path, packed: bool) -> None:
    write_locale(tmp_path / "corpus" / RELEASE / "fi", VALIDATED)
    if packed:
        delta = write_locale(tmp_path / "delta", ADDED, is_delta=True)
        write_packed(tmp_path / "corpus/added.tar.gz", ADDED, inside=f"{DELTA}/fi")
        assert delta.exists()
    else:
        write_locale(tmp_path / "corpus" / DELTA / "fi", ADDED, is_delta=True)
    base, delta_part = parts_of(tmp_path / "corpus", train="validated")
    assert (base.name, delta_part.name) == ("fin/fi", f"fin/fi+{DELTA}")
    assert [row.sentence for row in rows_of(delta_part, "train")] == ["Aivan uusi."]
    assert quarantined_of(delta_part, "train") == [(ADDED[1].path, REASONS[1])]
    assert [item.clip for item in delta_part.audio.clips([ADDED[0].path])] == [ADDED[0].path]
    assert list(delta_part.rows("dev")) == list(delta_part.rows("test")) == []
    assert len(rows_of(base, "dev")) == 4
    assert f"fi+{DELTA}: validated.tsv 2, of which 1 have" in delta_part.remarks()[0]
    inputs = {path.name for path in delta_part.inputs()}
    assert {"dev.tsv", "test.tsv"} <= inputs
    (base,) = parts_of(tmp_path / "corpus")
    assert any(DELTA in remark or "added.tar.gz" in remark for remark in base.remarks())


def test_a_delta_alone(tmp_path: Path) -> None:
    write_locale(tmp_path / "corpus" / DELTA / "fi", ADDED, is_delta=True)
    with pytest.raises(UserError, match=r"is a delta release, which has no train\.tsv: set train: validated"):
        parts_of(tmp_path / "corpus")
    for source in (tmp_path / "corpus", tmp_path / "corpus" / DELTA, tmp_path / "corpus" / DELTA / "fi"):
        (part,) = parts_of(source, train="validated")
        assert [len(rows_of(part, split)) for split in ("train", "dev", "test")] == [2, 0, 0]
        assert all(isinstance(row, Row) for row in part.rows("train"))


def test_two_deltas_and_one_of_them_twice(tmp_path: Path) -> None:
    write_locale(tmp_path / "corpus/fi", VALIDATED)
    older = DELTA.replace("26.0", "25.1")
    for release in (DELTA, older):
        write_locale(tmp_path / "corpus" / release / "fi", ADDED, is_delta=True)
    write_packed(tmp_path / f"corpus/{DELTA}-fi.tar.gz", ADDED)
    parts = parts_of(tmp_path / "corpus", train="validated")
    assert [part.name for part in parts] == ["fin/fi", f"fin/fi+{older}", f"fin/fi+{DELTA}"]
