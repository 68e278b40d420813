from __future__ import annotations

import random

import pytest

from asr_dro.analysis.writing import CharacterPairs, count_scripts, main_script, script_of_character, usual_script
from asr_dro.data.languages import languages
from tests.analysis.sets import LATIN, vocabulary

SENTENCES = {
    "ara": "يسكن الناس في بيوت صغيرة",
    "bul": "Хората живеят в малки къщи",
    "cmn": "人们住在海边的小房子里",
    "jpn": "人々は海のそばの小さな家に住んでいます",
    "heb": "אנשים גרים בבתים קטנים",
    "hin": "लोग समुद्र के पास छोटे घरों में रहते हैं",
    "kat": "ხალხი ზღვის პირას",
    "spa": "La gente vive en casas pequeñas",
    "tha": "ผู้คนอาศัยอยู่ในบ้าน",
    "ell": "οι άνθρωποι ζουν",
    "kor": "사람들은 바닷가의 작은 집에 산다",
    "amh": "ሰዎች በባህር አቅራቢያ",
    "hye": "մարդիկ ապրում են",
    "tam": "மக்கள் கடலுக்கு அருகில்",
    "khm": "មនុស្សរស់នៅ",
    "lao": "ຄົນອາໄສຢູ່",
    "mya": "လူများ",
    "sin": "මිනිසුන්",
    "div": "މީހުން",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_script_of_a_sentence_is_the_table_s(code: str) -> None:
    if code in languages():
        assert usual_script(code, count_scripts(SENTENCES[code])) == languages()[code].script


def test_no_script() -> None:
    assert main_script(count_scripts("12, 3!  \u0301\u200d")) == ""
    assert usual_script("xxx", count_scripts("")) == ""
    assert script_of_character("\ud800") == ""


def test_a_language_written_otherwise() -> None:
    assert usual_script("hin", count_scripts("ek do teen")) == "Latn"
    assert usual_script("xxx", count_scripts("абв")) == "Cyrl"


def test_pairs_tell_languages_apart() -> None:
    rng = random.Random(0)
    texts = {
        code: [" ".join(rng.choices(vocabulary(code, LATIN), k=7)) for _ in range(80)] for code in ("deu", "fin", "spa")
    }
    stray = " ".join(rng.choices(vocabulary("spa", LATIN), k=7))
    pairs = CharacterPairs({**texts, "fin": [*texts["fin"], stray]})
    assert pairs.likeliest("fin", stray)[0] == "spa"
    assert pairs.likeliest("fin", stray)[1] > 1
    right = [pairs.likeliest(code, text)[0] == code for code, members in texts.items() for text in members]
    assert sum(right) / len(right) > 0.98
    assert pairs.own("fin", stray) < min(pairs.own("fin", text) for text in texts["fin"])


def test_a_text_is_not_judged_by_itself() -> None:
    """A language of one text knows nothing of it without it, so another language with the same text is likelier."""
    pairs = CharacterPairs({"one": ["abcabcabc"], "two": ["abcabcabc"]})
    assert pairs.likeliest("one", "abcabcabc")[0] == "two"


@pytest.mark.parametrize("text", ["", "a", "\n", "\U0001f600" * 3, "\ud800a"])
def test_odd_texts(text: str) -> None:
    pairs = CharacterPairs({"one": [text], "two": ["abc"]})
    assert pairs.likeliest("one", text)[0] in ("one", "two")
    pairs.own("one", text)
