from __future__ import annotations

import random
import statistics
import string
import unicodedata

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.errors import UserError
from asr_dro.scoring.challenge2025 import utterance_rates
from asr_dro.scoring.ml_superb import merged_corpus, recognised_tag
from asr_dro.scoring.profiles import PROFILES, score_profiles
from tests.scoring.golden import Row, golden_rows, golden_scores, material_of

GOLDEN = golden_scores()
lines = st.tuples(
    st.sampled_from(["", "[fin] ", "[eng] ", "[xyz] ", "[", "[] ", "[org_jpn] ", "[fin]"]), st.text(max_size=12)
).map("".join)
rows = st.lists(st.tuples(st.sampled_from(["fin", "eng", "dan", "org_jpn"]), st.text(min_size=1, max_size=12), lines))


def test_ml_superb_is_sclite_over_all_utterances() -> None:
    scores = score_profiles(material_of(golden_rows()), ["ml_superb"])["ml_superb"]
    correct, substitutions, deletions, insertions = map(sum, zip(*GOLDEN["sclite"].values(), strict=True))
    length = correct + substitutions + deletions
    pooled = scores["all"]
    assert pooled["cer"] == (substitutions + deletions + insertions) / length
    assert [pooled[name] for name in ("reference_length", "substitutions", "deletions", "insertions")] == [
        length,
        substitutions,
        deletions,
        insertions,
    ]
    assert pooled["lid_accuracy"] == GOLDEN["ml_superb_lid_accuracy"]
    assert pooled["n_utterances"] == len(golden_rows())


def test_few_shot_languages_are_apart() -> None:
    all_rows = golden_rows()
    scores = score_profiles(material_of(all_rows), ["ml_superb"])["ml_superb"]
    danish = [row for row in all_rows if row[1] == "dan"]
    counts = [GOLDEN["sclite"][row[0]] for row in danish]
    assert scores["few_shot"]["n_utterances"] == len(danish) > 2
    assert scores["few_shot"]["cer"] == sum(map(sum, (one[1:] for one in counts))) / sum(
        map(sum, (one[:3] for one in counts))
    )
    assert scores["normal"]["n_utterances"] == len(all_rows) - len(danish)


def test_ml_superb2_is_its_script_but_for_rounding() -> None:
    scores = score_profiles(material_of(golden_rows()), ["ml_superb2"])["ml_superb2"]
    expected = GOLDEN["ml_superb2"]
    assert 100 * scores["micro"] == pytest.approx(expected["micro"], abs=0.05)
    assert 100 * scores["normal"]["mean"] == pytest.approx(expected["mean"], abs=0.05)
    assert 100 * scores["normal"]["sd"] == pytest.approx(expected["sd"], abs=0.05)
    assert scores["all"]["largest_gap_language"] == expected["largest_gap_language"]
    assert 100 * scores["all"]["largest_gap"] == pytest.approx(expected["largest_gap"], abs=0.1)
    assert set(scores["all"]["by_language"]) - set(scores["normal"]["by_language"]) == {"dan"}
    assert "googlei18n" in scores["all"]["by_language_and_corpus"]["hin"]


def test_challenge2025_is_its_script() -> None:
    scores = score_profiles(material_of(golden_rows()), ["challenge2025"])["challenge2025"]
    for name, value in GOLDEN["challenge2025"].items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name
    assert scores["by_language"]["org_jpn"]["lid_accuracy"] == 0.0  # five characters never hold its tag
    assert (
        scores["by_language"]["fin"]["n_utterances"] == sum(row[1] == "fin" for row in golden_rows()) - 1
    )  # one empty


def test_wer_basic_is_jiwer() -> None:
    scores = score_profiles(material_of(golden_rows()), ["wer_basic"])["wer_basic"]
    with_nfc = material_of(golden_rows())
    pairs = [(utterance.reference, utterance.hypothesis.text) for utterance in with_nfc.utterances]
    assert scores["micro"] == pytest.approx(jiwer.wer([one for one, _ in pairs], [one for _, one in pairs]), abs=1e-12)
    # jiwer leaves texts as they are: two words of one golden utterance are decomposed, and right here
    assert scores["micro"] == pytest.approx(GOLDEN["jiwer_wer"] - 2 / scores["reference_length"], abs=1e-12)
    rates = []
    for language in sorted({row[1] for row in golden_rows()}):
        chosen = [u for u in with_nfc.utterances if u.source.language == language]
        rates.append(jiwer.wer([u.reference for u in chosen], [u.hypothesis.text for u in chosen]))
    assert scores["mean"] == pytest.approx(statistics.mean(rates), abs=1e-12)
    assert scores["sd"] == pytest.approx(statistics.stdev(rates), abs=1e-12)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "language", "rate"),
    [
        ("[eng] ABCD", "[eng] abcd", "eng", 0.0),
        ("[eng] ABCD", "abcdabcd", "eng", 1 / 4),  # without a tag five characters are lost
        ("[eng] ABCD", "[fin] A.B,C!D", "eng", 0.0),
        ("[tha] AB CD", "[tha] A BCD", "tha", 0.0),  # white space does not count
        ("[eng] AB CD", "[eng] A BCD", "eng", 2 / 5),
        ("[eng] ...", "[eng] abc", "eng", None),
        ("[eng] . .", "[eng] abc", "eng", 1.0),  # a space is left, which jiwer strips
        ("[eng] . .", "[eng] ?", "eng", 0.0),
        ("[eng] ß", "[eng] ss", "eng", 0.0),  # upper case of ß is SS
        ("[org_jpn] AB", "[org_jpn] AB", "org_jpn", 0.0),
    ],
)
def test_challenge_rates_computed_by_hand(reference: str, hypothesis: str, language: str, rate: float | None) -> None:
    assert utterance_rates([reference], [hypothesis], [language]) == [rate]


@given(st.text(), st.text(alphabet="aB \u00a0.!é", max_size=12))
def test_challenge_rates_agree_with_jiwer(reference: str, hypothesis: str) -> None:
    (rate,) = utterance_rates([f"[eng] {reference}"], [f"[eng] {hypothesis}"], ["eng"])
    strip = dict.fromkeys(map(ord, string.punctuation.translate(dict.fromkeys(map(ord, "$+<=>^`|~")))))
    if not reference.isascii():
        return
    plain = [text.strip().translate(strip).upper() for text in (reference, hypothesis)]
    assert rate == (jiwer.cer(plain[0], plain[1]) if plain[0] else None)


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        ("[fin] a", "[fin]"),
        ("a b [fin] [eng]", "[fin]"),
        ("[org_jpn] a", "[org_jpn]"),
        ("[org_jpn] a [fin]", "[fin]"),  # short tags are looked for first
        ("[FIN] a", "[UNK]"),
        ("", "[UNK]"),
        ("[finn]", "[UNK]"),
    ],
)
def test_the_benchmark_finds_tags_anywhere(line: str, tag: str) -> None:
    assert recognised_tag(line) == tag


def test_googles_corpora_are_one() -> None:
    assert {merged_corpus(name) for name in ("googlei18n_tts", "googlei18n-asr", "googlei18n_asr")} == {"googlei18n"}
    assert merged_corpus("googlei18n_other") == "googlei18n_other"


@given(rows, st.randoms())
def test_order_makes_no_difference_and_every_input_is_scored(
    found: list[tuple[str, str, str]], rng: random.Random
) -> None:
    numbered: list[Row] = [
        (f"cv_{language}_{n}", language, text, line) for n, (language, text, line) in enumerate(found)
    ]
    expected = score_profiles(material_of(numbered))
    rng.shuffle(numbered)
    assert score_profiles(material_of(numbered)) == expected
    for task in ("asr", "lid"):
        score_profiles(material_of(numbered, task))


def test_a_text_against_itself_has_no_errors() -> None:
    same: list[Row] = [(utt, language, text, f"[{language}] {text}") for utt, language, text, _ in golden_rows()]
    scores = score_profiles(material_of(same))
    assert [scores["ml_superb"][part]["cer"] for part in ("all", "normal", "few_shot")] == [0.0] * 3
    assert (scores["ml_superb"]["all"]["lid_accuracy"], scores["ml_superb2"]["all"]["mean"]) == (1.0, 0.0)
    assert (scores["challenge2025"]["cer"], scores["wer_basic"]["micro"]) == (0.0, 0.0)


def test_tasks_without_text_or_without_tags() -> None:
    plain: list[Row] = [("cv_fin_1", "fin", "ab", "ab"), ("cv_eng_1", "eng", "ab", "ax")]
    scores = score_profiles(material_of(plain, "asr"))
    assert (scores["ml_superb"]["all"]["cer"], scores["ml_superb"]["all"]["lid_accuracy"]) == (1 / 4, None)
    assert (scores["challenge2025"]["cer"], scores["challenge2025"]["by_language"]) == (None, {})
    tags: list[Row] = [("cv_fin_1", "fin", "ab", "[fin]"), ("cv_eng_1", "eng", "ab", "[fin]")]
    scores = score_profiles(material_of(tags, "lid"))
    assert (scores["ml_superb"]["all"]["cer"], scores["ml_superb"]["all"]["lid_accuracy"]) == (None, 1 / 2)
    assert (scores["ml_superb2"]["all"]["mean"], scores["wer_basic"]["micro"]) == (None, None)
    assert score_profiles(material_of([])).keys() == PROFILES.keys()


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no profile x; there are ml_superb, ml_superb2, challenge2025, wer_basic"):
        score_profiles(material_of([]), ["x", "wer_basic"])


def test_challenge_rates_do_not_depend_on_what_is_scored_together() -> None:
    texts = ["a. b!", "kein", "wie? so", "", "人，人", "ngôn-ngữ", "हिन्दी।", "two\nlines", "ß", "$+<=>^`|~ x"] * 300
    references = [f"[xxx] {text}" for text in texts]
    hypotheses = [f"[xxx] {text}" for text in reversed(texts)]
    labels = ["deu"] * len(texts)
    alone = [utterance_rates([one], [other], ["deu"])[0] for one, other in zip(references, hypotheses, strict=True)]
    assert utterance_rates(references, hypotheses, labels) == alone


@pytest.mark.parametrize("character", [chr(code) for code in range(33, 127)])
def test_ascii_punctuation_is_what_unicode_says(character: str) -> None:
    is_punctuation = unicodedata.category(character).startswith("P")
    assert utterance_rates([f"[xxx] a{character}"], ["[xxx] a"], ["deu"]) == [0.0 if is_punctuation else 0.5]
