"""Decoding in shards and in processes: always the same files."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from asr_dro.data.data_dir import read_two_columns, write_two_columns
from asr_dro.decoding import decode as engine
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.parts import read_part
from asr_dro.decoding.shards import Shard
from asr_dro.decoding.workers import Order, Report, Share, decode_order, decode_orders
from asr_dro.errors import UserError
from asr_dro.experiment import DECODED, HYPOTHESES
from tests.decoding.sharded_case import ALONE, TIMES, Case


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
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")  # as in stage 5: the processes import ESPnet in a third of the time
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


def test_two_shards_that_finish_at_once_merge_once(case: Case, whole: dict[str, bytes]) -> None:
    errors: list[BaseException] = []
    (case.folder / "times.yaml").write_text(TIMES)  # once, and not by each thread while another reads it

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


def test_n_best_hypotheses_of_a_beam_under_the_given_language(case: Case) -> None:
    content = "search: beam\nseconds_per_batch: 5\nnbest: 3\ntimes: true\nlanguages: given\n"
    whole = case.decode("beam", content)
    languages = read_two_columns(case.data_set / "dev" / "utt2lang")
    for text, line in zip(
        whole["dev/text"].decode().splitlines(), whole["dev/nbest.jsonl"].decode().splitlines(), strict=True
    ):
        details = json.loads(line)
        assert 1 <= len(details["nbest"]) <= 3
        best = details["nbest"][0]
        assert text == f"{details['utt_id']} [{languages[details['utt_id']]}] {best['text']}".rstrip()
        assert [entry["score"] for entry in details["nbest"]] == sorted(
            (e["score"] for e in details["nbest"]), reverse=True
        )
        assert len({entry["text"] for entry in details["nbest"]}) == len(details["nbest"])
        assert all(token["start_s"] < token["end_s"] for entry in details["nbest"] for token in entry["tokens"])
    (case.experiment / "decode_beam").rename(case.experiment / "decode_old")
    for number in (2, 1):
        case.decode("beam", content, shard=Shard(number, 2))
    assert case.files("beam") == whole


def test_models_that_know_no_times_are_refused_before_any_work(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from asr_dro.training.model import GroupRobustASRModel

    monkeypatch.setattr(GroupRobustASRModel, "__call__", None)
    monkeypatch.setattr("asr_dro.training.model.chain", lambda parts: None)
    with pytest.raises(UserError, match="frames have no times"):
        case.decode()
    assert all(path.read_text().count("\n") == 1 for path in case.parts())
