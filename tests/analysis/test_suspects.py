"""Wrong transcripts are planted among right ones; they are found, for the right reason, and few others with them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asr_dro.analysis.losses import AlignmentLosses
from asr_dro.scoring.files import read_tsv
from tests.analysis.sets import (
    CYRILLIC,
    LATIN,
    SEVEN,
    Clip,
    Planted,
    Spec,
    sentence,
    seven,
    vocabulary,
    with_transcript,
    write_set,
)

N_PLANTED = 12
N_TEST = 150
ERROR = 0.15


def others_sentence(clip: Clip, rng: random.Random, language: str, letters: str = LATIN) -> Clip:
    return with_transcript(clip, sentence(vocabulary(language, letters), rng, (4, 9)))


def swap(clips: list[Clip], rng: random.Random) -> list[Clip]:
    """Exchange the transcripts of neighbours, of one speaker each."""
    changed = list(clips)
    for first in range(0, N_PLANTED // 2):
        second = first + 8  # the same speaker again
        changed[first] = with_transcript(clips[first], clips[second].transcript)
        changed[second] = with_transcript(clips[second], clips[first].transcript)
    return changed


def first_ones(change: Callable[[Clip, random.Random], Clip]) -> Callable[[list[Clip], random.Random], list[Clip]]:
    """Change the first twelve clips."""

    def plant(clips: list[Clip], rng: random.Random) -> list[Clip]:
        return [change(clip, rng) if index < N_PLANTED else clip for index, clip in enumerate(clips)]

    return plant


def cut(clip: Clip, rng: random.Random) -> Clip:
    return with_transcript(clip, clip.spoken[: len(clip.spoken) // 2].strip())


def doubled(clip: Clip, rng: random.Random) -> Clip:
    return with_transcript(clip, f"{clip.spoken} {clip.spoken}")


NOISE = {
    "swapped": (swap, {"swapped"}),
    "cut": (first_ones(cut), {"reference_short", "rate"}),
    "doubled": (first_ones(doubled), {"reference_long", "rate"}),
    "other language": (first_ones(lambda clip, rng: others_sentence(clip, rng, "spa")), {"other_language"}),
    "other script": (first_ones(lambda clip, rng: others_sentence(clip, rng, "rus", CYRILLIC)), {"script"}),
}


def wrong_ones(planted: Planted, language: str = "fin") -> set[str]:
    return {clip.utt_id for clip in planted.clips[language] if clip.transcript != clip.spoken}


@pytest.mark.parametrize("kind", NOISE)
def test_wrong_transcripts_are_found(kind: str, tmp_path: Path) -> None:
    plant, reasons = NOISE[kind]
    specs = {code: Spec(n_test=N_TEST, error=ERROR) for code in SEVEN}
    specs["fin"] = replace(specs["fin"], plant=plant)
    planted = write_set(tmp_path, specs)
    wrong, analysis = wrong_ones(planted), planted.analyze()
    found = {one["utt_id"]: one for one in analysis["suspects"]}
    right_finds = wrong & set(found)
    assert len(wrong) == N_PLANTED
    assert len(right_finds) >= 0.9 * len(wrong), "recall"
    assert len(right_finds) >= 0.85 * len(found), "precision, over 1050 utterances"
    explained = [utt_id for utt_id in right_finds if reasons & set(found[utt_id]["reasons"])]
    assert len(explained) >= 0.75 * len(wrong)
    first = [one["utt_id"] for one in analysis["suspects"][: len(right_finds) // 2]]
    assert set(first) <= wrong, "the most doubtful come first"


def test_a_bad_model_hides_noise_but_raises_no_alarm(tmp_path: Path) -> None:
    planted = write_set(tmp_path, {code: Spec(n_test=N_TEST, error=0.7) for code in SEVEN})
    assert len(planted.analyze()["suspects"]) <= 5


def test_losses_find_what_the_text_hides(tmp_path: Path) -> None:
    """Hypotheses that repeat the reference say nothing; the loss under the model does."""
    planted = write_set(tmp_path, seven())
    rng = random.Random(0)
    ids = [clip.utt_id for members in planted.clips.values() for clip in members]
    losses = {utt_id: rng.gauss(1.0, 0.2) for utt_id in ids} | {ids[5]: 4.0}
    unfit = frozenset(clip.utt_id for clip in planted.clips["fin"][:4])
    analysis = planted.analyze(AlignmentLosses({k: v for k, v in losses.items() if k not in unfit}, unfit))
    assert [one["utt_id"] for one in analysis["suspects"]] == [ids[5]]
    assert set(analysis["suspects"][0]["reasons"]) == {"loss"}
    entry = next(one for one in analysis["languages"] if one["language"] == "fin")
    assert entry["numbers"]["infeasible_share"] == 0.1
    assert "infeasible" in {finding["kind"] for finding in entry["findings"]}


def test_sentences_with_one_beginning_are_no_swap(tmp_path: Path) -> None:
    """Half of a sentence is lost, and the other half is nearly all of another one: no reason to think of a swap."""

    def share_a_beginning(clips: list[Clip], rng: random.Random) -> list[Clip]:
        beginning = "qwer tyui opas dfgh "
        long, short = beginning + "zxcv bnmq wert yuio", beginning + "zxc"
        first = replace(clips[0], spoken=long, transcript=long, recognised=beginning.strip())
        return [first, replace(clips[1], spoken=short, transcript=short, recognised=short), *clips[2:]]

    analysis = write_set(tmp_path, seven(Spec(plant=share_a_beginning))).analyze()
    assert [one["language"] for one in analysis["suspects"]] == ["fin"]
    assert "swapped" not in analysis["suspects"][0]["reasons"]


def test_table_of_suspects(tmp_path: Path) -> None:
    planted = write_set(tmp_path, seven(Spec(n_test=60, plant=first_ones(cut))))
    analysis = planted.analyze()
    rows = read_tsv(planted.decode_dir / "test" / "suspects.tsv")
    assert len(rows) == analysis["n_suspects"]
    by_id = {clip.utt_id: clip for clip in planted.clips["fin"]}
    for row, one in zip(rows, analysis["suspects"], strict=True):
        assert row["utt_id"] == one["utt_id"]
        assert row["kinds"] == ",".join(one["reasons"])
        if row["language"] == "fin":
            clip = by_id[row["utt_id"]]
            assert (row["reference"], row["wav"]) == (clip.transcript, f"audio/{clip.utt_id}.flac")
            assert row["speaker"] == clip.speaker


def test_all_utterances_alike_or_few(tmp_path: Path) -> None:
    specs: dict[str, Any] = {"fin": Spec(n_train=1, n_test=1), "spa": Spec(n_train=2, n_test=3)}
    assert write_set(tmp_path, specs).analyze()["n_suspects"] == 0
