"""Decoding in shards, in processes, and after kills: always the same files."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from asr_dro.data.data_dir import read_two_columns, write_two_columns
from asr_dro.decoding import decode as engine
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.decode import decode_sets
from asr_dro.decoding.parts import PARTS, read_part
from asr_dro.decoding.shards import Shard
from asr_dro.decoding.splits import Split
from asr_dro.decoding.workers import Order, Report, Share, decode_order, decode_orders
from asr_dro.errors import UserError
from asr_dro.experiment import DECODED, DETAILS, HYPOTHESES
from tests.decoding.experiments import write_experiment
from tests.shell_sandbox import ROOT
from tests.training.runs import write_noise_set

ALONE = "search: greedy\nseconds_per_batch: 0.1\n"  # a batch for each utterance
TIMES = ALONE + "times: true\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a set of 2 x 24 utterances and an experiment with random weights."""
    folder = tmp_path_factory.mktemp("sharded")
    return write_noise_set(folder, per_language=12), write_experiment(folder / "exp")


class Case:
    """A set, and an experiment of its own."""

    def __init__(self, prepared: tuple[Path, Path], folder: Path) -> None:
        self.data_set, self.experiment, self.folder = prepared[0], folder / "exp", folder
        shutil.copytree(prepared[1], self.experiment, ignore=shutil.ignore_patterns("decode_*"))

    def decode(self, name: str = "times", content: str = TIMES, **options: Any) -> dict[str, bytes]:
        """Decode, and return what there is by split and file."""
        config = self.folder / f"{name}.yaml"
        config.write_text(content)
        decode_sets(self.data_set, self.experiment, config, **{"nj": 1, "ngpu": 0, **options})
        return self.files(name)

    def files(self, name: str = "times") -> dict[str, bytes]:
        folder = self.experiment / f"decode_{name}"
        paths = [folder / split / file for split in ("dev", "test") for file in (HYPOTHESES, DETAILS)]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.exists()}

    def parts(self, name: str = "times") -> list[Path]:
        return sorted((self.experiment / f"decode_{name}" / PARTS).glob("*.jsonl"))


@pytest.fixture
def case(prepared: tuple[Path, Path], tmp_path: Path) -> Case:
    return Case(prepared, tmp_path)


@pytest.fixture(scope="module")
def whole(prepared: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of an undisturbed run."""
    files = Case(prepared, tmp_path_factory.mktemp("whole")).decode()
    assert list(files) == ["dev/text", "dev/nbest.jsonl", "test/text", "test/nbest.jsonl"]
    lines = files["test/text"].decode().splitlines()
    assert len(lines) == 24
    assert len({line.partition(" ")[2] for line in lines}) > 20, "hypotheses that are alike would prove little"
    return files


def test_details_say_what_text_says_and_when(case: Case, whole: dict[str, bytes]) -> None:
    plain = case.decode("plain", ALONE)
    assert plain == {name: content for name, content in whole.items() if name.endswith("text")}
    durations_s = read_two_columns(case.data_set / "test" / "utt2dur")
    lines = whole["test/nbest.jsonl"].decode().splitlines()
    for text, line in zip(whole["test/text"].decode().splitlines(), lines, strict=True):
        details = json.loads(line)
        (best,) = details["nbest"]
        tag = "" if best["language"] is None else f"[{best['language']}]"
        assert text.split() == [details["utt_id"], *tag.split(), *best["text"].split()]
        assert best["score"] < 0
        assert best["tokens"]
        ends = [0.0]
        for token in best["tokens"]:
            assert ends[-1] <= token["start_s"] < token["end_s"] <= float(durations_s[details["utt_id"]]) + 0.001
            assert 0 < token["confidence"] <= 1
            ends.append(token["end_s"])


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_in_any_order_give_the_files_of_a_whole_decoding(
    case: Case, whole: dict[str, bytes], order: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    for number in order[:-1]:
        assert case.decode(shard=Shard(number, 3)) == {}
    held = [read_part(path, json.loads(path.read_text().split("\n")[0])["made_from"]).batches for path in case.parts()]
    assert sorted(len(part) for part in held) == [8, 8, 8, 8], "two parts of dev, two of test"
    assert case.decode(shard=Shard(order[-1], 3)) == whole
    assert case.parts() == []
    with caplog.at_level(logging.INFO):
        assert case.decode(shard=Shard(order[0], 3)) == whole
    assert caplog.text.count("is decoded already") == 2


def test_a_whole_decoding_takes_what_shards_have(case: Case, whole: dict[str, bytes], monkeypatch: Any) -> None:
    for number in (1, 2):
        case.decode(shard=Shard(number, 3))
    case.decode(shard=Shard(2, 5))  # shards of another number have only what is missing
    orders: list[Order] = []

    def spy(order: Order, report: Report) -> None:
        orders.append(order)
        decode_order(order, report)

    monkeypatch.setattr(engine, "decode_order", spy)
    assert case.decode() == whole
    assert sum(len(share.batches) for share in orders[0].shares) < 16
    marker = json.loads((case.experiment / "decode_times" / "test" / DECODED).read_text())
    assert marker["utterances"] == 24
    assert marker["audio_s"] == pytest.approx(
        sum(map(float, read_two_columns(case.data_set / "test" / "utt2dur").values())), abs=0.1
    )
    assert marker["real_time_factor"] == pytest.approx(marker["seconds"] / marker["audio_s"], rel=0.01)


def test_more_shards_than_batches(case: Case) -> None:
    whole = case.decode("few", "search: greedy\nseconds_per_batch: 60\n")
    (case.experiment / "decode_few").rename(case.experiment / "decode_old")
    for number in range(1, 6):
        case.decode("few", "search: greedy\nseconds_per_batch: 60\n", shard=Shard(number, 5))
    assert case.files("few") == whole


def test_processes_give_the_files_of_a_single_one(case: Case, whole: dict[str, bytes], monkeypatch: Any) -> None:
    monkeypatch.setattr(engine, "LEAST_AUDIO_S", 1.0)
    case.decode(shard=Shard(1, 4))
    assert case.decode(nj=2) == whole
    assert "cpu" in json.loads((case.experiment / "decode_times" / "dev" / DECODED).read_text())["devices"]


def order_of(case: Case, part: Any) -> Order:
    share = Share("dev", "", part, {}, {})
    return Order(case.data_set, case.experiment, DecodeConfig("greedy"), case.folder / "decode.log", [share])


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_an_error_or_the_end_of_a_process_ends_the_stage(case: Case) -> None:
    (case.folder / "file").write_text("")
    part = case.folder / "file" / "part.jsonl"
    with pytest.raises(FileExistsError, match=str(part.parent)):
        decode_orders([order_of(case, part), order_of(case, part)], print)
    with pytest.raises(UserError, match="one of 1 decoding processes was killed"):
        decode_orders([order_of(case, Deadly())], print)


def interrupted(case: Case, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Decode, and die before the merge."""
    with monkeypatch.context() as patch:
        patch.setattr(Split, "merge", lambda split: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            case.decode(**options)


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
    interrupted(case, monkeypatch, content=TIMES + "seconds_per_batch: 0.2\n".replace("seconds_per_batch: 0.2", "#"))
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


def test_two_shards_that_finish_at_once_merge_once(case: Case, whole: dict[str, bytes]) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            case.decode(shard=Shard(number, 2))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert case.files() == whole


def test_a_whole_decoding_waits_for_a_shard_at_work(case: Case, whole: dict[str, bytes]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def report(audio_s: float, seconds: float) -> None:
        begun.set()
        go_on.wait(60)

    (case.folder / "times.yaml").write_text(TIMES)
    order = threading.Thread(target=case.decode, kwargs={"shard": Shard(1, 2)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "decode_order", lambda order, _: decode_order(order, report))
        order.start()
        assert begun.wait(60)
    other = threading.Thread(target=case.decode)
    other.start()
    time.sleep(0.5)
    assert case.files() == {}
    go_on.set()
    order.join(60)
    other.join(60)
    assert case.files() == whole


def test_killed_and_run_again_it_gives_the_same_files(case: Case, whole: dict[str, bytes]) -> None:
    (case.folder / "times.yaml").write_text(TIMES)
    # Each batch is followed by a pause, so that the kill comes in the middle on any machine.
    code = (
        "import time; from asr_dro.decoding import parts; add = parts.PartFile.add\n"
        "def slow(*a, **k): add(*a, **k); time.sleep(0.05)\n"
        "parts.PartFile.add = slow\n"
        "from asr_dro.bin.decode import main; main()"
    )
    options = {"--data": case.data_set, "--exp": case.experiment, "--decode": case.folder / "times.yaml"}
    command = [sys.executable, "-O", "-c", code, *(str(word) for pair in options.items() for word in pair)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
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


def test_unreadable_audio_of_all_shards_counts_together(case: Case, tmp_path: Path) -> None:
    copy = tmp_path / "set"
    shutil.copytree(case.data_set, copy)
    case.data_set = copy
    wav = read_two_columns(copy / "dev" / "wav.scp")
    write_two_columns(copy / "dev" / "wav.scp", {**wav, **dict.fromkeys(sorted(wav)[::2][:11], "/gone/a.flac")})
    with pytest.raises(UserError, match="11 utterances could not be read, and more than 10 are too many"):
        for number in (1, 2):
            case.decode(shard=Shard(number, 2))
    assert not (case.experiment / "decode_times" / "dev" / HYPOTHESES).exists()


def test_options_that_do_not_go_are_all_named(case: Case) -> None:
    with pytest.raises(UserError) as caught:
        case.decode(nj=0, ngpu=2, overwrite=True, shard=Shard(1, 2))
    assert str(caught.value).count("\n") == 3
    with pytest.raises(UserError, match=r"--ngpu -1"):
        case.decode(ngpu=-1)
