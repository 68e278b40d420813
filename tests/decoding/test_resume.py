"""Decoding that is interrupted, goes on, or has nothing to do: always the same files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr_dro.data.data_dir import read_two_columns, write_two_columns
from asr_dro.decoding.config import DecodeConfig
from asr_dro.errors import UserError
from asr_dro.experiment import DECODED, DETAILS, HYPOTHESES
from tests.decoding.sharded_case import ALONE, TIMES, Case, interrupted
from tests.shell_sandbox import ROOT


def test_part_files_cut_in_the_middle_go_on(
    case: Case, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(case, monkeypatch)
    dev, test = case.parts()
    contents = dev.read_bytes(), test.read_bytes()
    for cut in (1, 100, len(contents[0]) // 2, len(contents[0]) - 1):
        dev.write_bytes(contents[0][:cut])
        test.write_bytes(contents[1])
        assert case.decode(overwrite=True) == whole, cut  # a decoding that was begun goes on
        shutil.rmtree(case.experiment / "decode_times" / "dev")
        (case.experiment / "decode_times" / "test" / DECODED).unlink()


def test_parts_of_other_inputs_are_not_taken(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(case, monkeypatch, content=TIMES + "# a comment\n")
    for path in case.parts():  # whoever takes them would write this
        path.write_text(path.read_text().replace('"text": "', '"text": "stale '))
    assert b"stale" in b"".join(case.decode().values()), "comments do not matter"
    interrupted(case, monkeypatch, overwrite=True)
    for path in case.parts():
        path.write_text(path.read_text().replace('"text": "', '"text": "stale '))
    changed = case.decode(content=TIMES.replace("0.1", "60"))
    assert b"stale" not in b"".join(changed.values())
    assert case.parts() == []


def test_done_work_is_done_again_only_on_request_or_if_a_file_is_gone(case: Case, whole: dict[str, bytes]) -> None:
    case.decode()
    text = case.experiment / "decode_times" / "test" / HYPOTHESES
    time_ns = text.stat().st_mtime_ns
    case.decode()
    assert text.stat().st_mtime_ns == time_ns
    text.with_name(DETAILS).unlink()
    assert case.decode() == whole
    time_ns = text.stat().st_mtime_ns
    assert case.decode(overwrite=True) == whole
    assert text.stat().st_mtime_ns != time_ns
    plain = case.decode(content=ALONE)
    assert set(plain) == {"dev/text", "test/text"}, "details of an earlier configuration are gone"


@pytest.mark.parametrize("change", ["word_list", "utt2lang"])
def test_files_that_a_search_reads_count(case: Case, change: str, tmp_path: Path) -> None:
    from asr_dro.decoding.fingerprint import decode_fingerprint

    copy = tmp_path / "set"
    shutil.copytree(case.data_set, copy)
    (tmp_path / "words[1]").mkdir()
    (tmp_path / "words[1]" / "fin.txt").write_text("yksi\n")
    config = DecodeConfig("beam", languages="given", word_list=str(tmp_path / "words[1]" / "{language}.txt"))
    before = decode_fingerprint(copy, case.experiment, config, "dev")
    assert before == decode_fingerprint(copy, case.experiment, config, "dev")
    if change == "word_list":
        (tmp_path / "words[1]" / "fin.txt").write_text("kaksi\n")
    else:
        (copy / "dev" / "utt2lang").write_text((copy / "dev" / "utt2lang").read_text().replace("kat\n", "fin\n"))
    assert before != decode_fingerprint(copy, case.experiment, config, "dev")


def test_parts_that_do_not_fit_are_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(case, monkeypatch)
    dev = case.parts()[0]
    shutil.copyfile(dev, dev.with_name("dev.2-of-2.jsonl"))
    with pytest.raises(UserError, match=r"24 utterances are there more than once: fin-spk0-dev, .* and 19 more"):
        case.decode()
    assert case.files() == {}
    dev.with_name("dev.2-of-2.jsonl").unlink()
    dev.write_text(dev.read_text().replace("fin-spk0-dev", "fin-spkX-dev"))
    with pytest.raises(UserError, match=r"(?s)have no hypothesis: fin-spk0-dev.*not in the prepared set: fin-spkX-dev"):
        case.decode()


def command_of(case: Case, code: str) -> list[str]:
    """Return a command that decodes the set by some Python code."""
    (case.folder / "times.yaml").write_text(TIMES)
    options = {"--data": case.data_set, "--exp": case.experiment, "--decode": case.folder / "times.yaml"}
    return [sys.executable, "-O", "-c", code, *(str(word) for pair in options.items() for word in pair)]


def test_nothing_is_imported_that_the_model_does_not_need(case: Case, whole: dict[str, bytes]) -> None:
    code = (
        "import sys; from asr_dro.bin.decode import main; main(); "
        "heavy = {'espnet2.tasks', 'nltk', 'numba', 'peft', 's3prl', 'scipy.signal', 'sklearn', 'transformers'}; "
        "sys.exit(' '.join(sorted(heavy & sys.modules.keys())) or 0)"
    )
    done = subprocess.run(command_of(case, code), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert case.files() == whole


def test_killed_and_run_again_it_gives_the_same_files(case: Case, whole: dict[str, bytes]) -> None:
    # Each batch is followed by a pause, so that the kill comes in the middle on any machine.
    code = (
        "import time; from asr_dro.decoding import parts; add = parts.PartFile.add\n"
        "def slow(*a, **k): add(*a, **k); time.sleep(0.05)\n"
        "parts.PartFile.add = slow\n"
        "from asr_dro.bin.decode import main; main()"
    )
    process = subprocess.Popen(command_of(case, code), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (case.parts() and case.parts()[0].read_text().count('"batch"') >= 5):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finished = case.parts()[0].read_text().count('"batch"')
    assert 5 <= finished < 24
    assert case.files() == {}
    log = (case.experiment / "decode_times" / "decode.log").stat().st_size
    assert case.decode() == whole
    assert (case.experiment / "decode_times" / "decode.log").stat().st_size >= log


def test_audio_that_is_mended_is_decoded_again_in_an_interrupted_decoding(
    case: Case, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = tmp_path / "set"
    shutil.copytree(case.data_set, copy)
    case.data_set = copy
    wav = read_two_columns(copy / "dev" / "wav.scp")
    later = tmp_path / "later.flac"
    write_two_columns(copy / "dev" / "wav.scp", {**wav, "fin-spk3-dev": str(later)})
    interrupted(case, monkeypatch)
    shutil.copyfile(wav["fin-spk3-dev"], later)
    assert case.decode() == whole
