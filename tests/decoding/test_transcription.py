"""The transcriber with random networks: exact properties, whatever the weights; trained models in test_same_text.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_dro.data.audio import ClipError
from asr_dro.data.tokens import decode
from asr_dro.decoding.greedy import ctc_greedy
from asr_dro.decoding.segments import Cutting
from asr_dro.decoding.transcription import Transcriber
from asr_dro.decoding.transcripts import Transcript
from asr_dro.errors import UserError
from tests.decoding.experiments import TOKENS, arguments_of, speech, write_audio, write_experiment

CUTTING = Cutting(window_s=6.0, overlap_s=2.0, pause_s=0.3)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("random") / "exp")


def transcripts(transcriber: Transcriber, *files: Path) -> list[Transcript]:
    found = []
    for _, outcome in transcriber.transcribe(files):
        assert isinstance(outcome, Transcript), outcome
        found.append(outcome)
    return found


def test_short_files_are_heard_as_stage_5_hears_them(experiment: Path, tmp_path: Path) -> None:
    files = [write_audio(tmp_path / f"{n}.wav", speech(0.5 + 0.45 * n, seed=n)) for n in range(9)]
    transcriber = Transcriber(experiment, cutting=CUTTING, seconds_per_batch=7)
    for number, found in enumerate(transcripts(transcriber, *files)):
        samples = torch.from_numpy(speech(0.5 + 0.45 * number, seed=number))[None]
        (expected,) = transcriber.model.greedy(samples, torch.tensor([samples.size(1)]))
        language, text = decode(expected, TOKENS)
        assert (found.file, found.duration_s) == (str(files[number]), samples.size(1) / 16_000)
        assert [segment.text for segment in found.segments] == [text]
        assert (found.language()[0], found.segments[0].language) == (language, language)
        assert text and found.line() == (f"[{language}] {text}" if language else text)


def test_a_long_file_is_the_text_of_its_pieces(experiment: Path, tmp_path: Path) -> None:
    """Each piece begins and ends with as much silence as its neighbours, so that cuts fall where pieces meet."""
    pieces = [speech(seconds, seed=n, silence_s=0.15) for n, seconds in enumerate([3.0, 4.2, 0.7, 2.5, 5.0, 1.1])]
    files = [write_audio(tmp_path / f"{number}.wav", piece) for number, piece in enumerate(pieces)]
    long = write_audio(tmp_path / "long.wav", np.concatenate(pieces))
    found = transcripts(Transcriber(experiment, cutting=CUTTING, seconds_per_batch=0.1), *files, long)
    together = found.pop()
    assert [segment.text for segment in together.segments] == [one.segments[0].text for one in found]
    assert [segment.language for segment in together.segments] == [one.segments[0].language for one in found]
    start_s = 0.0
    for segment, piece, alone in zip(together.segments, pieces, found, strict=True):
        shifted = [round(token.start_s + start_s, 6) for token in alone.segments[0].tokens]
        assert [round(token.start_s, 6) for token in segment.tokens] == shifted
        start_s += len(piece) / 16_000
    assert together.to_json(TOKENS)["text"] == " ".join(one.segments[0].text for one in found)


def test_neither_batches_nor_order_nor_company_change_a_transcript(experiment: Path, tmp_path: Path) -> None:
    files = [write_audio(tmp_path / f"{n}.flac", speech(s, seed=n)) for n, s in enumerate([2.0, 31.0, 0.3, 9.0, 4.0])]
    alone = transcripts(Transcriber(experiment, cutting=CUTTING, seconds_per_batch=0.1), *files)
    for seconds in (5, 1000):
        found = transcripts(Transcriber(experiment, cutting=CUTTING, seconds_per_batch=seconds), *reversed(files))
        assert [one.line() for one in reversed(found)] == [one.line() for one in alone]
        for one, other in zip(reversed(found), alone, strict=True):
            first, second = one.to_json(TOKENS), other.to_json(TOKENS)
            assert [s["start_s"] for s in first["segments"]] == [s["start_s"] for s in second["segments"]]
    assert len(alone[1].line()) > 50


def test_windows_of_a_part_without_pauses_join_to_what_one_window_hears(tmp_path: Path) -> None:
    """Of a network that sees little around a frame, so that only the seams can differ."""
    local = "--encoder_conf channels=16 --encoder_conf blocks=1 --normalize null"
    experiment = write_experiment(tmp_path / "exp", arguments_of(train_args=local))
    transcriber = Transcriber(experiment, cutting=Cutting(window_s=600, overlap_s=2))
    for block in transcriber.model.encoder.blocks:  # context of the whole utterance, which windows do not have
        torch.nn.init.zeros_(block.context.excite.weight)
    path = write_audio(tmp_path / "a.wav", np.concatenate([np.zeros(20_000, dtype=np.float32), speech(50, seed=5)]))
    transcriber.cutting = Cutting(window_s=50.5, overlap_s=2)  # the silence before it is left out
    (whole,) = transcripts(transcriber, path)
    transcriber.cutting = CUTTING
    (parts,) = transcripts(transcriber, path)
    assert len(whole.segments[0].tokens) > 100
    assert [token[:3] for token in map(tuple_of, parts.segments[0].tokens)] == [
        token[:3] for token in map(tuple_of, whole.segments[0].tokens)
    ]


def tuple_of(token: object) -> tuple[int, float, float]:
    return token.label, round(token.start_s, 6), round(token.end_s, 6)  # type: ignore[attr-defined]


def test_times_are_those_of_the_frames(experiment: Path, tmp_path: Path) -> None:
    transcriber = Transcriber(experiment, cutting=CUTTING)
    assert transcriber.step == 480
    samples = speech(3, seed=3)
    (found,) = transcripts(transcriber, write_audio(tmp_path / "a.wav", samples))
    with torch.no_grad():
        logits, frames = transcriber.model.ctc_logits(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    assert len(found.segments[0].tokens) > 5
    posteriors = logits[0].softmax(dim=-1)
    labels = [0, *logits[0].argmax(dim=-1).tolist(), 0]
    for token in found.segments[0].tokens:
        first, last = round(token.start_s / 0.03), round(token.end_s / 0.03)
        assert token.start_s == pytest.approx(first * 0.03) and first < last
        assert labels[first + 1 : last + 1] == [token.label] * (last - first)
        assert labels[first] != token.label != labels[last + 1]
        assert token.confidence == pytest.approx(float(posteriors[first:last, token.label].mean()), abs=1e-5)
    assert found.segments[0].end_s <= found.duration_s
    (expected,) = ctc_greedy(logits, frames)
    tags = [label for label in expected if TOKENS[label].startswith("[")]
    if tags:
        frame = labels.index(tags[0]) - 1
        assert found.segments[0].language_confidence == pytest.approx(float(posteriors[frame, tags[0]]), abs=0.5)


def test_a_file_that_cannot_be_read_does_not_end_the_others(experiment: Path, tmp_path: Path) -> None:
    good = [write_audio(tmp_path / f"{number}.wav", speech(1, seed=number)) for number in range(2)]
    (tmp_path / "bad.wav").write_text("no audio")
    given = [tmp_path / "gone.wav", good[0], tmp_path / "bad.wav", good[1]]
    seconds: list[float] = []
    found = list(Transcriber(experiment, progress=seconds.append).transcribe(given))
    assert [path for path, _ in found] == given
    assert [isinstance(outcome, ClipError) for _, outcome in found] == [True, False, True, False]
    assert sum(seconds) == pytest.approx(2.0)


def test_progress_adds_up_to_what_is_heard(experiment: Path, tmp_path: Path) -> None:
    seconds: list[float] = []
    path = write_audio(tmp_path / "a.wav", speech(40, seed=1))
    transcripts(Transcriber(experiment, cutting=CUTTING, progress=seconds.append), path)
    assert sum(seconds) == pytest.approx(40.0)


def test_a_decoder_without_times_gives_text_alone(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcriber = Transcriber(experiment, cutting=CUTTING)
    transcriber.step = 0
    greedy: Callable[..., list[list[int]]] = transcriber.model.greedy
    heard: list[int] = []

    def counted(speech: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
        heard.extend(lengths.tolist())
        return greedy(speech, lengths)

    monkeypatch.setattr(transcriber.model, "greedy", counted)
    (found,) = transcripts(transcriber, write_audio(tmp_path / "a.wav", speech(20, seed=4)))
    assert sum(heard) == 20 * 16_000 and max(heard) <= 6 * 16_000, "windows that do not overlap"
    assert [segment.tokens for segment in found.segments] == [()] * len(heard)
    assert found.segments[0].start_s == 0 and found.segments[-1].end_s == 20


def test_folders_without_a_model_are_refused(tmp_path: Path, experiment: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        Transcriber(tmp_path / "exp")
    (tmp_path / "exp").mkdir()
    with pytest.raises(UserError, match=r"config\.yaml and .*model\.pt missing; run stage 4"):
        Transcriber(tmp_path / "exp")
    other = write_experiment(tmp_path / "other", arguments_of(train_args="--encoder_conf channels=8"))
    (other / "config.yaml").write_text((experiment / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UserError, match=r"model\.pt does not fit .*config\.yaml: Error.* \.\.\.$"):
        Transcriber(other)
