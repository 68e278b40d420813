"""The table of languages and the sets in conf/lang_sets, as data; and what ``--lang-set`` accepts."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from asr_dro.data.languages import lang_set_corpora, lang_set_label, languages, nearest_codes, parse_lang_set
from asr_dro.errors import UserError

LANG_SETS = sorted((Path(__file__).parents[2] / "conf/lang_sets").glob("*.txt"))

# The labels of ML-SUPERB 2.0 as counted in its public packaging, and the locales of Common Voice 25 with their ISO
# 639-3 codes where those differ.
EXPECTED = dict(
    line.split("\t") for line in Path(__file__).with_name("expected_languages.tsv").read_text().splitlines()
)
NORMAL, FEWSHOT, LOCALES = (EXPECTED[name].split() for name in ("normal", "fewshot", "locales"))


def test_table() -> None:
    table = languages()
    assert list(table) == sorted(table)
    for label, language in table.items():
        assert label == language.label
        assert table[language.iso639_3].iso639_3 == language.iso639_3, "an ISO code is a label of its own"
        assert len(language.iso639_3) == 3
        assert label.isascii() and label.islower()
        assert language.name
        assert len(language.script) == 4
        assert bool(language.cldr_locale) <= bool(language.espeak_voice)
        assert not language.can_be_spoken or label == language.iso639_3
    names = [language.name for language in table.values()]
    assert {name for name in names if names.count(name) > 1} == {"Odia"}, "a report names languages"
    assert sum(language.can_be_spoken for language in table.values()) >= 85


def test_labels_that_are_not_iso_codes() -> None:
    own = {label: language.iso639_3 for label, language in languages().items() if label != language.iso639_3}
    assert own == {"org_jpn": "jpn", "lga": "lug"}


def test_labels_of_ml_superb() -> None:
    parts = {label: language.ml_superb for label, language in languages().items() if language.ml_superb}
    assert parts == dict.fromkeys(NORMAL, "normal") | dict.fromkeys(FEWSHOT, "fewshot")
    assert (len(NORMAL), len(FEWSHOT)) == (123, 20)


def test_locales_of_common_voice() -> None:
    expected = {pair.split("=")[0]: pair.split("=")[-1] for pair in LOCALES}
    found = [(locale, language.iso639_3) for language in languages().values() for locale in language.locales]
    assert len(found) == len(dict(found)) == 290, "a locale belongs to one label"
    assert dict(found) == expected
    assert all(label == language.iso639_3 for label, language in languages().items() if language.locales)


@pytest.mark.parametrize(
    ("locale", "code"),
    [("zh-TW", "cmn"), ("zh-HK", "yue"), ("yue", "yue"), ("nan-tw", "nan"), ("sv-SE", "swe"), ("rm-vallader", "roh"),
     ("fy-NL", "fry"), ("ckb", "ckb"), ("sw", "swa"), ("nb-NO", "nob"), ("ne-NP", "nep")],
)  # fmt: skip
def test_locales(locale: str, code: str) -> None:
    assert parse_lang_set(f"{locale},{code}") == [code]


def test_traps_of_the_voices() -> None:
    assert languages()["cmn"].espeak_voice == "cmn-latn-pinyin"
    assert languages()["kmr"].espeak_voice == "ku"


@pytest.mark.parametrize(
    ("code", "nearest"),
    [
        ("de-DE", ["de"]),
        ("english", ["eng"]),
        ("English", ["eng"]),
        ("zh", ["zh-CN", "zh-HK", "zh-TW"]),
        ("FIN", ["fin"]),
        ("SV-se", ["sv-SE"]),
        ("zh_tw", ["zh-CN", "zh-HK", "zh-TW"]),
        ("germn", "deu"),
        ("", []),
        ("\u202e\x00", []),
    ],
)
def test_nearest_codes(code: str, nearest: list[str] | str) -> None:
    found = nearest_codes(code)
    assert found == nearest if isinstance(nearest, list) else found[0] == nearest
    assert set(found) <= set(languages()) | {pair.split("=")[0] for pair in LOCALES}


@pytest.mark.parametrize("path", LANG_SETS, ids=lambda path: path.stem)
def test_lang_set_files(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    codes = [line.split()[0] for line in lines]
    assert codes == sorted(set(codes))
    assert parse_lang_set(path.stem) == codes


def test_second_column_limits_a_language_to_sub_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf/lang_sets").mkdir(parents=True)
    lines = "# ours\nes  voxforge,mls # Spanish\nspa\tfleurs\nfin\nkat commonvoice\nka\n"
    (tmp_path / "conf/lang_sets/ours.txt").write_text(lines)
    monkeypatch.chdir(tmp_path)
    assert parse_lang_set("ours") == ["fin", "kat", "spa"]
    assert lang_set_corpora("ours") == {"spa": frozenset({"voxforge", "mls", "fleurs"})}
    assert lang_set_corpora("es,fin") == {}
    assert lang_set_corpora("zh-TW,fi") == {"cmn": frozenset({"zh-TW"})}
    assert lang_set_corpora("zh-TW,cmn") == {}
    assert lang_set_corpora("yue") == {}  # a locale and the language's code: all of the language
    with pytest.raises(UserError, match="xx9"):
        lang_set_corpora("xx9")


def test_mini_all_is_all_that_can_be_spoken() -> None:
    assert parse_lang_set("mini_all") == [code for code, language in languages().items() if language.can_be_spoken]


def test_sets_of_ml_superb_are_what_the_table_says() -> None:
    table = languages()
    assert parse_lang_set("all143") == [label for label, language in table.items() if language.ml_superb]
    assert parse_lang_set("normal123") == [label for label, one in table.items() if one.ml_superb == "normal"]
    assert parse_lang_set("fewshot20") == [label for label, one in table.items() if one.ml_superb == "fewshot"]
    by_script: dict[str, list[str]] = {}
    for label in parse_lang_set("all143"):
        by_script.setdefault(table[label].script, []).append(label)
    assert {path.stem for path in LANG_SETS if path.stem.startswith("script_")} == {f"script_{s}" for s in by_script}
    for script, labels in by_script.items():
        assert parse_lang_set(f"script_{script}") == labels


@pytest.mark.parametrize(
    ("name", "corpora"),
    [
        ("ctc_dro_set1", "ces=commonvoice cmn=fleurs nan=commonvoice pol=M-AILABS ron=fleurs spa=voxforge"),
        ("ctc_dro_set5", "deu=voxforge eng=voxforge heb=fleurs jpn=fleurs rus=fleurs spa=fleurs"),
    ],
)
def test_sets_of_the_ctc_dro_paper(name: str, corpora: str) -> None:
    expected = {label: frozenset({corpus}) for label, corpus in (pair.split("=") for pair in corpora.split())}
    assert lang_set_corpora(name) == expected
    assert parse_lang_set(name) == sorted(expected)


@pytest.mark.parametrize("path", LANG_SETS, ids=lambda path: path.stem)
def test_generated_and_quoted_sets_name_their_source(path: Path) -> None:
    if not path.stem.startswith("mini"):
        assert re.search(r"^# Source: .{10,}\.", path.read_text(), flags=re.MULTILINE)


def test_set_in_current_directory_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf/lang_sets").mkdir(parents=True)
    (tmp_path / "conf/lang_sets/mini6.txt").write_text("# ours\nes  # Spanish\n\nfin\n")
    monkeypatch.chdir(tmp_path)
    assert parse_lang_set("mini6") == ["fin", "spa"]
    monkeypatch.setenv("ASR_DRO_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="Sets in conf/lang_sets: mini6 "):
        parse_lang_set("mini_all")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fin,esp", r"--lang-set fin,esp: unknown language 'esp' \(nearest: .*\besu?\b"),
        ("mini7", r"unknown language 'mini7'.*Sets in conf/lang_sets: .*mini6.*\(nearest: mini6\)"),
        ("zz9,qq8", r"'zz9'.*'qq8'"),
        ("", "names no language"),
        (",", "names no language"),
        ("../lang_sets/mini6", "unknown language"),
        ("FIN", r"unknown language 'FIN' \(nearest: fin\); allowed are"),
        ("fin,de-DE,zh", r"'de-DE' \(nearest: de\), 'zh' \(nearest: zh-CN, zh-HK, zh-TW\)"),
    ],
)
def test_mistakes(value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_lang_set(value)


def test_label() -> None:
    assert lang_set_label("mini6") == "mini6"
    assert lang_set_label("spa,fin,fin") == "fin+spa"
    codes = [f"a{chr(97 + i)}x" for i in range(20)]
    digest = hashlib.sha256("+".join(codes).encode()).hexdigest()[:8]
    assert lang_set_label(",".join(reversed(codes))) == f"20languages_{digest}"
