"""ML-SUPERB's labels and repairs, and what is said when something is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.corpora.corpus import Part, Row
from asr_dro.corpora.ml_superb import open_corpus
from asr_dro.corpora.ml_superb_labels import KNOWN_CORPORA, chosen_repairs, corpus_of, few_shot_utterances, repairs
from asr_dro.data.config import read_data_config
from asr_dro.data.languages import languages
from asr_dro.errors import UserError
from tests.corpora.ml_superb_release import request, write_folders
from tests.shell_sandbox import ROOT

PAIRS = [
    ("commonvoice", "cv", "jpn"),
    ("commonvoice", "cv", "org_jpn"),
    ("commonvoice", "cv", "lga"),
    ("fleurs", "fleurs", "lug"),
    ("fleurs", "fleurs", "ori"),
    ("commonvoice", "cv", "ory"),
    ("commonvoice", "cv", "frr"),
    ("fleurs", "fleurs", "ara"),
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("release"), PAIRS)


def languages_by_part(parts: list[Part]) -> dict[str, set[str]]:
    return {part.name: {row.language for row in part.rows("test") if isinstance(row, Row)} for part in parts}


def test_few_shot_table_is_the_benchmarks() -> None:
    table = few_shot_utterances()
    assert set(table) == {label for label, language in languages().items() if language.ml_superb == "fewshot"}
    assert [len(names) for names in table.values()] == [5] * 20
    for label, names in table.items():
        assert {name.split("_")[1] for name in names} == {label}
        assert {corpus_of(name, label) for name in names} <= set(KNOWN_CORPORA)


@pytest.mark.parametrize(
    ("utterance", "label", "corpus"),
    [
        ("cv_lit_000026", "lit", "commonvoice"),
        ("googlei18n-tts_tsn_000026", "tsn", "googlei18n_tts"),
        ("mexico-el_tos_000006", "tos", "mexico-el"),
        ("cv_jpn_000106", "org_jpn", "commonvoice"),
        ("cv_org_jpn_000106", "org_jpn", "commonvoice"),
        ("ms_speech_tam_000106", "tam", "ms_speech"),
        ("hlvc_fae_000001", "fae", "hlvc"),
        ("", "tam", "unknown"),
        ("../tam_1", "tam", "unknown"),
        ("tam", "tam", "unknown"),
    ],
)
def test_corpus_is_found_in_ids(utterance: str, label: str, corpus: str) -> None:
    assert corpus_of(utterance, label) == corpus


def test_repairs_name_labels_that_exist_and_say_why() -> None:
    benchmark = {label for label, language in languages().items() if language.ml_superb}
    assert {"org_jpn", "lga", "ory", "frr"} == set(repairs()) & benchmark
    for name, repair in repairs().items():
        assert name == repair.label != repair.target
        assert repair.target in languages() and repair.target not in repairs()
        assert len(repair.reason) > 20 and repair.source
    assert chosen_repairs(["all"]) == {name: repair.target for name, repair in repairs().items()}
    assert chosen_repairs([]) == {}


def test_the_repaired_language_set_is_what_all_repairs_leave() -> None:
    path = ROOT / "egs" / "ml_superb" / "conf" / "lang_sets" / "repaired140.txt"
    listed = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    targets, labels = chosen_repairs(["all"]), {label for label, language in languages().items() if language.ml_superb}
    assert len(labels) == 143
    assert listed == sorted({targets.get(label, label) for label in labels})


def test_without_repairs_labels_are_the_benchmarks(release: Path) -> None:
    parts = open_corpus(request(release, "jpn org_jpn lga lug ori ory frr ara"))
    assert languages_by_part(list(parts)) == {f"{label}/{corpus}": {label} for corpus, _, label in PAIRS}


def test_repaired_labels_join_their_language_and_keep_their_audio(release: Path) -> None:
    parts = list(open_corpus(request(release, "jpn lug ori fry ara", label_repairs=["all"], group=["label"])))
    assert languages_by_part(parts) == {
        "ara/fleurs": {"ara"},
        "frr/commonvoice": {"fry"},
        "jpn/commonvoice": {"jpn"},
        "org_jpn/commonvoice": {"jpn"},
        "lga/commonvoice": {"lug"},
        "lug/fleurs": {"lug"},
        "ory/commonvoice": {"ori"},
        "ori/fleurs": {"ori"},
    }
    for part in parts:
        assert {row.columns for row in part.rows("dev") if isinstance(row, Row)} == {(part.name.split("/")[0],)}
        assert all(
            clip.clip.split("_", 1)[1].startswith(part.name.split("/")[0])
            for clip in part.audio.clips([row.clip for row in part.rows("dev") if isinstance(row, Row)])
        )


def test_few_shot_holds_under_the_new_label(tmp_path: Path) -> None:
    folder = write_folders(tmp_path, [("commonvoice", "cv", "frr")]) / "commonvoice" / "frr"
    names = [*sorted(few_shot_utterances()["frr"]), "cv_frr_000099"]
    (folder / "transcript_1h_train.txt").write_text("".join(f"{name}\t1\ttext\n" for name in names))
    part = open_corpus(request(tmp_path, "fry", label_repairs=["frr"]))[0]
    rows = [row for row in part.rows("train") if isinstance(row, Row)]
    assert [row.name for row in rows] == names[:5]
    assert {row.language for row in rows} == {"fry"}


def test_a_single_repair_leaves_the_others(release: Path) -> None:
    parts = open_corpus(request(release, "jpn lga lug", label_repairs=["org_jpn"]))
    assert [part.name for part in parts] == ["jpn/commonvoice", "org_jpn/commonvoice", "lga/commonvoice", "lug/fleurs"]


def test_only_reaches_repaired_parts(release: Path) -> None:
    parts = open_corpus(request(release, "lug", label_repairs=["lga"], only={"lug": ["commonvoice"]}))
    assert [part.name for part in parts] == ["lga/commonvoice"]


def test_a_label_that_a_repair_removes_is_refused_by_name(release: Path) -> None:
    with pytest.raises(
        UserError, match=r"repaired to another label \(label_repairs\), ask for that: org_jpn -> jpn\n"
    ) as error:
        open_corpus(request(release, "org_jpn lug", label_repairs=["org_jpn"]))
    assert "--lang-set lug" in str(error.value)


def test_skipping_says_what_is_left_out(release: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = request(release, "jpn org_jpn lao", label_repairs=["all"], missing_languages="skip")
    assert [part.name for part in open_corpus(asked)] == ["jpn/commonvoice", "org_jpn/commonvoice"]
    assert "left out, as not there: lao (Lao)" in caplog.text
    assert "left out, as repaired to another label (label_repairs), ask for that: org_jpn -> jpn" in caplog.text


def test_unknown_repairs_are_refused_with_the_allowed_ones(release: Path) -> None:
    with pytest.raises(UserError, match=r"nope is unknown; allowed are all and:\n  org_jpn: to jpn; ") as error:
        open_corpus(request(release, "jpn", label_repairs=["nope", "lga"]))
    assert all(name in str(error.value) for name in repairs())


def test_all_missing_languages_are_named_at_once_with_a_way_on(release: Path) -> None:
    with pytest.raises(UserError) as error:
        open_corpus(request(release, "lao jpn fin ara", group=["age"]))
    lines = str(error.value).splitlines()
    assert lines[1:] == [
        "  group: no column age; ML-SUPERB has language, corpus, label",
        "  not there: fin (Finnish), lao (Lao)",
        "  Labels there: ara frr jpn lga lug org_jpn ori ory",
        "  To go on without them: missing_languages: skip in the file of --data-conf, or --lang-set ara,jpn",
    ]


def test_skipping_everything_is_an_error(release: Path) -> None:
    with pytest.raises(UserError, match=r"no language is left; not there: lao \(Lao\)"):
        open_corpus(request(release, "lao", missing_languages="skip"))


def test_the_folder_above_a_release_will_do(tmp_path: Path) -> None:
    write_folders(tmp_path / "above" / "eighth_version", PAIRS[:1])
    assert [part.name for part in open_corpus(request(tmp_path / "above", "jpn"))] == ["jpn/commonvoice"]
    write_folders(tmp_path / "above" / "seventh_version", PAIRS[:1])
    with pytest.raises(UserError, match=r"several releases in .*: eighth_version, seventh_version; give one"):
        open_corpus(request(tmp_path / "above", "jpn"))


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "eighth_version.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"holds no release of ML-SUPERB.*unpacked"):
        open_corpus(request(tmp_path, "jpn"))
    with pytest.raises(UserError, match="is not a folder; set ML_SUPERB"):
        open_corpus(request(tmp_path / "nowhere", "jpn"))


def test_missing_lists(tmp_path: Path) -> None:
    folder = write_folders(tmp_path, PAIRS[:1]) / "commonvoice" / "jpn"
    (folder / "transcript_10min_dev.txt").unlink()
    part = open_corpus(request(tmp_path, "jpn"))[0]
    assert list(part.rows("dev")) == [] and len(list(part.rows("test"))) == 3
    assert part.remarks() == ["jpn/commonvoice: no transcript_10min_dev.txt"]
    assert all(path.exists() for path in part.inputs())
    (folder / "transcript_1h_train.txt").unlink()
    with pytest.raises(UserError, match=r"1h_train.txt is missing; training lists there: transcript_10min_train.txt"):
        open_corpus(request(tmp_path, "jpn"))
    assert len(list(open_corpus(request(tmp_path, "jpn", "10min"))[0].rows("train"))) == 2


def test_a_list_that_is_a_folder_is_reported_before_any_work(tmp_path: Path) -> None:
    table = write_folders(tmp_path, PAIRS[:1]) / "commonvoice" / "jpn" / "transcript_1h_train.txt"
    table.unlink()
    table.mkdir()
    with pytest.raises(UserError, match=r"transcript_1h_train.txt cannot be read: Is a directory"):
        open_corpus(request(tmp_path, "jpn"))


@pytest.mark.parametrize(
    ("name", "task", "repaired"),
    [
        ("ml_superb", "lid+asr", ()),
        ("ml_superb_asr", "asr", ()),
        ("ml_superb_lid", "lid", ()),
        ("ml_superb_repaired", "lid+asr", ("all",)),
        ("challenge2025", "lid+asr", ("org_jpn", "lga", "ory", "arb")),
    ],
)
def test_configurations_of_the_benchmark(name: str, task: str, repaired: tuple[str, ...]) -> None:
    config = read_data_config(ROOT / "conf" / "data" / f"{name}.yaml")
    assert (config.task, config.label_repairs) == (task, repaired)
    assert config.text == ("challenge2025" if name == "challenge2025" else "ml_superb")
    assert config.longest_s == 20.0 and config.tokens.type == "char"
    chosen_repairs(config.label_repairs)
