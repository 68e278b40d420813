"""The data directory: what is written is read back, and every way to break it is named with file and line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_dro.data.data_dir import (
    CORPUS_FILE,
    FILES,
    Utterance,
    files_of,
    format_duration,
    iterate_data_dir,
    iterate_two_columns,
    read_data_dir,
    read_two_columns,
    two_column_writer,
    validate_data_dir,
    write_data_dir,
    write_sorted_data_dir,
    write_two_columns,
)
from asr_dro.errors import UserError


def utterance(utt_id: str, **changes: object) -> Utterance:
    made = Utterance(utt_id, "a folder/x.flac", "hola qué", utt_id[:3], "spa", "spa", 1.0000625)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_roundtrip_sorted_as_bytes(tmp_path: Path) -> None:
    utterances = [utterance(utt_id) for utt_id in ("spé-1", "spb-2", "spb-10", "Spb-1")]
    write_data_dir(tmp_path, utterances)
    found = read_data_dir(tmp_path)
    assert [one.utt_id for one in found] == ["Spb-1", "spb-10", "spb-2", "spé-1"]
    assert sorted(found, key=str) == sorted(utterances, key=str)
    assert found == sorted(found, key=lambda one: one.utt_id.encode())


def test_equal_files_stay_untouched(tmp_path: Path) -> None:
    write_data_dir(tmp_path, [utterance("spa-1")])
    before = {name: (tmp_path / name).stat().st_ino for name in FILES}
    write_data_dir(tmp_path, [utterance("spa-1", duration_s=2.0)])
    changed = [name for name in FILES if (tmp_path / name).stat().st_ino != before[name]]
    assert changed == ["utt2dur"]


def test_two_utterances_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two utterances are called spa-1"):
        write_data_dir(tmp_path, [utterance("spa-1"), utterance("spa-1")])
    with pytest.raises(ValueError, match="keys must be unique and sorted"):
        write_sorted_data_dir(tmp_path, iter([utterance("spa-2"), utterance("spa-1")]))
    assert list(tmp_path.iterdir()) == []


def test_the_corpus_of_each_utterance_is_written_where_it_is_known(tmp_path: Path) -> None:
    known = [utterance("spa-1", corpus="mls"), utterance("spa-2", corpus="fleurs")]
    write_data_dir(tmp_path, known)
    assert (tmp_path / CORPUS_FILE).read_text() == "spa-1 mls\nspa-2 fleurs\n"
    assert read_data_dir(tmp_path) == known
    assert files_of(tmp_path) == (*FILES, CORPUS_FILE)
    unknown = [utterance("spa-1"), utterance("spa-2")]
    write_data_dir(tmp_path, unknown)  # what was known of other utterances must not stay
    assert read_data_dir(tmp_path) == unknown
    assert files_of(tmp_path) == FILES
    for mixed in (known[:1] + unknown[1:], unknown[:1] + known[1:]):
        with pytest.raises(ValueError, match="some have none, such as spa-2"):
            write_data_dir(tmp_path, mixed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spa-1 a\n", r"utt2corpus: 1 utterances of the other files are missing, such as spa-2"),
        ("spa-1 a\nspa-2 b c\n", r"utt2corpus:2: white space in 'b c'"),
        ("spa-1 a\nspa-2\n", r"utt2corpus:2: spa-2 has no value"),
    ],
)
def test_a_file_of_corpora_that_is_there_must_be_right(tmp_path: Path, text: str, message: str) -> None:
    write_data_dir(tmp_path, [utterance("spa-1", corpus="a"), utterance("spa-2", corpus="b")])
    (tmp_path / CORPUS_FILE).write_text(text)
    with pytest.raises(UserError, match=message):
        read_data_dir(tmp_path)


@given(samples=st.integers(1, 16_000 * 3600))
def test_durations_keep_whole_samples(samples: int) -> None:
    assert round(float(format_duration(samples / 16_000)) * 16_000) == samples


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("text", "spa-2 b\nspa-1 a\n", r"text:2: spa-1 comes after spa-2; sort"),
        ("text", "spa-1 a\nspa-1 b\nspa-2 c\n", r"text:2: spa-1 is there twice"),
        ("text", "spa-1 a\nspa-2 \n", r"text:2: spa-2 has no value"),
        ("text", "spa-1 a\nspa-2\n", r"text:2: spa-2 has no value"),
        ("text", "spa-1 a\n\nspa-2 b\n", r"text:2: the line does not begin with an utterance id"),
        ("text", "spa-1 a\n spa-2 b\n", r"text:2: the line does not begin with an utterance id"),
        ("text", "spa-1 a\nspa\t-2 b\n", r"text:2: the line does not begin with an utterance id"),
        ("text", "spa-1 a\n", r"text: 1 utterances of the other files are missing, such as spa-2"),
        ("text", "", r"text: 2 utterances of the other files are missing, such as spa-1"),
        ("utt2spk", "spa-1 a\nspa-2 b c\n", r"utt2spk:2: white space in 'b c'"),
        ("utt2dur", "spa-1 1.0\nspa-2 long\n", r"utt2dur:2: not a duration in seconds above zero: 'long'"),
        ("utt2dur", "spa-1 nan\nspa-2 1\n", r"utt2dur:1: not a duration"),
        ("utt2dur", "spa-1 -1\nspa-2 0\n", r"utt2dur:1: not a duration"),
        ("wav.scp", "spa-1 here.flac\nspa-2 gone.flac\n", r"wav.scp:2: no such file: gone.flac"),
    ],
)
def test_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.flac").touch()
    write_data_dir(tmp_path, [utterance("spa-1", wav="here.flac"), utterance("spa-2", wav="here.flac")])
    validate_data_dir(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=message):
        validate_data_dir(tmp_path)


def test_only_the_first_problems_are_shown(tmp_path: Path) -> None:
    write_data_dir(tmp_path, [utterance(f"spa-{number}") for number in range(10)])
    with pytest.raises(UserError, match=r"wav\.scp:5: no such file.*\n  and 5 more$"):
        validate_data_dir(tmp_path)


def test_good_utterances_come_before_the_problems(tmp_path: Path) -> None:
    write_data_dir(tmp_path, [utterance(f"spa-{number}") for number in range(4)])
    (tmp_path / "utt2dur").write_text("spa-0 1\nspa-1 nan\nspa-3 1\n")
    utterances = iterate_data_dir(tmp_path)
    assert [next(utterances).utt_id, next(utterances).utt_id] == ["spa-0", "spa-3"]
    with pytest.raises(UserError, match=r"(?s)utt2dur:2: not a duration.*1 utterances .* missing, such as spa-2$"):
        next(utterances)


def test_files_out_of_order_do_not_seem_incomplete(tmp_path: Path) -> None:
    write_data_dir(tmp_path, [utterance(f"spa-{number}") for number in range(4)])
    (tmp_path / "text").write_text("spa-3 a\nspa-1 a\nspa-0 a\nspa-2 a\n")
    with pytest.raises(UserError) as error:
        validate_data_dir(tmp_path, check_audio=False)
    assert str(error.value).count("comes after") == 2
    assert "missing" not in str(error.value)


def test_missing_binary_and_empty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"wav\.scp is missing; run the earlier stages"):
        read_data_dir(tmp_path)
    write_data_dir(tmp_path, [])
    assert read_data_dir(tmp_path, allow_empty=True) == []
    with pytest.raises(UserError, match="no utterances"):
        read_data_dir(tmp_path)
    (tmp_path / "text").write_bytes(b"spa-1 \xff\n")
    with pytest.raises(UserError, match="text is not UTF-8"):
        read_data_dir(tmp_path)


def test_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "map"
    mapping = {"b": "two  words ", "a": "", "ä": "\u2028"}
    write_two_columns(path, mapping)
    assert path.read_bytes() == "a \nb two  words \nä \u2028\n".encode()
    assert read_two_columns(path) == mapping
    path.write_text("a 1\na 2\n")
    with pytest.raises(UserError, match="map:2: a is there twice"):
        read_two_columns(path)
    for wrong in ({"a b": "c"}, {"": "c"}, {"a": "b\nc"}):
        with pytest.raises(ValueError, match="not a line of two columns"):
            write_two_columns(path, wrong)


keys = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1).filter(lambda key: key.split() == [key])
values = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda value: not set(value) & {"\n", "\r"})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mapping=st.dictionaries(keys, values))
def test_two_columns_line_by_line(tmp_path: Path, mapping: dict[str, str]) -> None:
    write_two_columns(tmp_path / "map", mapping)
    assert list(iterate_two_columns(tmp_path / "map")) == sorted(mapping.items(), key=lambda pair: pair[0].encode())


def test_order_of_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "map"
    with two_column_writer(path) as write:
        write("a", "1")
        for key in ("a", "Z"):
            with pytest.raises(ValueError, match="keys must be unique and sorted"):
                write(key, "2")
        write("b", "")
    assert path.read_text() == "a 1\nb \n"
    for text, message in {"a\na\n": "map:2: a is there twice", "b\na": "map:2: a comes after b; sort"}.items():
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            list(iterate_two_columns(path))
    path.write_text("\na\n")
    with pytest.raises(UserError, match="map:1: the line has no key"):
        list(iterate_two_columns(path))
