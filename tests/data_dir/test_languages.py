"""The table of languages and the sets in conf/lang_sets, as data; and what ``--lang-set`` accepts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from asr_dro.data.languages import lang_set_label, languages, parse_lang_set
from asr_dro.errors import UserError

LANG_SETS = sorted((Path(__file__).parents[2] / "conf/lang_sets").glob("*.txt"))


def test_table() -> None:
    table = languages()
    assert list(table) == sorted(table)
    locales = [locale for language in table.values() for locale in language.locales]
    assert len(locales) == len(set(locales)) == 290  # release 25
    for code, language in table.items():
        assert code == language.iso639_3
        assert len(code) == 3
        assert code.isascii() and code.islower()
        assert language.name
        assert len(language.script) == 4
        assert bool(language.cldr_locale) <= bool(language.espeak_voice)
    assert sum(language.can_be_spoken for language in table.values()) >= 85


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


@pytest.mark.parametrize("path", LANG_SETS, ids=lambda path: path.stem)
def test_lang_set_files(path: Path) -> None:
    codes = path.read_text().split()
    assert codes == sorted(set(codes))
    assert parse_lang_set(path.stem) == codes


def test_mini_all_is_all_that_can_be_spoken() -> None:
    assert parse_lang_set("mini_all") == [code for code, language in languages().items() if language.can_be_spoken]


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
