"""One cause at a time is planted in one of seven equal languages; it is found there and nowhere else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asr_dro.data.data_dir import write_two_columns
from asr_dro.errors import UserError
from tests.analysis.sets import (
    CYRILLIC,
    LATIN,
    SEVEN,
    Clip,
    Spec,
    corrupt,
    finding,
    kinds,
    seven,
    write_log,
    write_set,
)

Clips = list[Clip]


def of_clips(change: Callable[[Clip, int, random.Random], Clip]) -> Callable[[Clips, random.Random], Clips]:
    """Turn a change of one clip into a plant."""

    def plant(clips: Clips, rng: random.Random) -> Clips:
        return [change(clip, index, rng) for index, clip in enumerate(clips)]

    return plant


def noisy(clip: Clip, rate: float, rng: random.Random) -> Clip:
    return replace(clip, recognised=corrupt(clip.spoken, rate, rng))


def taken_for_turkish(clip: Clip, index: int, rng: random.Random) -> Clip:
    return noisy(replace(clip, tag="tur"), 0.4, rng) if index % 3 == 0 else clip


def one_bad_speaker(clip: Clip, index: int, rng: random.Random) -> Clip:
    return noisy(clip, 0.6, rng) if clip.speaker.endswith("s03") else clip


def long_is_bad(clip: Clip, index: int, rng: random.Random) -> Clip:
    return noisy(clip, 0.35 if clip.duration_s > 3.7 else 0.05, rng)


def ends_missing(clip: Clip, index: int, rng: random.Random) -> Clip:
    return replace(clip, recognised=clip.recognised[: -len(clip.recognised) // 4])


def ends_added(clip: Clip, index: int, rng: random.Random) -> Clip:
    return replace(clip, recognised=clip.recognised + " " + clip.recognised[-8:])


def empty_often(clip: Clip, index: int, rng: random.Random) -> Clip:
    return replace(clip, recognised="") if index % 5 == 0 else clip


def new_letters(clip: Clip, index: int, rng: random.Random) -> Clip:
    return replace(clip, transcript=clip.transcript + " öå")


def in_other_letters(clip: Clip, index: int, rng: random.Random) -> Clip:
    return replace(clip, recognised=clip.recognised.translate(str.maketrans("aeiou", "аеіоу")))


PLANTED = {
    "little_audio": (Spec(n_train=6), {"few_speakers", "unseen_characters"}),
    "few_speakers": (Spec(n_speakers=2), {"worse_speaker"}),
    "fast_text": (Spec(seconds_per_character=1 / 26), {"short_utterances", "little_audio"}),
    "slow_text": (Spec(seconds_per_character=1 / 6), {"long_utterances"}),
    "long_utterances": (Spec(n_words=(14, 20)), set()),
    "short_utterances": (Spec(n_words=(1, 3)), {"little_audio", "slow_text"}),
    "lone_script": (Spec(letters=CYRILLIC), {"unusual_script"}),
    "wrong_language": (Spec(plant=of_clips(taken_for_turkish)), {"worse_split"}),
    "worse_speaker": (Spec(plant=of_clips(one_bad_speaker)), {"worse_split", "label_noise"}),
    "long_worse": (Spec(plant=of_clips(long_is_bad)), {"worse_split"}),
    "deletions": (Spec(plant=of_clips(ends_missing)), {"worse_split"}),
    "insertions": (Spec(plant=of_clips(ends_added)), {"worse_split", "label_noise", "short_worse"}),
    "empty": (Spec(plant=of_clips(empty_often)), {"worse_split", "deletions", "label_noise", "worse_speaker"}),
    "unseen_characters": (Spec(plant=of_clips(new_letters)), {"worse_split", "deletions"}),
    "recognised_in_other_script": (Spec(plant=of_clips(in_other_letters)), {"worse_split"}),
    "worse_split": (Spec(plant=of_clips(lambda clip, _, rng: noisy(clip, 0.35, rng))), set()),
}  # kind: how it is planted, and what may follow from it


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_cause_is_found_where_it_is(kind: str, tmp_path: Path) -> None:
    spec, consequences = PLANTED[kind]
    analysis = write_set(tmp_path, seven(spec)).analyze()
    assert kind in kinds(analysis, "fin")
    assert kinds(analysis, "fin") - {kind} <= consequences
    assert all(kind not in kinds(analysis, language) for language in SEVEN if language != "fin")


def test_equal_languages_have_nothing_that_stands_out(tmp_path: Path) -> None:
    found = write_set(tmp_path, seven()).analyze()
    assert [kinds(found, language) for language in SEVEN] == [set()] * 7
    assert found["n_suspects"] == 0


def test_numbers_in_the_sentence(tmp_path: Path) -> None:
    analysis = write_set(tmp_path, seven(Spec(n_train=6))).analyze()
    found = finding(analysis, "fin", "little_audio")
    hours = {entry["language"]: entry["numbers"]["training_hours"] for entry in analysis["languages"]}
    others = sorted(hours[language] for language in SEVEN if language != "fin")
    assert found["value"] == hours["fin"]
    assert found["others"] == pytest.approx((others[2] * others[3]) ** 0.5)  # the median of logarithms
    assert f"{60 * hours['fin']:.2g} min" in found["text"]


def test_language_without_training_data(tmp_path: Path) -> None:
    analysis = write_set(tmp_path, seven(Spec(n_train=0))).analyze()
    assert "little_audio" in kinds(analysis, "fin")
    assert finding(analysis, "fin", "little_audio")["value"] == 0


def test_share_of_errors_that_the_vocabulary_causes(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven())
    columns = ("language", "split", "characters", "out_of_vocabulary", "share", "commonest")
    rows = [(code, "test", "1000", "40" if code == "fin" else "0", "0.04", "") for code in SEVEN]
    table = "".join("\t".join(row) + "\n" for row in (columns, *rows, ("fin", "dev", "1000", "900", "0.9", "")))
    (planted.data / "oov.tsv").write_text(table, encoding="utf-8")
    analysis = planted.analyze()
    found = finding(analysis, "fin", "out_of_vocabulary")
    errors = sum(len_errors(clip.transcript, clip.recognised) for clip in planted.clips["fin"])
    assert found["value"] == 0.04
    assert f"at least {100 * 40 / errors:.1f} % of the errors" in found["text"]
    assert all("out_of_vocabulary" not in kinds(analysis, code) for code in SEVEN if code != "fin")


def len_errors(reference: str, hypothesis: str) -> int:
    """Levenshtein distance, the textbook's way."""
    hypothesis = " ".join(hypothesis.split())
    previous = list(range(len(hypothesis) + 1))
    for row, character in enumerate(reference, start=1):
        current = [row]
        for column, other in enumerate(hypothesis, start=1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (character != other)))
        previous = current
    return previous[-1]


def epoch(number: int, train: dict[str, float], dev: dict[str, float]) -> dict[str, Any]:
    return {
        "epoch": number,
        "infeasible_utterances": 3,
        "train": {"loss_by_group": train},
        "dev": {"loss_by_group": dev},
    }


def test_memorised_and_underfitted(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven())
    train, dev = dict.fromkeys(SEVEN, 10.0), dict.fromkeys(SEVEN, 14.0)
    last = epoch(2, {**train, "fin": 2.0, "deu": 40.0}, {**dev, "fin": 14.0, "deu": 56.0})
    write_log(planted, [epoch(1, {**train, "spa": 1.0}, dev), last])
    analysis = planted.analyze()
    assert kinds(analysis, "fin") == {"memorised"}
    assert kinds(analysis, "deu") == {"underfitted"}
    assert kinds(analysis, "spa") == set()
    assert analysis["infeasible_training_utterances"] == 3


def test_losses_of_the_epoch_that_was_decoded(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven())
    train, dev = dict.fromkeys(SEVEN, 10.0), dict.fromkeys(SEVEN, 14.0)
    write_log(planted, [epoch(1, {**train, "fin": 2.0}, dev), epoch(2, train, dev)])
    (planted.exp / "checkpoints").mkdir()
    (planted.exp / "checkpoints" / "selection.json").write_text('{"averaged": [{"epoch": 1}]}', encoding="utf-8")
    assert kinds(planted.analyze(), "fin") == {"memorised"}


def test_low_group_weight(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven())
    q = dict.fromkeys(SEVEN, 0.16) | {"fin": 0.04}
    write_log(planted, [{"update": 1, "q": dict.fromkeys(SEVEN, 1 / 7)}, {"update": 2, "q": q}], "groups.jsonl")
    analysis = planted.analyze()
    assert kinds(analysis, "fin") == {"low_weight"}
    assert finding(analysis, "fin", "low_weight")["value"] == pytest.approx(0.28)


def test_groups_that_are_not_languages_say_nothing_of_languages(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven())
    write_log(planted, [epoch(1, {"female": 1.0, "male": 9.0}, {"female": 5.0, "male": 9.0})])
    write_log(planted, [{"update": 1, "q": {"female": 0.1, "male": 0.9}}], "groups.jsonl")
    assert all(kinds(planted.analyze(), code) == set() for code in SEVEN)


def test_worse_corpus(tmp_path: Path) -> None:
    def bad_half(clip: Clip, index: int, rng: random.Random) -> Clip:
        return noisy(clip, 0.4, rng) if index % 2 else clip

    planted = write_set(tmp_path, seven(Spec(plant=of_clips(bad_half), n_speakers=7)))
    corpora = {
        clip.utt_id: "voxforge" if index % 2 else "fleurs"
        for members in planted.clips.values()
        for index, clip in enumerate(members)
    }
    write_two_columns(planted.data / "test" / "utt2corpus", corpora)
    analysis = planted.analyze()
    assert "corpus voxforge has a CER of" in finding(analysis, "fin", "worse_corpus")["text"]
    assert all("worse_corpus" not in kinds(analysis, code) for code in SEVEN if code != "fin")


def test_confusions_of_characters(tmp_path: Path) -> None:
    def a_for_e(clip: Clip, index: int, rng: random.Random) -> Clip:
        return replace(clip, recognised=clip.spoken.replace("a", "e"))

    planted = write_set(tmp_path, seven(Spec(plant=of_clips(a_for_e))))
    entry = next(one for one in planted.analyze()["languages"] if one["language"] == "fin")
    n = sum(clip.spoken.count("a") for clip in planted.clips["fin"])
    assert entry["confusions"] == [{"said": "a", "recognised": "e", "n": n}]
    assert entry["numbers"]["substitution_share"] == 1


def test_speech_rates_are_compared_within_a_script(tmp_path: Path) -> None:
    """Six languages of another script with fewer letters per second are no outliers beside seven Latin ones."""
    cyrillic = ("bel", "bul", "kaz", "kir", "rus", "ukr")
    specs = seven() | {code: Spec(letters=CYRILLIC, seconds_per_character=1 / 6) for code in cyrillic}
    specs["rus"] = Spec(letters=CYRILLIC, seconds_per_character=1 / 13)
    analysis = write_set(tmp_path, specs).analyze()
    assert "fast_text" in kinds(analysis, "rus")
    assert all(not {"fast_text", "slow_text"} & kinds(analysis, code) for code in specs if code != "rus")


def test_better_hypotheses_among_the_n_best(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven(Spec(error=0.3)))
    records = []
    for code, clips in planted.clips.items():
        for clip in clips:
            texts = [clip.recognised, clip.spoken if code == "fin" and clip.utt_id[-1] in "0123456" else "xyz"]
            records.append({"utt_id": clip.utt_id, "nbest": [{"text": text, "score": 0.0} for text in texts]})
    (planted.decode_dir / "test" / "nbest.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8"
    )
    analysis = planted.analyze()
    left = [clip for clip in planted.clips["fin"] if clip.utt_id[-1] in "789"]
    errors = sum(len_errors(clip.transcript, clip.recognised) for clip in left)
    expected = errors / sum(len(clip.transcript) for clip in planted.clips["fin"])
    assert finding(analysis, "fin", "better_in_nbest")["value"] == pytest.approx(expected)
    assert all("better_in_nbest" not in kinds(analysis, code) for code in SEVEN if code != "fin")
    (planted.decode_dir / "test" / "nbest.jsonl").write_text('{"utt_id": 3}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"nbest.jsonl:1: not an utterance"):
        planted.analyze()


def test_two_scripts(tmp_path: Path) -> None:
    def half_cyrillic(clip: Clip, index: int, rng: random.Random) -> Clip:
        if index % 2:
            return clip
        table = str.maketrans(LATIN, CYRILLIC[: len(LATIN)])
        return replace(clip, transcript=clip.transcript.translate(table), recognised=clip.recognised.translate(table))

    analysis = write_set(tmp_path, seven(Spec(plant=of_clips(half_cyrillic)))).analyze()
    assert "two_scripts" in kinds(analysis, "fin")
    assert not any("script" in one["reasons"] for one in analysis["suspects"])
