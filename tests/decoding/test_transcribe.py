from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from asr_dro.decoding import transcription
from asr_dro.decoding.results import RECORD, Request
from asr_dro.decoding.segments import Cutting
from asr_dro.decoding.transcribe import find_files, transcribe
from asr_dro.errors import UserError
from tests.decoding.experiments import speech, write_audio, write_experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("random") / "exp")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for number, name in enumerate(("b.wav", "a.flac", "below/c.WAV", "below/deeper/d.ogg")):
        samples = speech(0.5 + number, seed=number)
        write_audio(tmp_path / "in" / name, samples)
    (tmp_path / "in" / "notes.txt").write_text("no audio, and not its name")
    return tmp_path / "in"


def test_files_folders_and_patterns(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recordings)
    found, failures = find_files(["below", "*.wav", "b.wav", "notes.txt", "gone.wav", "x*.wav"])
    assert {str(path): str(place) for path, place in found.items()} == {
        "below/c.WAV": "c",
        "below/deeper/d.ogg": "deeper/d",
        "b.wav": "b",
        "notes.txt": "notes",
    }
    assert failures == {"gone.wav": "no such file", "x*.wav": "no such file"}
    (recordings / "nothing").mkdir()
    (recordings / "brackets[1].wav").write_bytes((recordings / "b.wav").read_bytes())
    found, failures = find_files(["nothing", "brackets[1].wav"])
    assert list(map(str, found)) == ["brackets[1].wav"] and failures == {"nothing": "no audio files in it"}


def test_text_goes_to_standard_output(experiment: Path, recordings: Path, capfd: pytest.CaptureFixture[str]) -> None:
    transcribe(Request(experiment, [str(recordings)]))
    lines = capfd.readouterr().out.splitlines()
    names = ["a.flac", "b.wav", "below/c.WAV", "below/deeper/d.ogg"]
    assert [line.split("\t")[0] for line in lines] == [str(recordings / name) for name in names]
    transcribe(Request(experiment, [str(recordings / "b.wav")]))
    assert capfd.readouterr().out == lines[1].split("\t")[1] + "\n"
    transcribe(Request(experiment, [str(recordings / "b.wav"), str(recordings / "a.flac")], as_json=True))
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [one["file"] for one in found] == [str(recordings / name) for name in ("b.wav", "a.flac")]
    text = found[0]["text"]
    assert lines[1].split("\t")[1] == (f"[{found[0]['language']}] {text}" if found[0]["language"] else text)
    transcribe(Request(experiment, [str(recordings / "b.wav")], as_srt=True))
    assert capfd.readouterr().out.startswith("1\n00:00:00,")


def test_a_wrong_file_is_named_and_the_others_are_done(
    experiment: Path, recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (recordings / "0.wav").write_text("no audio")
    request = Request(experiment, [str(recordings), "gone.wav"], out_dir=tmp_path / "out")
    with pytest.raises(UserError) as caught:
        transcribe(request)
    message = str(caught.value)
    assert message.startswith(
        f"2 of 6 could not be read: gone.wav (no such file), {recordings}/0.wav (cannot be decoded"
    )
    assert f"{recordings}/0.wav: cannot be decoded" in caplog.text
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.txt")) == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_results_lie_as_the_recordings_do(experiment: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    transcribe(Request(experiment, [str(recordings)], as_json=True, as_srt=True, out_dir=out))
    stems = ["a", "b", "below/c", "below/deeper/d"]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == sorted(
        [RECORD, *(f"{stem}{ending}" for stem in stems for ending in (".json", ".srt", ".txt"))]
    )
    content = json.loads((out / "below/c.json").read_text())
    assert content["file"] == str(recordings / "below/c.WAV") and content["duration_s"] == 2.5
    assert (out / "below/c.txt").read_text().rstrip("\n").endswith(content["text"])


def test_an_interrupted_run_goes_on(
    experiment: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    out = tmp_path / "out"
    request = Request(experiment, [str(recordings)], out_dir=out, seconds_per_batch=0.1)
    heard: list[str] = []
    real = transcription.Transcriber._finish

    def finish(self: transcription.Transcriber, work: transcription._Work) -> object:
        if len(heard) == 2:
            raise KeyboardInterrupt
        heard.append(work.recording.path.name)
        return real(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(transcription.Transcriber, "_finish", finish)
        with pytest.raises(KeyboardInterrupt):
            transcribe(request)
    with open(out / RECORD, "a", encoding="utf-8") as file:
        file.write('{"file": "half a li')
    first = {path: path.stat().st_mtime_ns for path in out.rglob("*.txt")}
    assert len(first) == 2
    transcribe(request)
    assert "2 of 4 files are transcribed already" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert len(list(out.rglob("*.txt"))) == 4


def test_what_has_changed_is_transcribed_again(experiment: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = Request(experiment, [str(recordings)], out_dir=out)

    def done_now(changed: Request) -> int:
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*.txt")}
        transcribe(changed)
        return sum(path.stat().st_mtime_ns != before.get(path) for path in out.rglob("*.txt"))

    assert done_now(request) == 4
    assert done_now(request) == 0
    (out / "b.txt").unlink()
    assert done_now(request) == 1
    write_audio(recordings / "b.wav", speech(1, seed=9))
    assert done_now(request) == 1
    assert done_now(replace(request, as_srt=True)) == 4, "asked for more than there is"
    assert done_now(replace(request, cutting=Cutting(pause_s=0.4))) == 4
    assert done_now(replace(request, cutting=Cutting(pause_s=0.4), overwrite=True)) == 4
    other = write_experiment(tmp_path / "other", seed=1)
    assert done_now(replace(request, experiment=other)) == 4
    (out / RECORD).write_text('["no record of ours"]\n')
    assert done_now(replace(request, experiment=other)) == 4


def test_mistakes_are_named_before_any_work(experiment: Path, recordings: Path, tmp_path: Path) -> None:
    bad = Request(tmp_path, ["x"], as_json=True, as_srt=True, cutting=Cutting(0.5, 3.0, 0.0), seconds_per_batch=0)
    with pytest.raises(UserError) as caught:
        transcribe(bad)
    for part in ("--window-s", "--overlap-s", "--pause-s", "--seconds-per-batch", "need --out-dir", "no trained model"):
        assert part in str(caught.value)
    with pytest.raises(UserError, match=r"nothing to transcribe: gone\.wav \(no such file\)"):
        transcribe(Request(experiment, ["gone.wav"]))
    with pytest.raises(UserError, match="--srt of several files needs --out-dir"):
        transcribe(Request(experiment, [str(recordings)], as_srt=True))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        transcribe(Request(experiment, [str(recordings)], out_dir=tmp_path / "file"))
    write_audio(recordings / "b.flac", speech(1, seed=0))
    with pytest.raises(UserError, match=r"overwrite each other.*\n.*b\.flac and .*b\.wav would both become b\.txt"):
        transcribe(Request(experiment, [str(recordings)], out_dir=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
