"""The table of languages and the sets in conf/lang_sets, as data; and what ``--lang-set`` accepts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from asr_dro.data.languages import lang_set_corpora, lang_set_label, languages, nearest_codes, parse_lang_set
from asr_dro.errors import UserError

LANG_SETS = sorted((Path(__file__).parents[2] / "conf/lang_sets").glob("*.txt"))

# The labels of ML-SUPERB 2.0 as counted in its public packaging, and the locales of Common Voice 25 with their ISO
# 639-3 codes where those differ.
NORMAL = """
abk afr amh ara asm ast aze azz bak bas bel ben bre bul cat ces chv ckb cmn cnh cym deu div ell eng est eus fas fil
fin fra gle glg grn guj hau heb hin hrv hsb hun hye ibo ina ind isl ita jav jpn kab kam kan kat khm kin kir kmr kor
lao lav lga lin ltz lug mal mar mhr mkd mlt mon mri mrj msa mya myv nan nbl nep nld nno nob nor nso nya oci org_jpn
ori orm ory pan pol por pus ron rus sah sin skr slk slv sna snd som sot spa ssw swa swe tam tat tel tgk tha uig ukr
urd uzb ven wol xho xty yor yue
"""
FEWSHOT = """
bos ceb dan epo frr ful kaz kea lit luo srp sun tok tos tsn tso tur umb vie zul
"""
LOCALES = """
ab=abk abb ady af=afr ajg am=amh an=arg ar=ara as=asm ast az=aze ba=bak bag bas bax bba bbj bbl bce bci be=bel beb
bfd bft bg=bul bgp bkh bkm bn=ben bnm bnn br=bre brh bri bsh bsk btv bum byv ca=cat cjk ckb cnh cpy cs=ces cut cux
cv=chv cy=cym da=dan dag dar dav de=deu dmk dml dru dsb dua dv=div dyu ebr eko el=ell en=eng eo=epo es=spa esu
et=est eto eu=eus ewo fa=fas fan fi=fin fmp fr=fra fub fue fy-NL=fry ga-IE=gle gej ggg gid gig giz gjk gju gl=glg
gn=grn gsw gv=glv gwc gwt gya ha=hau haz he=heb hem hi=hin hno hr=hrv hsb ht=hat hu=hun hux hy-AM=hye ia=ina ibb
id=ind ig=ibo ipk is=isl it=ita ja=jpn jgo jqr ka=kat kab kbd kdh khw kk=kaz kln kls kmr ko=kor ksf kvx kw=cor kxp
ky=kir lg=lug lij lo=lao lrk lss lt=lit ltg lua luo lv=lav lzz mau mbo mcf mcn mcx mdd mdf mgg mhk mhr mk=mkd mki
ml=mal mn=mon mr=mar mrj ms=msa mse mt=mlt mua mug mve mvy mxu myv nan-tw=nan nb-NO=nob ncx ne-NP=nep nhi nl=nld nla
nlv nmg nmz nn-NO=nno nnh nr=nbl nso nyu oc=oci odk or=ori oru os=oss pa-IN=pan pcm phl phr pl=pol plk prq ps=pus
pt=por pua pwn qup qur qus qux quy qva qvi qvj qvl qwa qws qxa qxp qxt qxu qxw rm-sursilv=roh rm-vallader=roh ro=ron
rof ru=rus rup rw=kin sah sat sbn sc=srd scl sd=snd sei sk=slk skr sl=slv sq=sqi sr=srp ss=ssw ssi st=sot sv-SE=swe
sva sw=swa szy ta=tam tar tay te=tel tg=tgk th=tha ti=tir tig tk=tuk tli tn=tsn tok tr=tur trv trw ts=tso tt=tat tui
tvu tw=twi udl ug=uig uk=ukr ur=urd ush uz=uzb var ve=ven vi=vie vot wbl wes xh=xho xhe xka xmf yaq yav ydg yi=yid
yo=yor yue zgh zh-CN=cmn zh-HK=yue zh-TW=cmn zoc zu=zul zza
"""


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
    assert parts == dict.fromkeys(NORMAL.split(), "normal") | dict.fromkeys(FEWSHOT.split(), "fewshot")
    assert (len(NORMAL.split()), len(FEWSHOT.split())) == (123, 20)


def test_locales_of_common_voice() -> None:
    expected = {pair.split("=")[0]: pair.split("=")[-1] for pair in LOCALES.split()}
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
    assert set(found) <= set(languages()) | {pair.split("=")[0] for pair in LOCALES.split()}


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
    with pytest.raises(UserError, match="xx9"):
        lang_set_corpora("xx9")


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
