"""The section of the report that shows an analysis: there, absent, of other scores, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_dro.bin.analyze import main
from asr_dro.data.data_dir import write_two_columns
from asr_dro.report.render import make_report
from asr_dro.scoring.stage import score_all
from tests.analysis.sets import Planted, Spec, seven, write_set


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """Return a scored set in which Finnish has little training audio."""
    made = write_set(tmp_path, seven(Spec(n_train=6, error=0.3)))
    score_all(made.data, made.decode_dir)
    return made


def arguments(planted: Planted) -> list[str]:
    return ["--data", str(planted.data), "--exp", str(planted.exp), "--quiet"]


def test_section_of_the_report(planted: Planted) -> None:
    (planted.decode_dir / "test" / "analysis.json").unlink(missing_ok=True)
    make_report(planted.data, planted.exp, "greedy")
    html = (planted.exp / "report.html").read_text(encoding="utf-8")
    assert 'id="analysis"' not in html
    main(arguments(planted))
    make_report(planted.data, planted.exp, "greedy")
    html = (planted.exp / "report.html").read_text(encoding="utf-8")
    assert 'id="analysis"' in html
    assert "Little training audio" in html


def test_an_analysis_of_other_scores_or_another_version_is_left_out_and_the_report_goes_on(
    planted: Planted, caplog: pytest.LogCaptureFixture
) -> None:
    main(arguments(planted))
    path = planted.decode_dir / "test" / "analysis.json"
    current = json.loads(path.read_text(encoding="utf-8"))
    older = {name: value for name, value in current.items() if name != "made_from"}
    renamed = {"findings" if name == "languages" else name: value for name, value in current.items()}
    for content, why in (
        (json.dumps({**current, "made_from": "0"}), "it was made from other scores"),
        (json.dumps(older), "it is damaged, or another version wrote it"),
        (json.dumps(renamed), "it is damaged, or another version wrote it"),
        ("[]", "it is damaged, or another version wrote it"),
        ("{", "it is damaged, or another version wrote it"),
    ):
        path.write_text(content, encoding="utf-8")
        caplog.clear()
        make_report(planted.data, planted.exp, "greedy")
        html = (planted.exp / "report.html").read_text(encoding="utf-8")
        assert f"analysis.json is not shown: {why}. Run stage 7 again" in html
        assert "Little training audio" not in html
        assert f"{path} is left out of the report: {why}" in caplog.text
    write_two_columns(planted.decode_dir / "test" / "text", {utt: "[fin] a" for utt in _ids(planted)})
    main(arguments(planted))
    score_all(planted.data, planted.decode_dir)  # the analysis is of the scores before
    make_report(planted.data, planted.exp, "greedy")
    assert "it was made from other scores" in (planted.exp / "report.html").read_text(encoding="utf-8")
    main(arguments(planted))
    make_report(planted.data, planted.exp, "greedy")
    assert "is not shown" not in (planted.exp / "report.html").read_text(encoding="utf-8")


def _ids(planted: Planted) -> list[str]:
    lines = (planted.data / "test" / "text").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines]
