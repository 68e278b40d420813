"""The command as a user sees it: files, text, what may be absent, what is refused."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from asr_dro.analysis import losses
from asr_dro.analysis.losses import AlignmentLosses, read_losses
from asr_dro.analysis.state import LOSSES
from asr_dro.analysis.text import format_analysis
from asr_dro.bin.analyze import main
from asr_dro.data.data_dir import write_two_columns
from asr_dro.data.languages import languages as known_languages
from asr_dro.errors import UserError
from asr_dro.report.analysis import analysis_section
from asr_dro.report.render import make_report
from asr_dro.scoring.stage import score_all
from tests.analysis.sets import SEVEN, Clip, Planted, Spec, kinds, seven, write_log, write_set

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '</script><script>alert(1)</script> "<img src=x onerror=alert(1)> \x1b[31m\u202e {{ 7 * 7 }} ' + 60 * "w"


def arguments(planted: Planted, *more: str) -> list[str]:
    return ["--data", str(planted.data), "--exp", str(planted.exp), *more]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Return a scored set in which Finnish has little training audio."""
    made = write_set(tmp_path_factory.mktemp("set"), seven(Spec(n_train=6, error=0.3)))
    score_all(made.data, made.decode_dir)
    return made


def test_files_and_text(planted: Planted, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        main(arguments(planted))
    text = capsys.readouterr().out
    analysis = json.loads((planted.decode_dir / "test" / "analysis.json").read_text(encoding="utf-8"))
    assert text == format_analysis(analysis)
    assert text.startswith("test: 7 languages, mean CER ")
    assert text.index("Finnish (fin): CER") < text.index("little training audio")
    assert "7 languages are too few to say what goes together" in text
    assert sum(entry["is_bad"] for entry in analysis["languages"]) == 3
    assert analysis["languages"][0]["language"] == "fin"
    assert caplog.messages[-1] == f"analysis: {planted.decode_dir}/test/analysis.json"


def test_with_nothing_new_there_is_nothing_to_do(
    planted: Planted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copied(planted, tmp_path)
    main(arguments(copy, "--quiet"))
    made = copy.decode_dir / "test" / "analysis.json"
    before = made.stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        main(arguments(copy, "--quiet"))
        assert "already made from the same inputs" in caplog.messages[-1]
        (copy.exp / "train.jsonl").write_text("")
        main(arguments(copy, "--quiet"))
        assert "already" not in caplog.messages[-1]
        made.write_text("{")
        main(arguments(copy, "--quiet"))
        assert "already" not in caplog.messages[-1]
    assert made.stat().st_mtime_ns != before


def test_choices(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(planted, "--split", "dev", "--language", "deu", "--language", "spa"))
    text = capsys.readouterr().out
    assert text.startswith("dev: 7 languages")
    assert "German (deu)" in text
    assert "Finnish (fin)" not in text
    main(arguments(planted, "--quiet"))
    assert capsys.readouterr().out == ""


def test_all_languages(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(planted, "--all"))
    text = capsys.readouterr().out
    assert [code for code in SEVEN if f"({code}): CER" not in text] == []


def test_a_second_run_leaves_the_files_alone(planted: Planted) -> None:
    main(arguments(planted, "--quiet"))
    files = [planted.decode_dir / "test" / name for name in ("analysis.json", "suspects.tsv")]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    main(arguments(planted, "--quiet"))
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "train"], "--split train: not scored in .*; scored: dev, test"),
        (["--language", "xxx"], "--language xxx: not in test; it has ces deu"),
        (["--decode", "beam"], "run stage 5"),
    ],
)
def test_mistakes(planted: Planted, more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(arguments(planted, *more))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("exp/run/decode_greedy/test/scores.json", "[]", "not a score file"),
        ("exp/run/train.jsonl", "nonsense\n", "train.jsonl: a line is not JSON"),
        ("exp/run/decode_greedy/test/utterances.tsv", "utt_id\tlanguage\n", "no column duration_s"),
        ("data/set/oov.tsv", "language\n", "no column split"),
    ],
)
def test_damaged_inputs_are_named(planted: Planted, tmp_path: Path, name: str, content: str, message: str) -> None:
    copy = copied(planted, tmp_path)
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        main(arguments(copy))


def copied(planted: Planted, folder: Path) -> Planted:
    root = planted.data.parents[1]
    shutil.copytree(root, folder, dirs_exist_ok=True)
    return Planted(folder / planted.data.relative_to(root), folder / planted.exp.relative_to(root), planted.clips)


def test_a_number_that_is_none(planted: Planted, tmp_path: Path) -> None:
    copy = copied(planted, tmp_path)
    path = copy.decode_dir / "test" / "utterances.tsv"
    lines = path.read_text(encoding="utf-8").split("\n")
    row = lines[1].split("\t")
    row[lines[0].split("\t").index("char_sub")] = "many"
    path.write_text("\n".join([lines[0], "\t".join(row), *lines[2:]]), encoding="utf-8")
    with pytest.raises(UserError, match=r"utterances.tsv:2: char_sub is 'many'"):
        main(arguments(copy))


def test_scores_alone_are_enough(planted: Planted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = copied(planted, tmp_path)
    shutil.rmtree(copy.data)
    shutil.rmtree(copy.decode_dir / "dev")
    main(arguments(copy))
    assert "Finnish (fin): CER" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["lid", "asr"])
def test_tasks(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def turkish(clips: list[Clip], _: object) -> list[Clip]:
        return [replace(clip, tag="tur" if i % 2 else "fin") for i, clip in enumerate(clips)]

    def bare(clips: list[Clip], _: object) -> list[Clip]:
        return [replace(clip, tag="" if task == "asr" else clip.tag) for clip in clips]

    specs = {code: Spec(plant=bare) for code in SEVEN} | {"fin": Spec(plant=turkish if task == "lid" else bare)}
    made = write_set(tmp_path, specs)
    (made.data / "data.yaml").write_text(f"task: {task}\n", encoding="utf-8")
    analysis = made.analyze()
    assert analysis["task"] == task
    if task == "lid":
        assert analysis["measure"] == "lid_error"
        assert analysis["languages"][0]["error"] == 0.5
        assert kinds(analysis, "fin") == {"wrong_language", "worse_split"}
        assert analysis["mean"] == pytest.approx(0.5 / 7)
    else:
        assert analysis["languages"][0]["tags"] is None
        assert all(not kinds(analysis, code) for code in SEVEN)
    assert analysis["n_suspects"] == 0
    assert "Finnish" in format_analysis(analysis, languages=["fin"])
    make_report(made.data, made.exp, "greedy")
    assert "What explains the errors" in (made.exp / "report.html").read_text(encoding="utf-8")


def test_hostile_and_empty_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def hostile(clips: list[Clip], _: object) -> list[Clip]:
        texts = [HOSTILE, ".", "\u0301\u0301", "\U0001f600", "12", "x" * 5000]
        changed = [replace(clip, transcript=text) for clip, text in zip(clips, texts, strict=False)]
        silent = [replace(clip, recognised="", tag="") for clip in clips[6:9]]
        return [*changed, *silent, *clips[9:]]

    made = write_set(tmp_path, seven(Spec(plant=hostile)))
    score_all(made.data, made.decode_dir)
    main(arguments(made))
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\u202e" not in text
    make_report(made.data, made.exp, "greedy")
    html = (made.exp / "report.html").read_text(encoding="utf-8")
    assert "<img" not in html
    assert "alert(1)</script>" not in html


def test_one_language_and_one_utterance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = write_set(tmp_path, {"fin": Spec(n_train=1, n_test=1)})
    score_all(made.data, made.decode_dir)
    main(arguments(made))
    assert "nothing known stands out" in capsys.readouterr().out


def test_perfect_hypotheses(tmp_path: Path) -> None:
    made = write_set(tmp_path, {code: Spec(error=0.0) for code in SEVEN})
    analysis = made.analyze()
    assert analysis["mean"] == 0
    assert not any(entry["is_bad"] for entry in analysis["languages"])
    assert not any(entry["findings"] for entry in analysis["languages"])
    path = made.decode_dir / "test" / "analysis.json"
    section = analysis_section(path, made.exp, made_from=json.loads(path.read_text(encoding="utf-8"))["made_from"])
    assert section is not None
    assert section["languages"] == []


def test_what_goes_together_with_errors(tmp_path: Path) -> None:
    """Error falls with hours by construction, and has nothing to do with the rest."""
    codes = sorted(code for code, one in known_languages().items() if one.script == "Latn")[:14]
    specs = {code: Spec(n_train=4 + 6 * rank, n_test=30, error=0.5 - 0.03 * rank) for rank, code in enumerate(codes)}
    analysis = write_set(tmp_path, specs).analyze()
    first = analysis["associations"][0]
    assert first["name"] == "training_hours"
    assert first["n"] == 14
    assert first["rho"] < -0.9
    assert first["p_holm"] < 0.01
    others = {one["name"]: one["p_holm"] for one in analysis["associations"][1:]}
    assert {name for name, p in others.items() if p < 0.05} <= {"unseen_share"}  # which follows from hours
    assert f"hours of training audio: rho \N{MINUS SIGN}{-first['rho']:.2f}" in format_analysis(analysis)


def test_losses_are_kept_until_what_they_are_made_from_changes(planted: Planted, tmp_path: Path) -> None:
    copy = copied(planted, tmp_path)
    (copy.exp / "checkpoints").mkdir()
    (copy.exp / "checkpoints" / "selection.json").write_text("{}", encoding="utf-8")
    made_from = losses.fingerprint(copy.data, copy.exp, "test")
    path = copy.decode_dir / "test" / LOSSES
    content = {"made_from": made_from, "per_label": {"a": 1.5}, "infeasible": ["b"]}
    path.write_text(json.dumps(content), encoding="utf-8")
    found = losses.losses_of_split(copy.data, copy.exp, copy.decode_dir, "test", align=True)
    assert found == AlignmentLosses({"a": 1.5}, frozenset({"b"}))
    (copy.exp / "checkpoints" / "selection.json").write_text("{ }", encoding="utf-8")
    assert losses.losses_of_split(copy.data, copy.exp, copy.decode_dir, "test", align=False) is None
    for damaged in ("", "[]", "{}", json.dumps({**content, "per_label": []})):
        path.write_text(damaged, encoding="utf-8")
        assert read_losses(path, made_from) is None


def test_align_without_a_model(planted: Planted) -> None:
    command = [sys.executable, "-m", "asr_dro.bin.analyze", *arguments(planted, "--align")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "utt2num_samples" in done.stderr
    assert "is missing; run the earlier stages first" in done.stderr
    assert "Traceback" not in done.stderr


def test_neither_torch_nor_a_long_wait(planted: Planted) -> None:
    code = "import sys; from asr_dro.bin.analyze import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, *arguments(planted, "--quiet")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "espnet2", "scipy", "pandas"} & set(done.stderr.split())
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "asr_dro.bin.analyze", "--help"], cwd=ROOT, capture_output=True, check=True)
    assert time.monotonic() - start < 3  # 0.1 s on a free machine


def test_old_scores_without_a_task(planted: Planted, tmp_path: Path) -> None:
    copy = copied(planted, tmp_path)
    path = copy.decode_dir / "test" / "scores.json"
    scores = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: scores[name] for name in ("cer", "wer", "lid_accuracy", "n_utterances", "profile")}
    path.write_text(json.dumps(kept), encoding="utf-8")
    main(arguments(copy, "--language", "fin", "--quiet"))


def test_odd_logs(planted: Planted, tmp_path: Path) -> None:
    copy = copied(planted, tmp_path)
    write_log(copy, [{"epoch": 1, "train": None, "dev": {"loss_by_group": {"fin": None, "deu": "x"}}}])
    write_log(copy, [{"update": 1, "q": None}], "groups.jsonl")
    write_two_columns(copy.data / "test" / "utt2corpus", {"other": "x"})
    main(arguments(copy, "--quiet"))
