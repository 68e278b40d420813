"""From folders to every format, as a user calls it."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr_dro.bin.collect import main
from asr_dro.errors import UserError
from tests.collecting.experiments import CER, add_scores, make_scores, write, write_run, write_scored
from tests.report.test_render import Page

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>hacked</script> \"&' | _ \\ {{ 1 }} \t $x$ % # ~"


@pytest.fixture
def exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two scored runs, a failed one and an interrupted one, and go to its parent."""
    monkeypatch.chdir(tmp_path)
    folder = Path("exp")
    write_scored(folder / "plain_s1", CER)
    write_scored(folder / "robust_s1", {**CER, "hin": 0.25}, objective="ctc_dro")
    write_run(folder / "failed_s1", trained=False)
    write(folder / "failed_s1" / "failure.json", json.dumps({"stage": 4, "error": HOSTILE}))
    write_run(folder / "stopped_s1", trained=False, epochs=1)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


def test_the_table_is_printed(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exp.is_dir()
    lines = printed(capsys).splitlines()
    rows = [line.split() for line in lines]
    assert [row[1] for row in rows if row[:1] == ["separable_conv"]] == ["ctc_dro", "ctc"]  # the best worst CER first
    states = {row[0]: row[1] for row in rows if row and row[0] in {"failed", "interrupted"}}
    assert states == {"failed": "failed_s1", "interrupted": "stopped_s1"}
    assert any("epoch 1 of 2" in line for line in lines)


def test_every_format_has_every_run(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exp.is_dir()
    names = ("tsv", "markdown", "latex", "json", "html")
    arguments = [word for name in names for word in (f"--{name}", f"out/scores.{name}")]
    printed(capsys, *arguments, "--wide", "--published", "ctc_dro")
    for name in names:
        text = Path("out", f"scores.{name}").read_text(encoding="utf-8").replace("\\", "")
        for word in ("plain_s1", "robust_s1", "failed_s1", "stopped_s1", "interrupted", "epoch 1 of 2", "group DRO"):
            assert word in text, (name, word)
        assert "published" in text.lower()


def test_tsv_and_json_hold_every_digit(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scored(exp / "third_s1", {"fin": 1 / 3, "hin": 2 / 3}, model="other")
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "--tsv", "-")), delimiter="\t", quoting=csv.QUOTE_NONE))
    records = json.loads(printed(capsys, "--json", "-"))["entries"]
    assert [row["tag"] for row in rows] == [record["tag"] for record in records]
    by_tag = {row["tag"]: row for row in rows}
    assert float(by_tag["third_s1"]["worst_cer"]) == 2 / 3
    assert by_tag["failed_s1"]["worst_cer"] == ""
    assert (by_tag["plain_s1"]["cpu_h"], by_tag["plain_s1"]["audio_h"], by_tag["plain_s1"]["gpu_h"]) == (
        "1.0",
        "2.0",
        "",
    )
    for row, record in zip(rows, records, strict=True):
        assert row["state"] == record["state"]
        assert float(row["mean_cer"] or "nan") == pytest.approx(record["mean_cer"] or float("nan"), nan_ok=True, abs=0)


def test_a_corrupt_file_is_named_and_the_rest_goes_on(
    exp: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write(exp / "robust_s1" / "decode_greedy" / "test" / "scores.json", '{"cer": ')
    with caplog.at_level(logging.WARNING):
        text = printed(capsys)
    assert "exp/robust_s1/decode_greedy/test: scores.json cannot be read" in caplog.text
    assert any(line.split()[:2] == ["corrupt", "robust_s1"] for line in text.splitlines())
    assert "30.0" in text


def test_two_machines_with_the_same_tag(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scored(Path("elsewhere/exp/plain_s1"), {**CER, "hin": 0.4}, environment={"host": {"gpu": "1 x GPU"}})
    text = printed(capsys, "exp", "elsewhere")
    assert "exp/plain_s1" in text
    assert "elsewhere/exp/plain_s1" in text
    records = json.loads(printed(capsys, "exp", "elsewhere", "--json", "-"))["entries"]
    twice = [(one["root"], one["host"]) for one in records if one["tag"] == "plain_s1"]
    assert sorted(twice) == [("elsewhere", "1 x GPU"), ("exp", "Some CPU, 2 cores")]
    assert exp.is_dir()


def test_a_split_that_nobody_has_is_named(
    exp: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert exp.is_dir()
    with caplog.at_level(logging.WARNING):
        text = printed(capsys, "--split", "tset")
        assert caplog.messages == ["--split tset: no experiment has it; decoded splits are test"]
        assert "plain_s1" in text
        caplog.clear()
        printed(capsys, "exp/stopped_s1")
        assert caplog.messages == []


def test_a_list_of_jobs_has_those_that_have_not_begun(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = write(Path("jobs.tsv"), "index\ttag\toptions\n0\tplain_s1\t--seed 1\n1\tnever_s1\t--train-args 'a b'\n")
    records = json.loads(printed(capsys, "--jobs", str(jobs), str(exp), "--json", "-"))["entries"]
    assert [(one["tag"], one["state"]) for one in records] == [("plain_s1", "scored"), ("never_s1", "not begun")]
    records = json.loads(printed(capsys, "--jobs", str(jobs), "later", "--json", "-"))["entries"]
    assert {one["state"] for one in records} == {"not begun"}
    with pytest.raises(UserError, match=r"--jobs nowhere: no such file; give a list of jobs"):
        main(["--jobs", "nowhere"])
    with pytest.raises(UserError, match=r"no column tag"):
        main(["--jobs", str(write(Path("other.tsv"), "name\n"))])


def test_chosen_on_dev_says_so_in_every_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for tag, dev, epochs in (("a", 0.5, 3), ("b", 0.4, 4)):
        write_scored(tmp_path / "exp" / tag, dev={**CER, "hin": dev}, config={"max_epoch": epochs})
    said = "picked on dev: worst CER, 2 runs"
    for arguments in ([], ["--markdown", "-"], ["--latex", "-"], ["--tsv", "-"], ["--json", "-"], ["--html", "-"]):
        text = printed(capsys, "--best-on-dev", *arguments)
        assert said in text
        assert "max_epoch=4" in text.replace("\\", "") or '"max_epoch": "4"' in text
    assert "max_epoch" not in printed(capsys, "--split", "dev", "--decode", "greedy", "exp/b")


def test_mistakes(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["nowhere"], "not a folder: nowhere"),
        (["--decode", "beam"], "no experiment has a folder decode_beam"),
        (["--published", "mine"], "no such table; there are: challenge2025, ctc_dro, ml_superb"),
        (["--html", "exp", "--tsv", ""], "that is a folder; give a file\n--tsv: no file is named"),
        (["--tsv", "x", "--json", "x"], "x: named for more than one format"),
        (["--best-on-dev", "--split", "dev"], "cannot report dev"),
        (["--compare", "plain_s1", "rubust"], "did you mean robust_s1?"),
        (["--compare", "plain_s1", "robust_s1"], "no scored split there"),
        (["--compare", "plain_s1", "robust_s1", "--split", "dev", "--split", "test"], "one split"),
    ):
        with pytest.raises(UserError) as caught:
            main(arguments)
        assert message in str(caught.value)
    for arguments in (
        ["--markdwon", "x"],
        ["--by", "best"],
        ["--metric", "per"],
        ["--compare", "a"],
        ["--pub", "ctc_dro"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    assert exp.is_dir()
    assert "--markdwon" in capsys.readouterr().err


def test_the_page_is_sound_and_hostile_texts_are_texts(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(exp / "plain_s1" / "report.html", "<html>")
    write(exp / "robust_s1" / "report.html", "<html>")
    printed(capsys, "--html", "exp/scores.html")
    html = Path("exp/scores.html").read_text(encoding="utf-8")
    page = Page(html)
    assert "<script>hacked" not in html
    links = [link["href"] for link in page.of("a")]
    assert links == ["./robust_s1/report.html", "./plain_s1/report.html"]
    printed(capsys, "--html", "exp/failed_s1/scores.html")
    assert Page(Path("exp/failed_s1/scores.html").read_text(encoding="utf-8")).of("a") == []


def test_shell_like_tags_stay_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scored(tmp_path / "exp" / HOSTILE.replace("/", "").replace("\t", ""))
    write(next((tmp_path / "exp").iterdir()) / "report.html", "")
    printed(capsys, str(tmp_path / "exp"), "--html", str(tmp_path / "scores.html"))
    (link,) = Page((tmp_path / "scores.html").read_text(encoding="utf-8")).of("a")
    assert link["href"] is not None
    assert link["href"].startswith("./exp/%3Cscript%3E")


def test_no_torch_and_no_omegaconf(exp: Path) -> None:
    script = "import sys; from asr_dro.bin.collect import main; main(); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not {"torch", "espnet2", "pandas", "omegaconf", "numpy", "jinja2"} & set(done.stderr.split())
    assert exp.is_dir()


def test_a_hundred_experiments_of_143_languages_in_a_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    languages = {f"l{index:03d}": index / 1000 for index in range(143)}
    text = json.dumps(make_scores(languages))
    for index in range(100):
        folder = write_run(tmp_path / f"x_s{index}", seed=index, model=f"model{index % 5}", epochs=40)
        add_scores(folder, CER)
        write(folder / "decode_greedy" / "test" / "scores.json", text)
    start = time.process_time()
    printed(capsys, str(tmp_path), "--pool-seeds")
    assert time.process_time() - start < 1.0  # 500 within 5 s
