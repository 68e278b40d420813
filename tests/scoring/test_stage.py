from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from asr_dro.data.data_dir import Utterance, write_data_dir
from asr_dro.errors import UserError
from asr_dro.scoring import stage
from asr_dro.scoring.files import UTTERANCE_COLUMNS, read_tsv
from asr_dro.scoring.table import format_table

REFERENCES = {"fin-1-a": "hyvää päivää", "fin-2-b": "kiitos", "spa-1-c": "buenos días"}
HYPOTHESES = "fin-1-a [fin] hyvää päivä\nfin-2-b\nspa-1-c [fin] buenos dias\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a prepared set with one split and a decode folder with its hypotheses."""
    data, decode = tmp_path / "data set", tmp_path / "exp" / "decode_greedy"
    utterances = [
        Utterance(utt, f"data/{utt}.flac", text, utt[:5], utt[:3], utt[:3], 1.5) for utt, text in REFERENCES.items()
    ]
    write_data_dir(data / "test", utterances)
    (decode / "test").mkdir(parents=True)
    (decode / "test" / "text").write_text(HYPOTHESES, encoding="utf-8")
    return data, decode


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


def test_files_of_a_scored_split(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    (result,) = stage.score_all(data, decode)
    assert (result.split, result.is_new) == ("test", True)
    out = decode / "test"
    assert (out / "ref.trn").read_text(encoding="utf-8").splitlines()[0] == "hyvää päivää (fin-1-a)"
    assert (out / "hyp.trn").read_text(encoding="utf-8").splitlines() == [
        "hyvää päivä (fin-1-a)",
        "(fin-2-b)",
        "buenos dias (spa-1-c)",
    ]
    rows = read_tsv(out / "utterances.tsv")
    assert tuple(rows[0]) == UTTERANCE_COLUMNS
    assert rows[0] == {
        **{
            "utt_id": "fin-1-a",
            "language": "fin",
            "corpus": "",
            "group": "fin",
            "speaker": "fin-1",
            "duration_s": "1.5",
        },
        **{"wav": "data/fin-1-a.flac", "reference": "hyvää päivää", "hypothesis": "hyvää päivä"},
        **{"hypothesis_language": "fin", "ref_chars": "12", "char_sub": "0", "char_del": "1", "char_ins": "0"},
        **{"ref_words": "2", "word_sub": "1", "word_del": "0", "word_ins": "0"},
        **{"cer": repr(1 / 12), "wer": "0.5"},
    }
    assert rows[1]["hypothesis_language"] == ""
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert scores == result.scores
    assert scores["cer"]["by_language"] == {"fin": 7 / 18, "spa": 1 / 11}
    low, high = scores["intervals"]["profiles"]["ml_superb"]["all"]["cer"]
    assert low < scores["profiles"]["ml_superb"]["all"]["cer"] < high
    assert scores["intervals"]["cer"]["best"][0] <= scores["cer"]["best"]
    table = {row["language"]: row for row in read_tsv(out / "scores.tsv")}
    assert list(table) == ["fin", "spa", "mean", "sd", "worst", "micro", "best", "worst15"]
    assert float(table["mean"]["cer"]) == scores["cer"]["mean"]
    assert table["worst"]["cer"] == repr(7 / 18)
    assert (table["fin"]["char_del"], table["fin"]["n_utterances"]) == ("7", "2")
    assert table["micro"]["lid_accuracy"] == repr(1 / 3)


def test_a_second_run_changes_nothing(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    (first,) = stage.score_all(data, decode)
    before = snapshot(decode / "test")
    (second,) = stage.score_all(data, decode)
    assert not second.is_new
    assert second.scores == first.scores
    assert snapshot(decode / "test") == before


@pytest.mark.parametrize("name", stage.OUTPUTS)
def test_a_missing_output_is_made_again(folders: tuple[Path, Path], name: str) -> None:
    data, decode = folders
    stage.score_all(data, decode)
    before = {key: content for key, (content, _) in snapshot(decode / "test").items()}
    (decode / "test" / name).unlink()
    assert stage.score_all(data, decode)[0].is_new
    assert {key: content for key, (content, _) in snapshot(decode / "test").items()} == before


def test_changed_inputs_are_scored_again(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    stage.score_all(data, decode)
    (decode / "test" / "text").write_text(HYPOTHESES.replace("dias", "días"), encoding="utf-8")
    (again,) = stage.score_all(data, decode)
    assert again.is_new
    assert again.scores["cer"]["by_language"]["spa"] == 0.0
    (data / "test" / "utt2group").write_text("fin-1-a x\nfin-2-b x\nspa-1-c y\n", encoding="utf-8")
    assert stage.score_all(data, decode)[0].scores["groups"]["cer"]["by_group"] == {"x": 7 / 18, "y": 0.0}


@pytest.mark.parametrize("task", ["asr", "lid"])
def test_tasks(folders: tuple[Path, Path], task: str, caplog: pytest.LogCaptureFixture) -> None:
    data, decode = folders
    usual = stage.score_all(data, decode)[0].scores
    (data / "data.yaml").write_text(f"task: {task}\ntext: challenge2025\n", encoding="utf-8")
    caplog.clear()
    (result,) = stage.score_all(data, decode)
    assert result.is_new
    assert (result.scores["task"], result.scores["profile"]) == (task, "challenge2025")
    table = {row["language"]: row for row in read_tsv(decode / "test" / "scores.tsv")}
    rows = read_tsv(decode / "test" / "utterances.tsv")
    warnings = [record for record in caplog.records if record.name == "asr_dro.scoring.stage"]
    assert warnings == []  # none about texts that the task does not have
    if task == "asr":
        assert result.scores["cer"] == usual["cer"]
        assert {row["lid_accuracy"] for row in table.values()} == {""}
    else:
        assert result.scores["lid_accuracy"] == usual["lid_accuracy"]
        assert {row["cer"] for row in table.values()} == {""}
        assert {row["reference"] for row in rows} == {""}
        assert [row["hypothesis_language"] for row in rows] == ["fin", "", "fin"]
        assert (decode / "test" / "ref.trn").read_text() == "(fin-1-a)\n(fin-2-b)\n(spa-1-c)\n"


def test_a_failure_in_the_middle_leaves_nothing_that_looks_finished(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, decode = folders
    stage.score_all(data, decode)
    (decode / "test" / "text").write_text(HYPOTHESES.replace("dias", "días"), encoding="utf-8")

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(stage, "write_utterances", full_disk)
        stage.score_all(data, decode)
    assert not (decode / "test" / "scores.json").exists()
    assert stage.score_all(data, decode)[0].is_new


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ("fin-1-a [fin] x\nspa-1-c [spa] x\n", "1 of 3 utterances have no hypothesis: fin-2-b"),
        (HYPOTHESES + "tur-1-z [tur] x\n", "1 hypotheses have no reference: tur-1-z"),
        (HYPOTHESES + "fin-2-b [fin] x\n", "text:4: fin-2-b is there twice"),
        ("", "3 of 3 utterances have no hypothesis"),
    ],
)
def test_hypotheses_must_match_the_references(folders: tuple[Path, Path], hypotheses: str, message: str) -> None:
    data, decode = folders
    (decode / "test" / "text").write_text(hypotheses, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        stage.score_all(data, decode)
    assert not (decode / "test" / "scores.json").exists()


def test_dev_and_test_come_first(tmp_path: Path) -> None:
    for split in ("zeta", "test", "alpha", "dev", "unfinished"):
        (tmp_path / split).mkdir()
        if split != "unfinished":
            (tmp_path / split / "text").touch()
    assert stage.find_decoded_splits(tmp_path) == ["dev", "test", "alpha", "zeta"]


def test_nothing_decoded_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run stage 5"):
        stage.find_decoded_splits(tmp_path / "decode_greedy")


def test_corpora_are_scored_where_the_set_knows_them(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    (before,) = stage.score_all(data, decode)
    assert list(before.scores["by_corpus"]) == ["data set"]  # an older set is one corpus, named after it
    (data / "test" / "utt2corpus").write_text("fin-1-a mls\nfin-2-b fleurs\nspa-1-c mls\n", encoding="utf-8")
    (after,) = stage.score_all(data, decode)
    assert after.is_new
    assert {name: values["n_utterances"] for name, values in after.scores["by_corpus"].items()} == {
        "fleurs": 1,
        "mls": 2,
    }
    assert after.scores["macro_corpus"]["cer"]["by_language"]["fin"] == (1 / 12 + 6 / 6) / 2
    assert after.scores["cer"] == before.scores["cer"]
    assert after.scores["profiles"]["ml_superb2"]["all"]["by_language_and_corpus"]["fin"].keys() == {"fleurs", "mls"}


def test_profiles_see_the_lines_as_they_are(folders: tuple[Path, Path]) -> None:
    (result,) = stage.score_all(*folders)
    profiles = result.scores["profiles"]
    assert list(profiles) == ["ml_superb", "ml_superb2", "challenge2025", "wer_basic"]
    assert profiles["ml_superb"]["all"]["reference_length"] == 12 + 6 + 11 + 3  # the space behind each tag
    assert profiles["ml_superb"]["all"]["deletions"] == 1 + 6 + 1  # with that of a hypothesis that is empty
    assert profiles["wer_basic"]["micro"] == result.scores["wer"]["micro"]


def test_pythons_collector_is_left_as_it_was(folders: tuple[Path, Path]) -> None:
    assert gc.isenabled()
    stage.score_all(*folders)
    assert gc.isenabled()
    (folders[1] / "test" / "text").write_text("", encoding="utf-8")
    with pytest.raises(UserError):
        stage.score_all(*folders)
    assert gc.isenabled()


def test_alignments_are_of_every_utterance(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    (path,) = stage.align_all(data, decode)
    assert path == decode / "test" / "alignments.pra"
    assert "id: (fin-1-a)\nScores: (#C #S #D #I) 1 1 0 0\n" in path.read_text(encoding="utf-8")
    (data / "data.yaml").write_text("task: lid\n")
    with pytest.raises(UserError, match="its task is lid: there is no text to align"):
        stage.align_all(data, decode)


def test_given_languages_have_no_accuracy(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    (recognised,) = stage.score_all(data, decode)
    assert recognised.scores["languages"] == "recognised"
    mark = decode / "test" / ".done.json"
    mark.write_text(json.dumps({"config": {"languages": "given"}, "seconds": 1.5}), encoding="utf-8")
    (told,) = stage.score_all(data, decode)
    assert (told.is_new, told.scores["languages"]) == (True, "given")
    assert set(told.scores["lid_accuracy"]["by_language"].values()) == {None} == {told.scores["lid_accuracy"]["mean"]}
    assert (told.scores["confusion"], told.scores["intervals"]["lid_accuracy"]["mean"]) == (None, None)
    profiles = told.scores["profiles"]
    assert [profiles["ml_superb"]["all"]["lid_accuracy"], profiles["challenge2025"]["lid_accuracy"]] == [None, None]
    for key in ("cer", "wer", "macro_corpus"):
        assert told.scores[key] == recognised.scores[key]
    assert profiles["ml_superb"]["all"]["cer"] == recognised.scores["profiles"]["ml_superb"]["all"]["cer"]
    assert {row["lid_accuracy"] for row in read_tsv(decode / "test" / "scores.tsv")} == {""}
    assert format_table(told.scores, title="test").count(" given ") == len(told.scores["cer"]["by_language"])
    mark.write_text(json.dumps({"config": {"languages": "given"}, "seconds": 2.5}), encoding="utf-8")
    assert not stage.score_all(data, decode)[0].is_new, "how long decoding took makes no other scores"
    mark.write_text(json.dumps({"config": {"languages": 2}}), encoding="utf-8")
    assert stage.score_all(data, decode)[0].scores == recognised.scores


def test_without_text_given_languages_are_all_there_is_to_score(folders: tuple[Path, Path]) -> None:
    data, decode = folders
    (data / "data.yaml").write_text("task: lid\n", encoding="utf-8")
    (decode / "test" / ".done.json").write_text('{"config": {"languages": "given"}}', encoding="utf-8")
    assert stage.score_all(data, decode)[0].scores["lid_accuracy"]["micro"] is not None
